"""One face for the databases that the contract suite drives, and an ear for what they do."""

import importlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import perf_counter_ns
from typing import Protocol

import anyio

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.duckdb.file import connected
from benchgate.backend.drivers.port import (
    Assignment,
    ConnectionReference,
    Driver,
    Meter,
    Target,
)
from benchgate.domain.arrivals import Arrivals
from benchgate.domain.failures import FailureKind
from benchgate.domain.parameters import parameters_of
from benchgate.domain.templates import WRITES, Operation, QueryKind, QueryShare, TableType
from tests.integration.servers import PostgresServer
from tests.integration.snowflakes import PASSWORD, WAREHOUSE, SnowflakeServer
from tests.unit.backend.scripted import growing_pauses

END_LIMIT_S = 1.5  # a driver has 1 s; the rest is the machine's that runs the tests
START_AHEAD_NS = 5_000_000
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"


class Database(Protocol):
    """A database with a driver, in which a test makes its own tables."""

    forever: str  # a statement that does not end by itself
    enough: int  # so many answers come soon, and are enough to tell chances apart

    def target(self, table: str) -> Target: ...

    def sql(self, *statements: str) -> str: ...


class SqliteDatabase:
    """An SQLite file in WAL mode."""

    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    enough = 200

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql("PRAGMA journal_mode = WAL")

    def target(self, table: str) -> Target:
        return Target(table_type=TableType.SQLITE, database=str(self.path), table_name=table)

    def sql(self, *statements: str) -> str:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            rows = [connection.execute(statement).fetchall() for statement in statements][-1]
        return "\n".join("|".join(map(str, row)) for row in rows)


class DuckdbDatabase:
    """A DuckDB file, which a load of this process has to have open to write when a test does."""

    forever = "SELECT count(*) FROM range(1000000000000)"
    enough = 200

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql("SELECT 1")

    def target(self, table: str) -> Target:
        return Target(table_type=TableType.DUCKDB, database=str(self.path), table_name=table)

    def sql(self, *statements: str) -> str:
        with closing(connected(self.path, read_only=False)) as connection:
            rows = [connection.execute(statement).fetchall() for statement in statements][-1]
        return "\n".join("|".join(map(str, row)) for row in rows)


class PostgresDatabase:
    """The tests' PostgreSQL server."""

    forever = "SELECT pg_sleep(600)"
    enough = 200

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def target(self, table: str) -> Target:
        return self._server.target(table)

    def sql(self, *statements: str) -> str:
        return self._server.sql(*statements)


class SnowflakeDatabase:
    """A schema of a stand-in for Snowflake, reached through the connector as the driver does it."""

    forever = "SELECT SYSTEM$WAIT(600)"
    enough = 60
    password_env = "BENCHGATE_TEST_SNOWFLAKE_PASSWORD"

    def __init__(self, server: SnowflakeServer, schema_name: str) -> None:
        self.reference = ConnectionReference(
            host="127.0.0.1",
            port=server.port,
            account="fakesnow",
            username="fake",
            password_env=self.password_env,
        )
        self.schema_name = schema_name

    def target(self, table: str, table_type: TableType = TableType.STANDARD) -> Target:
        return Target(
            table_type=table_type,
            database="bench",
            schema_name=self.schema_name,
            table_name=table,
            warehouse_name=WAREHOUSE,
            connection=self.reference,
        )

    def sql(self, *statements: str) -> str:
        connector = importlib.import_module("snowflake.connector")
        connection = connector.connect(
            account="fakesnow",
            user="fake",
            password=PASSWORD,
            host="127.0.0.1",
            port=self.reference.port,
            protocol="http",
            database="bench",
            schema=self.schema_name,
            platform_detection_timeout_seconds=0.0,
            session_parameters={"QUERY_TAG": "a test"},
        )
        with closing(connection):
            cursor = connection.cursor()
            rows = [cursor.execute(statement).fetchall() for statement in statements][-1]
        return "\n".join("|".join(map(str, row)) for row in rows)


