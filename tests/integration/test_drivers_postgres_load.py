"""What the load on PostgreSQL does over time: schedules, growth, losses and silence."""

import os
import selectors
import signal
from collections import Counter
from functools import partial
from math import ceil
from time import perf_counter_ns

import anyio
import pytest

from benchgate.backend.drivers.port import Assignment, Target
from benchgate.backend.drivers.postgres import client, loop
from benchgate.backend.drivers.postgres.waits import PlainWaits
from benchgate.domain.arrivals import Arrivals, Spacing
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare
from tests.integration.databases import (
    ALL_KINDS,
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

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE
NS_PER_S = 1_000_000_000
# Two locks in a random order.
CROSSED = """
SELECT pg_advisory_xact_lock(first), pg_advisory_xact_lock(1 - first)
  FROM (SELECT (random() < 0.5)::int AS first OFFSET 0) AS drawn
"""


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    return make_items(postgres)


def open_loop(target: Target, rate_per_s: float, *, connections: int = 8) -> Assignment:
    """Lookups on a schedule, which begin on one connection."""
    arrivals = Arrivals(rate_per_s=rate_per_s, spacing=Spacing.CONSTANT, seed=1)
    return assignment(target, only(LOOKUP), connections=connections, at_start=1, arrivals=arrivals)


def p99(values_ns: list[int]) -> float:
    return sorted(values_ns)[ceil(len(values_ns) * 0.99) - 1]


async def test_a_stall_of_the_server_shows_in_the_response_and_not_in_the_service_times(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = open_loop(items, 300), Notes()
    meter = notes.meter(LOOKUP)
    async with driven(given, notes) as course:
        await until(lambda: len(meter.service_ns) > 100)
        stall = partial(postgres.sql, "BEGIN", "LOCK TABLE items", "SELECT pg_sleep(1)", "COMMIT")
        await anyio.to_thread.run_sync(stall)
        # All that fell due in the meantime is made up for, and nothing is left out.
        await until(lambda: max(notes.lag_ns) > 0.7 * NS_PER_S)
        await until(lambda: len(meter.service_ns) > 1_500)
        in_flight = len(notes.lag_ns) - len(meter.service_ns)
        assert in_flight <= given.connections
        course.stopped.set()
    assert notes.failures == []
    late = [ns for ns in meter.response_ns if ns > 0.1 * NS_PER_S]
    # Whoever was under way when the lock came waited for most of it; the burst after it is short.
    slow = [ns for ns in meter.service_ns if ns > 0.7 * NS_PER_S]
    assert len(slow) <= given.connections
    assert len(late) > 200
    assert p99(meter.response_ns) > 0.7 * NS_PER_S > p99(meter.service_ns)
    # It was not the generator that was late.
    assert len(notes.oversleep_ns) < len(notes.lag_ns)
    assert max(notes.oversleep_ns) < 0.7 * NS_PER_S


async def test_every_start_of_the_schedule_is_kept_in_order(items: Target) -> None:
    given, notes = open_loop(items, 500, connections=2), Notes()
    meter = notes.meter(LOOKUP)
    async with driven(given, notes) as course:
        await until(lambda: len(meter.service_ns) >= 500)
        course.stopped.set()
        elapsed_s = (perf_counter_ns() - course.start_ns) / NS_PER_S
    assert len(meter.response_ns) == len(meter.service_ns) == len(notes.lag_ns)
    assert len(notes.lag_ns) <= 500 * elapsed_s + 1
    assert all(lag_ns >= 0 for lag_ns in notes.lag_ns)
    pairs = zip(meter.response_ns, meter.service_ns, strict=True)
    assert all(response_ns >= service_ns for response_ns, service_ns in pairs)


async def test_an_open_loop_opens_no_more_connections_than_its_starts_need(
    postgres: PostgresServer, items: Target
) -> None:
    shared = only(LOOKUP, "SELECT pg_advisory_xact_lock_shared(7)")
    given, notes = open_loop(items, 20).model_copy(update={"workload": shared}), Notes()
    async with driven(given, notes):
        await until(lambda: len(notes.answered) > 20)
        assert notes.connections < given.connections
        with postgres.holding("SELECT pg_advisory_xact_lock(7)"):
            await until(lambda: notes.connections == given.connections)
            await until(lambda: sessions_that(postgres, given, "wait_event_type = 'Lock'") == 8)
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) > answered + 20)
    assert notes.failures == []


