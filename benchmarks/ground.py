"""A PostgreSQL server with pgbench's tables, and the two that load it: the engine and pgbench.

The server is fresh, listens on TCP loopback alone, and is ended and removed afterwards. Both send
the same prepared statement from as many processes, or threads, over as many connections; pgbench
draws from all keys of the table and the engine from 2,000 of them, and all of it lies in memory.
"""

import os
import tempfile
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import anyio
import psycopg

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load, Observer, Outcome, Tick
from benchgate.backend.engine.process import COMMAND, ProcessMember, ThisMachine
from benchgate.backend.engine.worker import DRIVERS
from benchgate.domain.findings import Findings
from benchgate.domain.objectives import KindFigures
from benchgate.domain.runs import Summary
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchmarks.table import Row
from demo import postgres
from demo.postgres import LOOPBACK, USERNAME, PostgresServer

CONNECTIONS = 8
WORKERS = 2
WARMUP_SECONDS = 1
LEAD_NS = 10_000_000
DATABASE = "postgres"
TABLE = "pgbench_accounts"
STATEMENT = "SELECT abalance FROM {table} WHERE aid = $1"  # what pgbench -S sends
LOOKUP = QueryShare(kind=QueryKind.POINT_LOOKUP, share_pct=100, writes=False, sql=STATEMENT)
PEER = ("-n", "-S", "-M", "prepared", "-c", str(CONNECTIONS), "-j", str(WORKERS))


class Deaf:
    """An observer that is not interested."""

    async def ready(self) -> None:
        """The workers are connected."""

    async def ticked(self, tick: Tick) -> None:
        """A second has passed."""

    async def draining(self) -> None:
        """The time is over."""


class Unprivileged(ThisMachine):
    """The place where workers may take no real-time priority, as most users may not."""

    async def start(self, number: int) -> ProcessMember:
        """A new worker process, which has that right by no limit and not because it is root's."""
        without = ["prlimit", "--rtprio=0:0"]
        if os.geteuid() == 0:
            without += ["setpriv", "--bounding-set=-sys_nice"]
        return ProcessMember(number, await anyio.open_process([*without, *COMMAND, DRIVERS]))


class Course:
    """A course that begins at once and is led by nobody but its end."""

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self.is_first = True
        self.is_alone = True
        self.stopped = threading.Event()
        self.has_begun = anyio.Event()

    async def ready(self) -> int:
        """The connections are open."""
        self.has_begun.set()
        return perf_counter_ns() + LEAD_NS


class Measured:
    """What a load came to that went as it should."""

    def __init__(self, outcome: Outcome) -> None:
        """Take *outcome* apart, in which nothing may have failed."""
        assert outcome.failure is None, outcome.failure
        assert outcome.summary is not None
        assert outcome.findings is not None
        assert outcome.summary.error_rate == 0, outcome.errors
        self.summary: Summary = outcome.summary
        self.findings: Findings = outcome.findings

    @property
    def figures(self) -> KindFigures:
        """Everything about the one kind of operation that was sent."""
        (figures,) = self.findings.kinds
        return figures


@asynccontextmanager
async def server() -> AsyncGenerator[PostgresServer]:
    """A server whose tables pgbench has filled."""
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as folder:
        async with postgres.running(Path(folder, "postgres")) as running:
            await pgbench(running, "-i", "-q")
            yield running


async def rows_on_a_server(
    measure: Callable[[PostgresServer], Awaitable[list[Row]]],
) -> list[Row]:
    """What *measure* measures on a server of its own."""
    async with server() as running:
        return await measure(running)


def lookups(running: PostgresServer, run_id: str, *, seconds: int) -> Load:
    """A closed loop of the lookups that pgbench sends, as hard as they go."""
    return Load(
        run_id=run_id,
        target=target(running),
        workload=(LOOKUP,),
        connections=CONNECTIONS,
        connections_at_start=CONNECTIONS,
        workers_min=WORKERS,
        workers_max=WORKERS,
        warmup_seconds=WARMUP_SECONDS,
        duration_seconds=seconds,
        seed=1,
    )


async def carried_out(
    load: Load, observer: Observer | None = None, workplace: ThisMachine | None = None
) -> Measured:
    """What *load* comes to, when it is left to itself."""
    return Measured(
        await drive(load, stop=anyio.Event(), observer=observer or Deaf(), workplace=workplace)
    )


def target(running: PostgresServer) -> Target:
    """The table that pgbench looks things up in."""
    return Target(
        table_type=TableType.POSTGRES,
        database=DATABASE,
        table_name=TABLE,
        connection=ConnectionReference(
            host=LOOPBACK, port=running.port, username=USERNAME, passfile=str(running.passfile)
        ),
    )


def connected(running: PostgresServer) -> psycopg.Connection[tuple[Any, ...]]:
    """A session of the measurement's own; it blocks, and belongs into a thread."""
    return psycopg.connect(
        host=LOOPBACK,
        port=running.port,
        user=USERNAME,
        passfile=str(running.passfile),
        dbname=DATABASE,
        autocommit=True,
    )


async def pgbench(running: PostgresServer, *arguments: str, by: Sequence[str] = ()) -> str:
    """What pgbench reports, which the command *by* has started."""
    command = [*by, str(running.psql.with_name("pgbench")), *arguments]
    done = await anyio.run_process(command, env=libpq_environment(running))
    return done.stdout.decode()


def libpq_environment(running: PostgresServer) -> dict[str, str]:
    """How a program that is built on libpq finds the server."""
    return {
        "PGHOST": LOOPBACK,
        "PGPORT": str(running.port),
        "PGUSER": USERNAME,
        "PGDATABASE": DATABASE,
        "PGPASSFILE": str(running.passfile),
    }
