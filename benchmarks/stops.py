"""From the word to stop until PostgreSQL has no session of the run left.

Each stop is that of a load of its own with many connections, of which all are in a statement that
does not end by itself soon, or in lookups one after the other. Somebody else asks the server every
few milliseconds what it still has of the run. In the last kind nobody says stop: a worker is killed
while all of its sessions sleep, and the crew has to notice that and end the run as failed.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import anyio
import psycopg
from anyio import to_thread

from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load, Outcome
from benchgate.backend.engine.process import ProcessMember, ThisMachine
from benchgate.domain.templates import QueryShare
from benchmarks import ground
from benchmarks.ground import LOOKUP, TABLE, Deaf, rows_on_a_server
from benchmarks.table import Row, percentile
from demo.postgres import PostgresServer

STOPS = 20
CONNECTIONS = 64
BAR_S = 1.0
POLL_SECONDS = 0.01
LOAD_SECONDS = 60
LOOKUPS_SECONDS = 0.5
SETTLE_SECONDS_MAX = 20
GONE_SECONDS_MAX = 30

Session = psycopg.Connection[tuple[Any, ...]]

LEFT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
# In one statement for so long, and not between two of them.
STUCK = f"{LEFT} AND state = 'active' AND query_start < clock_timestamp() - interval '0.2 s'"
SLEEP = "SELECT pg_sleep(60)"
# Counted as it is made: from a function in FROM the server would write it to disk first.
COUNT = "SELECT count(*) FROM (SELECT generate_series(1, 1000000000000)) AS numbers"


class Deed(NamedTuple):
    """What the sessions are at when they are to end."""

    name: str
    share: QueryShare
    is_endless: bool = True
    is_locked_out: bool = False
    is_killed: bool = False


def _statement(sql: str) -> QueryShare:
    return LOOKUP.model_copy(update={"sql": sql})


class Deeds(Enum):
    """Everything that is stopped."""

    LOOKUPS = Deed("lookups", LOOKUP, is_endless=False)
    SLEEPING = Deed("sleeping", _statement(SLEEP))
    COUNTING = Deed("counting, CPU-bound", _statement(COUNT))
    LOCKED = Deed("waiting for a lock", LOOKUP, is_locked_out=True)
    KILLED = Deed("sleeping, a worker killed", _statement(SLEEP), is_killed=True)


class Ready(Deaf):
    """An observer that gives the word when the workers are connected."""

    def __init__(self) -> None:
        self.is_ready = anyio.Event()

    async def ready(self) -> None:
        """The load begins."""
        self.is_ready.set()


class Known(ThisMachine):
    """This machine as a place whose workers are remembered."""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[ProcessMember] = []

    async def start(self, number: int) -> ProcessMember:
        """A new worker."""
        member = await super().start(number)
        self.members.append(member)
        return member


async def rows() -> list[Row]:
    """The 95th percentile of each kind of stop."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    found: list[Row] = []
    for deed in Deeds:
        seconds = [await _seconds(server, deed.value, number) for number in range(STOPS)]
        figures = (
            (
                f"{CONNECTIONS} sessions gone, {deed.value.name}, p95",
                percentile(seconds, 95),
                BAR_S,
            ),
            ("  median", median(seconds), None),
            ("  longest", max(seconds), None),
        )
        found += [
            Row(name=name, measured=value, bar=bar, unit="s", decimals=2)
            for name, value, bar in figures
        ]
    return found


async def _seconds(server: PostgresServer, deed: Deed, number: int) -> float:
    load = ground.lookups(server, f"stop-{deed.name}-{number}", seconds=LOAD_SECONDS).model_copy(
        update={
            "workload": (deed.share,),
            "connections": CONNECTIONS,
            "connections_at_start": CONNECTIONS,
            "warmup_seconds": 0,
        }
    )
    with await to_thread.run_sync(ground.connected, server) as watcher:
        async with _locking(server) as lock:
            seconds, outcome = await _stopped(load, deed, watcher=watcher, lock=lock)
    assert (outcome.failure is not None) is deed.is_killed, outcome.failure
    assert outcome.findings is not None
    assert outcome.findings.sessions is not None, outcome.findings.remarks
    assert outcome.findings.sessions.left == 0, outcome.findings.sessions
    assert deed.is_killed or not outcome.errors, outcome.errors
    return seconds


async def _stopped(
    load: Load, deed: Deed, *, watcher: Session, lock: Callable[[], None]
) -> tuple[float, Outcome]:
    """How long *load* took to end, and what it came to."""
    stop, observer, place = anyio.Event(), Ready(), Known()
    outcomes: list[Outcome] = []
    seconds: list[float] = []
    count = partial(_count, watcher, name=application_name(load.run_id))

    async def carry_out() -> None:
        outcomes.append(await drive(load, stop=stop, observer=observer, workplace=place))
        observer.is_ready.set()  # in case that it was over before

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(carry_out)
        try:
            await observer.is_ready.wait()
            assert not outcomes, outcomes
            if deed.is_locked_out:
                await to_thread.run_sync(lock)
            await _settled(deed, partial(count, STUCK))
            began = time.monotonic()
            if deed.is_killed:
                place.members[0].kill()
            else:
                stop.set()
            gone = await _until(partial(count, LEFT), 0, limit_s=GONE_SECONDS_MAX)
            seconds.append(gone - began)
        finally:
            stop.set()
    return seconds[0], outcomes[0]


async def _settled(deed: Deed, stuck: Callable[[], int]) -> None:
    if deed.is_endless:
        await _until(stuck, CONNECTIONS, limit_s=SETTLE_SECONDS_MAX)
    else:
        await anyio.sleep(LOOKUPS_SECONDS)


async def _until(count: Callable[[], int], wanted: int, *, limit_s: float) -> float:
    """When there were as many as *wanted*, by the monotonic clock."""

    def poll() -> float:
        until = time.monotonic() + limit_s
        while (found := count()) != wanted:
            assert time.monotonic() < until, f"{found} sessions instead of {wanted}"
            time.sleep(POLL_SECONDS)
        return time.monotonic()

    return await to_thread.run_sync(poll)


def _count(watcher: Session, sql: str, *, name: str) -> int:
    rows: Sequence[tuple[Any, ...]] = watcher.execute(sql.encode(), (name,)).fetchall()
    return int(rows[0][0])


@asynccontextmanager
async def _locking(server: PostgresServer) -> AsyncGenerator[Callable[[], None]]:
    """A way to lock everyone else out of the table, until the end of this."""
    with await to_thread.run_sync(ground.connected, server) as holder:
        holder.autocommit = False
        yield lambda: _lock(holder)
        holder.rollback()


def _lock(holder: Session) -> None:
    holder.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
