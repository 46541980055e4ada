"""A backend on a real port whose loads a test scripts, and the way to a page of its runs."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import uvicorn
from fastapi import FastAPI
from playwright.async_api import BrowserContext, Page

from tests.unit.backend.scripted import BEARER, eventually

# What is wider than its place.
STICKS_OUT = """() => [...document.querySelectorAll("body, .card, .tile, .notice, dd, h1")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1)
  .map((part) => part.outerHTML)"""


@asynccontextmanager
async def served(app: FastAPI, port: int = 0) -> AsyncGenerator[httpx.AsyncClient]:
    """The app on a real port of this process, and its owner's client."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, ws="wsproto", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        anyio.create_task_group() as tasks,
        httpx.AsyncClient(base_url=url, headers=BEARER, trust_env=False) as http,
    ):
        tasks.start_soon(server.serve, [listener])
        await eventually(lambda: server.started)
        try:
            yield http
        finally:
            server.should_exit = True


async def link(http: httpx.AsyncClient, run_id: str) -> str:
    """A fresh link to the run's page, as a block would show it."""
    path = (await http.get(f"/api/tests/{run_id}/")).json()["dashboard_url"]
    return f"{http.base_url}{path}"


async def opened(context: BrowserContext, url: str) -> Page:
    """The page at *url*."""
    page = await context.new_page()
    await page.goto(url)
    return page
