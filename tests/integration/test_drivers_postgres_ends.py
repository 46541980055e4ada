"""How a load on PostgreSQL ends, and what stands by to end its sessions."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter_ns

import anyio
import pytest

from benchgate.backend.drivers.port import SessionsEnded, Standby, Target
from benchgate.backend.drivers.postgres import loop
from benchgate.backend.drivers.postgres import standby as standby_module
from benchgate.backend.drivers.postgres.client import DEFAULT_NAME
from benchgate.backend.drivers.postgres.driver import PostgresDriver
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from tests.integration.databases import (
    LedCourse,
    Notes,
    PostgresDatabase,
    assignment,
    driven,
    only,
    until,
)
from tests.integration.items import kinds, make_items, sessions_that
from tests.integration.servers import PostgresServer

pytestmark = pytest.mark.anyio

LOOKUP = QueryKind.POINT_LOOKUP
BUSY = "SELECT count(*) FROM generate_series(1, 1e12::bigint)"


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    return make_items(postgres)


@pytest.mark.parametrize(
    ("sql", "claim"),
    [
        (None, "true"),
        (PostgresDatabase.forever, "wait_event = 'PgSleep'"),
        (BUSY, "state = 'active'"),
        ("SELECT pg_advisory_lock(1), pg_sleep(600)", "wait_event_type IN ('Lock', 'Timeout')"),
    ],
)
async def test_a_stop_clears_64_sessions_of_any_sort(
    postgres: PostgresServer, items: Target, sql: str | None, claim: str
) -> None:
    given, notes = assignment(items, only(LOOKUP, sql), connections=64), Notes()
    # 64 sessions that compute leave a machine of two cores little time for anything else.
    async with driven(given, notes, end_limit_s=10):
        await until(lambda: sessions_that(postgres, given, claim) == 64, limit_s=60)
    await until(lambda: postgres.sessions(given.application_name) == 0, limit_s=2)
    assert notes.failures == []


async def test_a_stop_leaves_it_to_the_crew_to_end_what_sessions_are_at(
    postgres: PostgresServer, items: Target
) -> None:
    given = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=4)
    async with standing_by(items, given.application_name) as standby:
        async with driven(given, Notes(), is_alone=False) as course:
            await until(lambda: sessions_that(postgres, given, "wait_event = 'PgSleep'") == 4)
            course.stopped.set()
            began_ns = perf_counter_ns()
            standby.end(in_flight_s=0)
        assert perf_counter_ns() - began_ns < loop.FINISH_LIMIT_NS


async def test_sessions_that_nobody_ends_are_given_up(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=4), Notes()
    async with driven(given, notes, is_alone=False):
        await until(lambda: sessions_that(postgres, given, "wait_event = 'PgSleep'") == 4)
    await until(lambda: postgres.sessions(given.application_name) == 0)
    assert notes.failures == []


async def test_a_stop_gets_by_without_a_connection_to_spare(
    mortal_postgres: PostgresServer,
) -> None:
    make_items(mortal_postgres)
    mortal_postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 4", "GRANT ALL ON items TO few")
    target = mortal_postgres.target("items", username="few")
    given, notes = assignment(target, only(LOOKUP, BUSY), connections=4), Notes()
    async with driven(given, notes):
        await until(lambda: sessions_that(mortal_postgres, given, "state = 'active'") == 4)
    await until(lambda: mortal_postgres.sessions(given.application_name) == 0, limit_s=2)
    assert notes.failures == []


@asynccontextmanager
async def standing_by(target: Target, name: str) -> AsyncGenerator[Standby]:
    """A standby that serves inside, and has let go of its session on leaving."""
    standby = PostgresDriver().stand_by(target, name, connections=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(standby.serve)
        with anyio.fail_after(5):
            await standby.settled.wait()
        yield standby
        tasks.cancel_scope.cancel()


async def test_a_standby_ends_those_first_that_have_taken_long(
    postgres: PostgresServer, items: Target
) -> None:
    long, short = Notes(), Notes()
    # Both bear the same name, as the workers of one run do.
    sleeping = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=3)
    working = assignment(items, only(LOOKUP), connections=2)
    async with (
        standing_by(items, working.application_name) as standby,
        driven(sleeping, long),
        driven(working, short),
    ):
        await until(lambda: sessions_that(postgres, sleeping, "wait_event = 'PgSleep'") == 3)
        await anyio.sleep(0.3)
        standby.end(in_flight_s=0.3)
        await until(lambda: len(long.failures) == 3)
        answered = len(short.answered)
        await until(lambda: len(short.answered) > answered + 100)
        assert short.failures == []
        standby.end(in_flight_s=0)
        await until(lambda: len(short.failures) == 2)
    assert kinds(short) | kinds(long) == {(LOOKUP, FailureKind.CONNECTION)}


async def test_a_standby_holds_its_session_no_longer_than_it_serves(
    postgres: PostgresServer, items: Target
) -> None:
    ours = postgres.sessions(DEFAULT_NAME)
    async with standing_by(items, "any"):
        await until(lambda: postgres.sessions(DEFAULT_NAME) == ours + 1)
    await until(lambda: postgres.sessions(DEFAULT_NAME) == ours)


async def test_a_standby_that_is_lost_comes_back_for_what_is_wished(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=3), Notes()
    async with driven(given, notes), standing_by(items, given.application_name) as standby:
        await until(lambda: sessions_that(postgres, given, "wait_event = 'PgSleep'") == 3)
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = '{DEFAULT_NAME}'"
        )
        await until(lambda: postgres.sessions(DEFAULT_NAME) == 0)
        standby.end(in_flight_s=0)
        await until(lambda: len(notes.failures) == 3, limit_s=3)


@pytest.mark.parametrize(("connections", "stands_by"), [(3, 1), (4, 0)])
async def test_a_standby_takes_no_connection_that_the_load_may_need(
    mortal_postgres: PostgresServer, connections: int, stands_by: int
) -> None:
    make_items(mortal_postgres)
    mortal_postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 4", "GRANT ALL ON items TO few")
    target = mortal_postgres.target("items", username="few")
    given, notes = (
        assignment(target, only(LOOKUP, PostgresDatabase.forever), connections=2),
        Notes(),
    )
    name = given.application_name
    standby = PostgresDriver().stand_by(target, name, connections=connections)
    async with driven(given, notes), anyio.create_task_group() as tasks:
        await until(lambda: sessions_that(mortal_postgres, given, "wait_event = 'PgSleep'") == 2)
        tasks.start_soon(standby.serve)
        with anyio.fail_after(5):
            await standby.settled.wait()
        await until(lambda: mortal_postgres.sessions(DEFAULT_NAME) == stands_by)
        # When the load ends it does not grow any more.
        standby.end(in_flight_s=0)
        await until(lambda: len(notes.failures) == 2)
        tasks.cancel_scope.cancel()


async def test_a_standby_that_is_refused_does_not_ask_again_before_the_end(
    mortal_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_module, "RETRY_S", 0.02)
    make_items(mortal_postgres)
    mortal_postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 2", "GRANT ALL ON items TO few")
    target = mortal_postgres.target("items", username="few")
    sleeping, notes = only(LOOKUP, PostgresDatabase.forever), Notes()
    given = assignment(target, sleeping, connections=2)
    standby = PostgresDriver().stand_by(target, given.application_name, connections=2)
    async with anyio.create_task_group() as tasks:
        async with driven(given, notes):
            tasks.start_soon(standby.serve)
            with anyio.fail_after(5):
                await standby.settled.wait()
        # The load has given both back.
        await anyio.sleep(0.3)
        assert mortal_postgres.sessions(DEFAULT_NAME) == 0
        standby.end(in_flight_s=0)
        await until(lambda: mortal_postgres.sessions(DEFAULT_NAME) == 1)
        tasks.cancel_scope.cancel()


async def test_a_standby_that_falls_silent_is_replaced_for_what_is_wished(
    mortal_postgres: PostgresServer,
) -> None:
    given, notes = assignment(make_items(mortal_postgres), only(LOOKUP), connections=2), Notes()
    ours = f"FROM pg_stat_activity WHERE application_name = '{DEFAULT_NAME}'"
    async with driven(given, notes), standing_by(given.target, given.application_name) as standby:
        pid = int(mortal_postgres.sql(f"SELECT pid {ours}"))
        os.kill(pid, signal.SIGSTOP)
        try:
            standby.end(in_flight_s=0)
            await until(lambda: len(notes.failures) == 2, limit_s=5)
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_standby_ends_nobody_elses_sessions(
    mortal_postgres: PostgresServer,
) -> None:
    make_items(mortal_postgres)
    mortal_postgres.sql("CREATE ROLE other LOGIN", "GRANT ALL ON items TO other")
    sleeping, notes = only(LOOKUP, PostgresDatabase.forever), Notes()
    theirs = assignment(mortal_postgres.target("items", username="other"), sleeping, connections=1)
    ours = theirs.model_copy(update={"target": mortal_postgres.target("items")})
    async with driven(theirs, notes), driven(ours, Notes()):
        await until(lambda: sessions_that(mortal_postgres, ours, "wait_event = 'PgSleep'") == 2)
        async with standing_by(ours.target, ours.application_name) as standby:
            standby.end(in_flight_s=0)
            await until(lambda: sessions_that(mortal_postgres, ours, "true") == 1)
    assert notes.failures == []


async def test_a_load_that_is_called_off_leaves_nothing(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = assignment(items, only(LOOKUP)), Notes()
    await PostgresDriver().drive(given, notes, LedCourse(2, begins=False))
    assert (notes.connections, notes.answered) == (0, [])
    await until(lambda: postgres.sessions(given.application_name) == 0)


async def test_a_load_that_is_cancelled_ends_as_if_it_were_stopped(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=4), Notes()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(PostgresDriver().drive, given, notes, LedCourse(4))
        await until(lambda: sessions_that(postgres, given, "wait_event = 'PgSleep'") == 4)
        tasks.cancel_scope.cancel()
    assert notes.connections == 0
    await until(lambda: postgres.sessions(given.application_name) == 0)


async def test_sessions_that_were_left_are_found_and_ended(
    postgres: PostgresServer, items: Target
) -> None:
    given = assignment(items, only(LOOKUP, PostgresDatabase.forever), connections=3)
    driver, name = PostgresDriver(), given.application_name
    async with driven(given, Notes()):
        await until(lambda: sessions_that(postgres, given, "wait_event = 'PgSleep'") == 3)
        ended = await driver.end_sessions(items, name)
    assert ended is not None
    assert ended.found >= 3
    await until(lambda: postgres.sessions(name) == 0)
    assert await driver.end_sessions(items, name) == SessionsEnded(found=0, left=0)
