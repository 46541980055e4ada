"""One face for the databases that the contract suite drives, and an ear for what they do."""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

import anyio

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Assignment, Driver, Target
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import WRITES, QueryKind, QueryShare, TableType
from tests.integration.servers import PostgresServer

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"


class Database(Protocol):
    """A database with a driver, in which a test makes its own tables."""

    forever: str  # a statement that does not end by itself

    def target(self, table: str) -> Target: ...

    def sql(self, *statements: str) -> str: ...


class SqliteDatabase:
    """An SQLite file in WAL mode."""

    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql("PRAGMA journal_mode = WAL")

    def target(self, table: str) -> Target:
        return Target(table_type=TableType.SQLITE, database=str(self.path), table_name=table)

    def sql(self, *statements: str) -> str:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            rows = [connection.execute(statement).fetchall() for statement in statements][-1]
        return "\n".join("|".join(map(str, row)) for row in rows)


class PostgresDatabase:
    """The tests' PostgreSQL server."""

    forever = "SELECT pg_sleep(600)"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def target(self, table: str) -> Target:
        return self._server.target(table)

    def sql(self, *statements: str) -> str:
        return self._server.sql(*statements)


class Notes:
    """A recorder that keeps everything it hears."""

    def __init__(self) -> None:
        self.answered: list[QueryKind] = []
        self.failures: list[tuple[QueryKind | None, FailureKind, str]] = []
        self.connections = 0

    def succeeded(self, kind: QueryKind, latency_us: int) -> None:
        assert latency_us >= 0
        self.answered.append(kind)

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        self.failures.append((kind, failure, message))

    def connections_changed(self, by: int) -> None:
        self.connections += by


def share(kind: QueryKind, share_pct: float, sql: str | None = None) -> QueryShare:
    """A part of a workload."""
    return QueryShare(kind=kind, share_pct=share_pct, writes=kind in WRITES, sql=sql)


ALL_KINDS = (
    share(QueryKind.POINT_LOOKUP, 40),
    share(QueryKind.RANGE_SCAN, 20),
    share(QueryKind.INSERT, 20),
    share(QueryKind.UPDATE, 20),
)


def only(kind: QueryKind, sql: str | None = None) -> tuple[QueryShare, ...]:
    """A workload of nothing but *kind*."""
    return (share(kind, 100, sql),)


def assignment(
    target: Target, workload: Sequence[QueryShare], *, connections: int = 2
) -> Assignment:
    """What one worker does with all the connections there are."""
    return Assignment(
        target=target,
        workload=tuple(workload),
        connections=connections,
        think_time_ms=0,
        seed=7,
        application_name=f"benchgate {target.table_name}",
        connections_in_all=connections,
    )


async def until(holds: Callable[[], bool], limit_s: float = 15) -> None:
    """Wait for *holds* to hold."""
    with anyio.fail_after(limit_s):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in a database
            await anyio.sleep(0.01)


@asynccontextmanager
async def driven(given: Assignment, notes: Notes) -> AsyncGenerator[None]:
    """The load of *given* runs inside; on leaving, it is stopped and has to end within 2 s."""
    driver: Driver = driver_for(given.target.table_type)
    ready, stop, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def note_ready() -> None:
        ready.set()

    async def drive() -> None:
        try:
            await driver.drive(given, notes, ready=note_ready, stop=stop)
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drive)
        await ready.wait()
        yield
        stop.set()
        with anyio.fail_after(2):
            await ended.wait()
    assert notes.connections == 0
