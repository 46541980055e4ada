"""`/api/connections`: where servers are; passwords stay where they are."""

import time
from collections.abc import Callable

import anyio
import anyio.to_thread
from fastapi import APIRouter

from benchgate.backend import credentials
from benchgate.backend.clock import Clock, new_id
from benchgate.backend.connections import ConnectionTable, SavedConnection
from benchgate.backend.drivers.port import Driver, Target
from benchgate.backend.engine.targets import CONNECTED, reference_of
from benchgate.domain.contract import (
    ConnectionDraft,
    ConnectionList,
    ConnectionTest,
    ConnectionView,
)
from benchgate.domain.templates import TableType
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError

TEST_SECONDS_MAX = 15

# Every PostgreSQL server has the database; the others are asked without choosing one.
PROBE = {"database": "postgres", "table_name": "none"}


def routes(
    connections: ConnectionTable,
    driver_for: Callable[[TableType], Driver],
    *,
    clock: Clock,
) -> APIRouter:
    """The routes over *connections*."""
    router = APIRouter(prefix="/api/connections", tags=["connections"])

    @router.get("")
    def list_connections() -> ConnectionList:
        """All connections, the newest first (at most 1,000)."""
        views = tuple(_view(saved) for saved in connections.all())
        return ConnectionList(connections=views, total=len(views))

    @router.post("", status_code=201)
    def create_connection(draft: ConnectionDraft) -> ConnectionView:
        """Save where a server is and where its password can be looked up, never the password."""
        return _view(connections.add(draft, connection_id=new_id("con"), at=clock()))

    @router.post("/{connection_id}/test")
    async def test_connection(connection_id: str) -> ConnectionTest:
        """Try to connect; a failure is an answer, not an error."""
        saved = await anyio.to_thread.run_sync(connections.get, connection_id)
        return await _try(saved, driver_for)

    @router.delete("/{connection_id}", status_code=204)
    def delete_connection(connection_id: str) -> None:
        """Delete it; 409 while a template uses it."""
        connections.remove(connection_id)

    return router


async def _try(saved: SavedConnection, driver_for: Callable[[TableType], Driver]) -> ConnectionTest:
    kinds = [table for table, name in CONNECTED.items() if name == saved.draft.connection_type]
    reference = reference_of(saved.draft)
    missing = await anyio.to_thread.run_sync(credentials.missing, reference)
    if missing is not None:
        return ConnectionTest(success=False, message=missing)
    began = time.monotonic()
    try:
        with anyio.fail_after(TEST_SECONDS_MAX):
            target = Target(table_type=kinds[0], connection=reference, **PROBE)
            version = await driver_for(kinds[0]).greet(target)
    except TimeoutError:
        late = f"The server did not answer within {TEST_SECONDS_MAX} s."
        return ConnectionTest(success=False, message=late)
    except BenchgateError as exc:
        return ConnectionTest(success=False, message=one_line(str(exc)))
    latency_ms = round((time.monotonic() - began) * 1_000, 1)
    return ConnectionTest(
        success=True,
        message="The server answered.",
        latency_ms=latency_ms,
        server_version=version,
    )


def _view(saved: SavedConnection) -> ConnectionView:
    draft = saved.draft
    return ConnectionView(
        **draft.model_dump(exclude={"host"}),
        host=draft.host or None,
        connection_id=saved.connection_id,
        has_password=credentials.found(reference_of(draft)),
        created_at=saved.created_at,
        updated_at=saved.updated_at,
    )
