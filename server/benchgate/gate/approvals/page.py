"""The approvals page: where a person answers in a browser, whatever their client can do.

On stdio it is a small server of its own on a free port of loopback, opened when it is first
needed; over HTTP it is a part of the same server. What it is made of is imported with the first
link or request, in a thread, because start-up has a budget.
"""

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchgate.gate.approvals.desk import Desk
from benchgate.gate.approvals.pin import Pin

if TYPE_CHECKING:
    from benchgate.gate.approvals.browser.port import Port
    from benchgate.gate.approvals.browser.site import Site

PATH = "/approvals/{path:path}"
METHODS = ["GET", "POST"]

logger = logging.getLogger(__name__)


class ApprovalsPage:
    """The page, served for as long as it is entered."""

    def __init__(self, desk: Desk, pin: Pin, *, address: str | None) -> None:
        """Answers go to *desk*, with *pin* where one is set; *address* is the HTTP server's own."""
        self._desk = desk
        self._pin = pin
        self._address = address
        self._site: Site | None = None
        self._port: Port | None = None
        self._tasks: TaskGroup | None = None
        self._opening = anyio.Lock()

    async def __aenter__(self) -> Self:
        """Ready to be opened; nothing listens yet."""
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the port."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        if self._port is not None:
            await self._port.stop()
        # Nothing of ours is left in it, and the error of whoever used the page is theirs alone:
        # a task group that is told of it would wrap it.
        await tasks.__aexit__(None, None, None)

    def register(self, server: MCPServer[Any]) -> None:
        """Make the page a part of *server*, where that is reached over HTTP."""
        if self._address is not None:
            server.custom_route(PATH, methods=METHODS, include_in_schema=False)(self._respond)

    async def link_to(self, approval_id: str) -> str | None:
        """The address of the page of one approval; None where no port can be had."""
        address = self._address or await self._own_address()
        return f"{address}/approvals/{approval_id}" if address else None

    async def _respond(self, request: Request) -> Response:
        """Over HTTP: what the site says, built with the first request."""
        assert self._address is not None, "routes are registered where there is an address"
        async with self._opening:
            if self._site is None:
                _, site_type = await to_thread.run_sync(_parts)
                self._site = site_type(self._desk, self._pin, address=self._address)
        return await self._site.respond(request)

    async def _own_address(self) -> str | None:
        """On stdio: where our own server listens, opened now if need be."""
        async with self._opening:
            if self._port is None:
                self._port = await self._opened()
            port = self._port
            return port.address if port is not None and port.is_serving else None

    async def _opened(self) -> "Port | None":
        assert self._tasks is not None, "a link is asked for while the page is entered"
        port_type, site_type = await to_thread.run_sync(_parts)
        try:
            port = port_type()
        except OSError as exc:
            logger.warning("No port for the approvals page: %s", exc)
            return None
        # No await from here on, so that nobody is cancelled who holds a port without a server.
        site = site_type(self._desk, self._pin, address=port.address)
        app = Starlette(routes=[Route(PATH, site.respond, methods=METHODS)])
        self._tasks.start_soon(port.serve, app)
        return port


def _parts() -> "tuple[type[Port], type[Site]]":
    # Late, because they import uvicorn, jinja2 and SQLAlchemy.
    from benchgate.gate.approvals.browser.port import Port  # noqa: PLC0415
    from benchgate.gate.approvals.browser.site import Site  # noqa: PLC0415

    return Port, Site