@pytest.mark.parametrize("sql", [None, "SELECT pg_sleep(0.01)"])
async def test_connections_rise_and_fall_with_the_course(
    postgres: PostgresServer, items: Target, sql: str | None
) -> None:
    given, notes = assignment(items, only(LOOKUP, sql), connections=24, at_start=2), Notes()
    async with driven(given, notes) as course:
        for wanted in (24, 3, 0, 9):
            course.connections = wanted
            await until(lambda wanted=wanted: notes.connections == wanted)
            await until(lambda wanted=wanted: sessions_that(postgres, given, "true") == wanted)
            answered = len(notes.answered)
            if wanted:
                await until(lambda answered=answered: len(notes.answered) > answered + 50)
    assert notes.failures == []


async def test_those_that_think_leave_at_once_when_fewer_are_wanted(items: Target) -> None:
    given, notes = assignment(items, only(LOOKUP), connections=4), Notes()
    given = given.model_copy(update={"think_time_ms": 3_600_000})
    async with driven(given, notes) as course:
        assert notes.connections == 4
        course.connections = 1
        await until(lambda: notes.connections == 1)


async def test_an_open_loop_takes_its_connections_back_when_fewer_are_allowed(
    items: Target,
) -> None:
    given, notes = open_loop(items, 200), Notes()
    given = given.model_copy(update={"connections_at_start": 8})
    async with driven(given, notes) as course:
        for wanted in (2, 0):
            course.connections = wanted
            await until(lambda wanted=wanted: notes.connections == wanted)
        waiting = len(notes.answered)
        course.connections = 4
        await until(lambda: len(notes.answered) > waiting + 100)
    assert notes.failures == []


async def test_deadlocks_and_serialization_failures_are_a_kind_of_their_own(
    mortal_postgres: PostgresServer,
) -> None:
    items = make_items(mortal_postgres)
    mortal_postgres.sql(
        "ALTER ROLE postgres SET deadlock_timeout = '10ms'",
        "ALTER ROLE postgres SET default_transaction_isolation = 'repeatable read'",
    )
    one_row = "UPDATE {table} SET label = label || '.' WHERE id = 1"
    for workload in (only(LOOKUP, CROSSED), only(UPDATE, one_row)):
        notes = Notes()
        async with driven(assignment(items, workload, connections=4), notes):
            await until(lambda notes=notes: bool(notes.failures and notes.answered))
        assert kinds(notes) == {(workload[0].kind, FailureKind.SERIALIZATION)}


async def test_growth_that_the_server_refuses_is_reported_and_holds_nothing_up(
    mortal_postgres: PostgresServer,
) -> None:
    make_items(mortal_postgres)
    mortal_postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 3", "GRANT ALL ON items TO few")
    target = mortal_postgres.target("items", username="few")
    given, notes = assignment(target, only(LOOKUP), connections=6, at_start=1), Notes()
    async with driven(given, notes):
        await until(lambda: notes.connections == 3 and bool(notes.failures))
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) > answered + 100)
        mortal_postgres.sql("ALTER ROLE few CONNECTION LIMIT -1")
        await until(lambda: notes.connections == 6)
    assert kinds(notes) == {(None, FailureKind.RESOURCES)}
    assert notes.failures[0][2] == 'too many connections for role "few"'


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STATEMENT_LIMIT_S", 1)
    notes = Notes()
    async with driven(assignment(items, only(LOOKUP, PostgresDatabase.forever)), notes):
        await until(lambda: len(notes.failures) >= 2)
        assert notes.connections == 2
    assert kinds(notes) == {(LOOKUP, FailureKind.TIMEOUT)}


