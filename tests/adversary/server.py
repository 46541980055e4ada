"""Where an app is reached: on a port of loopback, by TLS or not, or in process."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import uvicorn
from httpx_ws import WebSocketDisconnect, WebSocketUpgradeError
from httpx_ws.transport import ASGIWebSocketTransport
from starlette.types import ASGIApp

from tests.adversary.certificate import Certificate

LOOPBACK = "127.0.0.1"
ORIGIN = "http://adversary.test"
LOOK_INTERVAL_SECONDS = 0.01
START_SECONDS_MAX = 10


class InProcess(ASGIWebSocketTransport):
    """Requests and WebSockets of an app in process; a refused handshake is an answer."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As a server would answer, where the library raises."""
        try:
            return await super().handle_async_request(request)
        except WebSocketUpgradeError as exc:
            return exc.response
        except WebSocketDisconnect:
            return httpx.Response(403)


@asynccontextmanager
async def client(app: ASGIApp) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of *app* in process."""
    async with httpx.AsyncClient(transport=InProcess(app), base_url=ORIGIN) as http:
        yield http


@asynccontextmanager
async def served(app: ASGIApp, *, certificate: Certificate | None = None) -> AsyncGenerator[str]:
    """*app* on a free port of loopback; its address, by TLS where it has a certificate."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(app, ws="wsproto", log_config=None, timeout_graceful_shutdown=1)
        if certificate is not None:
            config.ssl_certfile, config.ssl_keyfile = certificate.file, certificate.key_file
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(START_SECONDS_MAX):
                while not server.started:  # noqa: ASYNC110 - uvicorn sends no word
                    await anyio.sleep(LOOK_INTERVAL_SECONDS)
            scheme = "https" if certificate else "http"
            try:
                yield f"{scheme}://{LOOPBACK}:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
