"""The gate's composition root: the only module that knows every concrete class of it.

Start-up opens nothing and asks nobody: hosts start servers just to look at them.
"""

import ipaddress
import logging
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import httpx
from mcp.server import MCPServer
from mcp.server.request_state import RequestStateSecurity
from mcp.server.transport_security import TransportSecuritySettings

import benchgate
from benchgate.domain.approvals import Channel
from benchgate.errors import BenchgateError, SettingsError
from benchgate.gate import completions, guides
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.approvals.page import ApprovalsPage
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.backend import Backend
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.completions import Known
from benchgate.gate.home import GateHome
from benchgate.gate.live import WATCHES_MAX
from benchgate.gate.resources import documents, sheets
from benchgate.gate.sightings import Sightings
from benchgate.gate.tools.catalog import CatalogTools
from benchgate.gate.tools.comparisons import ComparisonTools
from benchgate.gate.tools.results import ResultTools
from benchgate.gate.tools.runs import RunTools
from benchgate.gate.tools.seam import Seam
from benchgate.gate.tools.toolset import all_tools
from benchgate.gate.transport.certificates import Trust
from benchgate.gate.transport.embedded import EmbeddedBackend
from benchgate.gate.transport.whereabouts import Embedded, configured
from benchgate.gate.works import Works
from benchgate.settings import Settings

STATE_GRACE_SECONDS = 60
# A stream holds a connection for as long as its run; requests must find one beside all of them.
CONNECTIONS = httpx.Limits(max_connections=2 * WATCHES_MAX, max_keepalive_connections=20)
PAGE_CHANNELS = frozenset({Channel.PAGE, Channel.URL})


@asynccontextmanager
async def open_gate(
    settings: Settings, *, address: str | None = None, pace: Pace | None = None
) -> AsyncGenerator[MCPServer[Any]]:
    """The whole gate, wired; what it opened on the way is closed at the end.

    *address* is where the server itself is reached over HTTP, if it is: the approvals page is
    then a part of it, and else a small server of its own. *pace* is that of what goes on by itself.
    """
    home = GateHome(settings)
    desk, pin = Desk(home), Pin(home)
    # No proxy and no redirect: the backend's token travels to the backend alone.
    async with (
        httpx.AsyncClient(
            follow_redirects=False, trust_env=False, verify=Trust(), limits=CONNECTIONS
        ) as http,
        ApprovalsPage(desk, pin, address=address) as page,
    ):
        embedded = EmbeddedBackend(settings.data_dir, http)
        whereabouts = configured(settings) or Embedded(embedded, settings)
        sightings = Sightings(desk, backend=whereabouts.identity)
        backend = Backend(whereabouts, http, sightings=sightings)
        works = Works(home, backend, desk=desk, sightings=sightings, page=page, pin=pin, pace=pace)
        try:
            async with (
                sightings,
                works.live,
                works.announcements,
                works.warden,
                works.autopilot,
            ):
                yield wire(works, page)
        finally:
            embedded.release()
            with anyio.CancelScope(shield=True):
                await desk.close()


def wire(works: Works, page: ApprovalsPage) -> MCPServer[Any]:
    """The server over its parts; nothing is opened or asked yet."""
    settings, blocks, backend = works.settings, works.blocks, works.backend
    server: MCPServer[Any] = MCPServer(
        "benchgate",
        title="benchgate",
        version=benchgate.__version__,
        instructions=blocks.text("instructions"),
        tools=all_tools(
            catalog=CatalogTools(backend=backend, blocks=blocks),
            runs=RunTools(
                backend=backend,
                live=works.live,
                starts=works.starts,
                comparisons=works.comparisons,
                desk=works.desk,
                blocks=blocks,
            ),
            comparisons=ComparisonTools(works.comparisons, desk=works.desk, blocks=blocks),
            results=ResultTools(
                backend=backend, comparisons=works.comparisons, desk=works.desk, blocks=blocks
            ),
            seam=Seam(
                blocks=blocks,
                backend_url=str(settings.backend_url) if settings.backend_url else None,
            ),
            has_chat=Channel.CHAT in settings.approval_channels,
        ),
        # A sealed question lives a little longer than the question, so that an answer that comes
        # too late is told so by us, and not by the SDK as a broken state.
        request_state_security=RequestStateSecurity(
            codec=works.keys,
            ttl=settings.question_ttl_seconds + STATE_GRACE_SECONDS,
        ),
        subscriptions=works.announcements.bus,
        log_level="WARNING",
    )
    if PAGE_CHANNELS & {*settings.approval_channels}:
        page.register(server)
    guides.register(server, blocks)
    _offer_resources(server, works)
    completions.register(server, lambda: known(backend))
    return server


def _offer_resources(server: MCPServer[Any], works: Works) -> None:
    read_snapshot, read_evidence = works.live.snapshot, works.desk.evidence
    documents.register(
        server, works.backend, read_snapshot=read_snapshot, read_evidence=read_evidence
    )
    sheets.register(server, read_snapshot=read_snapshot, read_series=works.backend.series)
    works.announcements.register(server)


async def known(backend: Backend) -> Known:
    """The templates and runs that can be named without starting a backend."""
    try:
        if not await backend.is_known_alive():
            return Known()
        templates, runs = await backend.templates(), await backend.runs()
    except BenchgateError:
        return Known()
    return Known(
        templates=tuple((t.template_id, t.template_name) for t in templates),
        run_ids=tuple(run.run_id for run in runs),
    )


def refuse_bad_address(host: str, port: int) -> None:
    """Refuse an address where others could answer for the person, or that cannot be kept.

    Raises:
        SettingsError: the message names the address.
    """
    if host != "localhost" and not _is_loopback(host):
        raise SettingsError(
            f"{host} is no loopback address, and over HTTP benchgate asks nobody who they are.",
            hint="Listen on 127.0.0.1, and reach it from elsewhere through a tunnel of your own.",
        )
    if port == 0:
        raise SettingsError(
            "Port 0 would be another one at each start, and hosts and links need to know it.",
            hint="Name a port with --port.",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as exc:
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {exc.strerror}.",
            hint="Name another port with --port.",
        ) from exc


def _only_from_here(host: str) -> TransportSecuritySettings:
    """Let no page of another server in by a name of its own (DNS rebinding).

    The SDK does so by itself only for the three usual spellings of loopback.
    """
    names = sorted({"127.0.0.1", "localhost", "[::1]", _in_url(host)})
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[f"{name}:*" for name in names],
        allowed_origins=[f"http://{name}:*" for name in names],
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    settings: Settings,
    *,
    transport: Literal["stdio", "http"],
    host: str = "127.0.0.1",
    port: int = 8765,
) -> None:
    """Serve until the client goes away; on stdio, stdout belongs to the protocol alone."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if transport == "http":
        refuse_bad_address(host, port)

    async def run() -> None:
        address = f"http://{_in_url(host)}:{port}" if transport == "http" else None
        async with open_gate(settings, address=address) as server:
            if transport == "stdio":
                await server.run_stdio_async()
            else:
                await server.run_streamable_http_async(
                    host=host, port=port, transport_security=_only_from_here(host)
                )

    anyio.run(run)