async def test_a_server_that_falls_silent_is_cut_off(
    postgres: PostgresServer, items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SILENCE_LIMIT_NS", NS_PER_S // 2)
    given, notes = assignment(items, only(LOOKUP)), Notes()
    async with driven(given, notes):
        await until(lambda: len(notes.answered) > 50)
        where = f"application_name = '{given.application_name}'"
        pids = postgres.sql(f"SELECT pid FROM pg_stat_activity WHERE {where}").split()
        for pid in pids:
            os.kill(int(pid), signal.SIGSTOP)
        try:
            await until(lambda: len(notes.failures) >= 2)
            answered = len(notes.answered)
            await until(lambda: notes.connections == 2 and len(notes.answered) > answered + 50)
        finally:
            for pid in pids:
                os.kill(int(pid), signal.SIGCONT)
    assert notes.failures[0] == (LOOKUP, FailureKind.CONNECTION, "the server has fallen silent")


async def test_a_table_that_changes_in_the_middle_is_prepared_for_anew(
    postgres: PostgresServer, items: Target
) -> None:
    notes = Notes()
    async with driven(assignment(items, only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 50)
        postgres.sql("ALTER TABLE items ADD COLUMN remark text")
        await until(lambda: len(notes.failures) >= 2)
        answered = len(notes.answered)
        await until(lambda: notes.connections == 2 and len(notes.answered) > answered + 50)
    assert len(notes.failures) == 2
    assert "cached plan" in notes.failures[0][2]


async def test_rows_become_objects_only_where_the_template_asks_for_it(items: Target) -> None:
    # A date that no object of Python's can hold tells whether one was made.
    workload = only(LOOKUP, "SELECT 'infinity'::timestamptz")
    given, raw, decoded = assignment(items, workload), Notes(), Notes()
    async with driven(given, raw):
        await until(lambda: len(raw.answered) > 50)
    async with driven(given.model_copy(update={"decode_rows": True}), decoded):
        await until(lambda: len(decoded.failures) > 50)
    assert raw.failures == []
    assert decoded.answered == []
    assert kinds(decoded) == {(LOOKUP, FailureKind.OTHER)}


async def test_decoded_rows_of_every_kind_are_answered(items: Target) -> None:
    given, notes = assignment(items, ALL_KINDS).model_copy(update={"decode_rows": True}), Notes()
    async with driven(given, notes):
        await until(lambda: len(set(notes.answered)) == 4 and len(notes.answered) > 100)
    assert notes.failures == []


async def test_an_answer_of_many_rows_is_taken_in_pieces(items: Target) -> None:
    workload = only(SCAN, "SELECT i, repeat('x', 100) FROM generate_series(1, 25000) AS i")
    notes = Notes()
    async with driven(assignment(items, workload), notes):
        await until(lambda: len(notes.answered) > 5)
    assert set(notes.meter(SCAN).rows) == {25_000}


async def test_values_larger_than_any_buffer_are_sent(postgres: PostgresServer) -> None:
    postgres.sql(
        "DROP TABLE IF EXISTS papers",
        "CREATE TABLE papers (id integer PRIMARY KEY, body text)",
        "INSERT INTO papers SELECT i, repeat(i::text, 400000) FROM generate_series(1, 3) AS i",
    )
    notes = Notes()
    async with driven(assignment(postgres.target("papers"), only(UPDATE)), notes):
        await until(lambda: len(notes.answered) > 5)
    assert notes.failures == []
    assert postgres.sql("SELECT count(*) FROM papers WHERE length(body) = 400000") == "3"


async def test_sessions_on_a_scratch_copy_look_there_first(
    postgres: PostgresServer, items: Target
) -> None:
    postgres.sql(
        'DROP SCHEMA IF EXISTS "scratch of a run" CASCADE',
        'CREATE SCHEMA "scratch of a run"',
        'CREATE TABLE "scratch of a run".items (LIKE public.items INCLUDING ALL)',
        "INSERT INTO \"scratch of a run\".items VALUES (-1, 'scratch')",
    )
    scratch = items.model_copy(update={"schema_name": "scratch of a run", "copy_of": "public"})
    notes = Notes()
    workload = only(UPDATE, "UPDATE items SET label = 'written'")
    async with driven(assignment(scratch, workload), notes):
        await until(lambda: len(notes.answered) > 2)
    assert notes.failures == []
    assert postgres.sql("SELECT count(*) FROM items WHERE label = 'written'") == "0"
    postgres.sql('DROP SCHEMA "scratch of a run" CASCADE')


@pytest.mark.parametrize("workload", [ALL_KINDS, only(LOOKUP)])
async def test_a_system_without_epoll_carries_the_same_load(
    items: Target, monkeypatch: pytest.MonkeyPatch, workload: tuple[QueryShare, ...]
) -> None:
    monkeypatch.setattr(loop, "new_waits", lambda: PlainWaits(selectors.SelectSelector()))
    closed, opened = Notes(), Notes()
    async with driven(assignment(items, workload, connections=4, at_start=1), closed):
        await until(lambda: len(closed.answered) > 500 and closed.connections == 4)
    async with driven(open_loop(items, 500), opened):
        await until(lambda: len(opened.answered) > 500)
    assert closed.failures == opened.failures == []
    assert Counter(closed.answered).keys() == {share.kind for share in workload}
