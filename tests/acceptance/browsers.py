"""A person's real browser, which notes what a page of ours must never do."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, async_playwright

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",  # its own sandbox does not work as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
OWN = "http://127.0.0.1:"


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A browser of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(browser: Browser, **options: Any) -> AsyncGenerator[BrowserContext]:
    """A visit whose pages may neither break nor ask any other server."""
    context = await browser.new_context(**options)
    problems: list[str] = []
    context.on("weberror", lambda problem: problems.append(str(problem.error)))
    context.on("console", lambda message: _note_policy(message.text, problems))
    context.on("request", lambda request: _note_foreign(request.url, problems))
    try:
        yield context
    finally:
        await context.close()
    assert problems == []


def _note_policy(text: str, problems: list[str]) -> None:
    if "Content Security Policy" in text:
        problems.append(text)


def _note_foreign(url: str, problems: list[str]) -> None:
    if not url.startswith(OWN):
        problems.append(url)
