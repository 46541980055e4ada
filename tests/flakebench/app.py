"""FlakeBench as it behaves: an app over a `World`, in process or on a port of loopback."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.flakebench import catalog_api, runs_api
from tests.flakebench.answers import HANDLERS
from tests.flakebench.stream import follow
from tests.flakebench.world import World

ORIGIN = "http://127.0.0.1:8000"
LOOPBACK = "127.0.0.1"
LOOK_INTERVAL_SECONDS = 0.01
START_SECONDS_MAX = 10


class Arrival:
    """Counts the requests before they are routed, and holds them up in an outage."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._world.counts.requests[f"{scope['method']} {scope['path']}"] += 1
            if self._world.outage and self._world.outage_s and scope["path"] != "/health":
                await self._world.clock.sleep(self._world.outage_s)
        await self._app(scope, receive, send)


def create_app(world: World) -> Starlette:
    """The emulation over *world*, through which a test moves and breaks it."""
    app = Starlette(
        routes=[
            *runs_api.ROUTES,
            *catalog_api.ROUTES,
            WebSocketRoute("/ws/test/{test_id}", follow),
        ],
        middleware=[Middleware(Arrival, world=world)],
        exception_handlers=HANDLERS,
    )
    app.state.world = world
    return app


@asynccontextmanager
async def client(world: World) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the emulation in process; it follows no redirects."""
    transport = httpx.ASGITransport(app=create_app(world))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield http


@asynccontextmanager
async def served(world: World) -> AsyncGenerator[str]:
    """The emulation on a free port of loopback; its address, such as `http://127.0.0.1:40123`."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(
            create_app(world), ws="wsproto", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(START_SECONDS_MAX):
                while not server.started:  # noqa: ASYNC110 - uvicorn sends no word
                    await anyio.sleep(LOOK_INTERVAL_SECONDS)
            try:
                yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