class Notes:
    """A recorder that keeps everything it hears."""

    def __init__(self) -> None:
        self.lag_ns: list[int] = []
        self.oversleep_ns: list[int] = []
        self.real_time_ns: list[int] = []
        self.notices: list[str] = []
        self.failures: list[tuple[QueryKind | None, FailureKind, str]] = []
        self.connections = 0
        self._meters = {kind: Meter() for kind in QueryKind}
        self._own_writes = Meter()
        self._lock = threading.Lock()

    @property
    def answered(self) -> list[QueryKind]:
        """The kind of each operation that was answered, kind by kind."""
        meters = [*self._meters.items(), (QueryKind.GENERIC_SQL, self._own_writes)]
        return [kind for kind, meter in meters for _ in meter.service_ns]

    def meter(self, kind: QueryKind, *, writes: bool = False) -> Meter:
        is_own_write = writes and kind is QueryKind.GENERIC_SQL
        return self._own_writes if is_own_write else self._meters[kind]

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        self.failures.append((kind, failure, message))

    def noticed(self, text: str) -> None:
        self.notices.append(text)

    def connections_changed(self, by: int) -> None:
        with self._lock:
            self.connections += by


class LedCourse:
    """A course that a test leads; without `begins` the load is called off when it could begin."""

    def __init__(self, connections: int, *, begins: bool = True, is_alone: bool = True) -> None:
        self.connections = connections
        self.stopped = threading.Event()
        self.is_first = True
        self.is_alone = is_alone
        self.reached = anyio.Event()  # the connections are open
        self.start_ns = 0
        self._begins = begins

    async def ready(self) -> int | None:
        self.start_ns = perf_counter_ns() + START_AHEAD_NS
        self.reached.set()
        return self.start_ns if self._begins else None


def share(kind: QueryKind, share_pct: float, sql: str | None = None) -> QueryShare:
    """A part of a workload."""
    return QueryShare(kind=kind, share_pct=share_pct, writes=kind in WRITES, sql=sql)


def own(operation: Operation, sql: str, *parameters: object, share_pct: float = 100) -> QueryShare:
    """The same of a statement of a person's own, with what its template binds it to."""
    return QueryShare(
        kind=QueryKind.GENERIC_SQL,
        share_pct=share_pct,
        writes=operation is Operation.WRITE,
        sql=sql,
        parameters=parameters_of(parameters),
    )


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
    target: Target,
    workload: Sequence[QueryShare],
    *,
    connections: int = 2,
    at_start: int | None = None,
    arrivals: Arrivals | None = None,
) -> Assignment:
    """What one worker does with all the connections there are."""
    return Assignment(
        target=target,
        workload=tuple(workload),
        connections=connections,
        connections_at_start=connections if at_start is None else at_start,
        arrivals=arrivals,
        seed=7,
        application_name=f"benchgate {target.table_name}",
        connections_in_all=connections,
    )


async def until(holds: Callable[[], bool], limit_s: float = 15) -> None:
    """Wait for *holds* to hold."""
    with anyio.fail_after(limit_s):
        for pause in growing_pauses():
            if holds():
                return
            await anyio.sleep(pause)


@asynccontextmanager
async def driven(
    given: Assignment, notes: Notes, *, end_limit_s: float = END_LIMIT_S, is_alone: bool = True
) -> AsyncGenerator[LedCourse]:
    """The load of *given* runs inside; on leaving, it is stopped and has to end in good time.

    Unless it is alone, a crew has to end what its sessions are at.
    """
    driver: Driver = driver_for(given.target.table_type)
    course, ended = LedCourse(given.connections, is_alone=is_alone), anyio.Event()

    async def drive() -> None:
        try:
            await driver.drive(given, notes, course)
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drive)
        await course.reached.wait()
        yield course
        course.stopped.set()
        with anyio.fail_after(end_limit_s):
            await ended.wait()
    assert notes.connections == 0
