"""What a whole load makes of a database, a disk or a worker that fails it."""

import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.ledger import DEAD_AFTER_S
from benchgate.backend.engine.load import Load, Outcome, Ramp, Schedule, Tick
from benchgate.domain.contract import ErrorRow
from benchgate.domain.failures import FailureKind
from benchgate.domain.search import SearchPlan
from benchgate.domain.templates import QueryKind, QueryShare, WorkerLoss
from tests.integration.crews import Ear, carry_out, load_of, make_items, workers
from tests.integration.databases import DuckdbDatabase, SqliteDatabase, only, share
from tests.integration.servers import PostgresServer

pytestmark = pytest.mark.anyio

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE

# What fails fails at once: without time to think a load would do nothing but fail.
CALM_MS = 20
ANSWER_S = 0.1


def alone(target: Target, workload: Sequence[QueryShare], **changes: Any) -> Load:
    """A load for which one worker is enough."""
    return load_of(target, workload, workers_max=1, **changes)


def row_of(outcome: Outcome, failure: FailureKind) -> ErrorRow:
    """The one row of that kind in the outcome's errors."""
    (row,) = (row for row in outcome.errors if row.summary == failure)
    return row


@pytest.fixture
def items(postgres: PostgresServer) -> Iterator[Target]:
    """A table of the test's own, in the server that all share, and whoever may use it."""
    table = f"items_{random.randrange(10**9)}"
    make_items(postgres, table)
    postgres.sql(f"CREATE ROLE {table} LOGIN", f"GRANT ALL ON {table} TO {table}")
    yield reached_by(postgres.target(table), table)
    postgres.sql(f"DROP TABLE IF EXISTS {table}", f"DROP ROLE {table}")


def reached_by(target: Target, username: str) -> Target:
    """*target* for that user."""
    assert target.connection is not None
    connection = target.connection.model_copy(update={"username": username})
    return target.model_copy(update={"connection": connection})


def limited(postgres: PostgresServer, role: str, limit: int) -> None:
    """Let *role* have so many connections at most."""
    postgres.sql(f"ALTER ROLE {role} CONNECTION LIMIT {limit}")


async def test_a_server_that_is_restarted_is_loaded_on(mortal_postgres: PostgresServer) -> None:
    make_items(mortal_postgres)

    async def restart(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            await anyio.to_thread.run_sync(mortal_postgres.stop)
            await anyio.to_thread.run_sync(mortal_postgres.start)

    target = mortal_postgres.target("items")
    ear = Ear(restart)
    load = alone(target, only(LOOKUP), duration_s=7, think_time_ms=CALM_MS)
    outcome = await carry_out(load, ear)
    assert outcome.failure is None
    assert {row.summary for row in outcome.errors} == {FailureKind.CONNECTION}
    assert all(row.count >= 1 for row in outcome.errors)
    assert ear.ticks[-1].metrics.active_connections == 4
    assert ear.ticks[-1].metrics.qps > 0
    assert outcome.summary is not None
    assert 0 < outcome.summary.error_rate < 50
    assert outcome.findings is not None
    assert outcome.findings.sessions is not None
    assert outcome.findings.sessions.left == 0


async def test_too_few_connections_at_the_start_are_told_in_the_servers_words(
    postgres: PostgresServer, items: Target
) -> None:
    limited(postgres, items.table_name, 3)
    outcome = await carry_out(alone(items, only(LOOKUP)), ear := Ear())
    assert outcome.failure is not None
    assert "connections could be opened: too many connections for role" in outcome.failure
    assert (outcome.summary, ear.heard) == (None, [])
    assert postgres.sessions(application_name(f"run-{items.table_name}")) == 0


async def test_an_open_loop_goes_on_with_the_connections_that_it_can_have(
    postgres: PostgresServer, items: Target
) -> None:
    limited(postgres, items.table_name, 4)
    slow = only(LOOKUP, f"SELECT pg_sleep({ANSWER_S})")
    load = alone(
        items,
        slow,
        duration_s=3,
        connections=16,
        connections_at_start=2,
        schedule=Schedule(rate_per_s=100),
    )
    outcome = await carry_out(load, ear := Ear())
    assert outcome.failure is None
    assert ear.ticks[-1].metrics.active_connections == 4
    refused = row_of(outcome, FailureKind.RESOURCES)
    assert refused.query_type == "OTHER"
    assert "too many connections for role" in refused.message
    assert outcome.findings is not None
    assert outcome.findings.rate is not None
    assert not outcome.findings.rate.holds
    (note,) = (note for note in outcome.findings.notes if "refused" in note)
    assert "too many connections for role" in note


async def test_a_step_for_which_there_are_not_enough_connections_is_not_stable(
    postgres: PostgresServer, items: Target
) -> None:
    limited(postgres, items.table_name, 3)
    plan = SearchPlan(
        start_concurrency=2,
        increment=4,
        concurrency_max=6,
        steps_max=2,
        qps_stability_pct=50,
        latency_stability_pct=1_000,
        max_error_rate_pct=100,
    )
    load = alone(
        items,
        only(LOOKUP),
        duration_s=60,
        connections=6,
        connections_at_start=2,
        think_time_ms=CALM_MS,
        ramp=Ramp(plan=plan, step_seconds=2),
    )
    outcome = await carry_out(load, Ear())
    assert outcome.failure is None
    assert outcome.findings is not None
    assert outcome.findings.search is not None
    first, second = outcome.findings.search.steps
    assert (first.is_stable, second.is_stable) == (True, False)
    assert "3 of 6 connections could not be opened" in second.reasons
    found = outcome.findings.search.outcome
    assert found.best_concurrency == 2
    assert "3 of 6 connections could not be opened" in found.reason
    assert "too many connections for role" in row_of(outcome, FailureKind.RESOURCES).message


async def test_a_statement_that_takes_too_long_is_counted_as_a_timeout(
    postgres: PostgresServer, items: Target
) -> None:
    # The limit is 30 s; a function of the load's own makes it shorter for those that follow.
    hasten = f"hasten_{items.table_name}"
    shorter = "SELECT set_config('statement_timeout', '100', false)"
    postgres.sql(f"CREATE FUNCTION {hasten}() RETURNS text LANGUAGE sql AS $${shorter}$$")
    workload = (share(LOOKUP, 80, f"SELECT {hasten}()"), share(SCAN, 20, "SELECT pg_sleep(20)"))
    outcome = await carry_out(alone(items, workload, duration_s=2), Ear())
    postgres.sql(f"DROP FUNCTION {hasten}()")
    assert outcome.failure is None
    row = row_of(outcome, FailureKind.TIMEOUT)
    assert (row.query_type, row.level) == ("RANGE_SCAN", "ERROR")
    assert "statement timeout" in row.message
    assert row.count > 1


ANY_ORDER = """
WITH locked AS (SELECT id FROM {table} WHERE id < 4 ORDER BY random() FOR UPDATE)
UPDATE {table} AS t SET label = 'x' FROM locked WHERE t.id = locked.id
"""


@pytest.mark.parametrize(
    ("settings", "sql", "words"),
    [
        (["deadlock_timeout = '20ms'"], ANY_ORDER, "deadlock detected"),
        (
            ["default_transaction_isolation = 'serializable'"],
            "UPDATE {table} SET label = label || '' WHERE id = 1",
            "could not serialize access",
        ),
    ],
    ids=["deadlocks", "serialization failures"],
)
async def test_what_transactions_do_to_each_other_is_a_kind_of_its_own(
    postgres: PostgresServer, items: Target, settings: list[str], sql: str, words: str
) -> None:
    for setting in settings:
        postgres.sql(f"ALTER ROLE {items.table_name} SET {setting}")
    load = alone(items, only(UPDATE, sql), duration_s=2, think_time_ms=2)
    outcome = await carry_out(load, Ear())
    assert outcome.failure is None
    (row,) = outcome.errors
    assert (row.summary, row.query_type) == (FailureKind.SERIALIZATION, "UPDATE")
    assert words in row.message
    assert row.count > 1


async def test_writers_of_one_row_of_a_duckdb_file_are_a_kind_of_their_own(tmp_path: Path) -> None:
    file = DuckdbDatabase(tmp_path / "items.duckdb")
    make_items(file)
    sql = "UPDATE {table} SET label = label || '!' WHERE id = 7"
    load = alone(file.target("items"), only(UPDATE, sql), think_time_ms=1)
    outcome = await carry_out(load, Ear())
    assert outcome.failure is None
    (row,) = outcome.errors
    assert (row.summary, row.query_type) == (FailureKind.SERIALIZATION, "UPDATE")
    assert row.count > 1


A_PAGE_EACH = "INSERT INTO {table} (label) VALUES (hex(zeroblob(2000)))"
# A worker whose disk has room for so few pages more than the file has.
NEARLY_FULL = """
import sqlite3

def connect(*arguments, connect=sqlite3.connect, **settings):
    connection = connect(*arguments, **settings)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {max(PAGES, pages)}")
    return connection

sqlite3.connect = connect
"""


async def test_a_full_disk_is_counted_and_reads_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SqliteDatabase(tmp_path / "items.db")
    make_items(file)
    pages = int(file.sql("PRAGMA page_count")) + 2
    (tmp_path / "sitecustomize.py").write_text(NEARLY_FULL.replace("PAGES", str(pages)))
    with python_path(tmp_path, monkeypatch):
        load = alone(
            file.target("items"),
            (share(INSERT, 50, A_PAGE_EACH), share(LOOKUP, 50)),
            duration_s=2,
            think_time_ms=2,
        )
        outcome = await carry_out(load, ear := Ear())
    assert outcome.failure is None
    (row,) = outcome.errors
    assert (row.summary, row.query_type) == (FailureKind.RESOURCES, "INSERT")
    assert "full" in row.message
    assert ear.ticks[-1].metrics.qps > 0
    assert ear.ticks[-1].metrics.active_connections == 4


@contextmanager
def python_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Processes that are started inside look for modules in *folder* first."""
    with monkeypatch.context() as changed:
        changed.setenv("PYTHONPATH", str(folder), prepend=":")
        yield


async def test_what_is_gone_for_good_fails_the_run_with_the_reason(
    postgres: PostgresServer, items: Target, tmp_path: Path
) -> None:
    sqlite, duckdb = SqliteDatabase(tmp_path / "a.db"), DuckdbDatabase(tmp_path / "b.duckdb")
    for file in (sqlite, duckdb):
        make_items(file)
    outcomes: dict[str, Outcome] = {}

    async def lose(target: Target, word: str) -> None:
        async def take_away(tick: Tick) -> None:
            if tick.elapsed_seconds == 1:
                await anyio.to_thread.run_sync(takers[word])

        load = alone(target, only(LOOKUP), duration_s=60, think_time_ms=CALM_MS)
        outcomes[word] = await carry_out(load, Ear(take_away), is_alone=False)

    takers = {
        f'relation "public.{items.table_name}" does not exist': lambda: postgres.sql(
            f"DROP TABLE {items.table_name}"
        ),
        "no such table": lambda: sqlite.sql("DROP TABLE items"),
        # Nobody else can drop a table of a file that DuckDB has open.
        "there is no file": duckdb.path.unlink,
    }
    targets = (items, sqlite.target("items"), duckdb.target("items"))
    async with anyio.create_task_group() as tasks:
        for target, word in zip(targets, takers, strict=True):
            tasks.start_soon(lose, target, word)
    assert workers() == []
    for word, outcome in outcomes.items():
        assert outcome.failure is not None
        assert outcome.failure.startswith(f"Nothing worked for {DEAD_AFTER_S} s: ")
        assert word in outcome.failure
        assert outcome.summary is not None
        assert outcome.summary.total_queries > 0
    for word in [*takers][:2]:
        assert row_of(outcomes[word], FailureKind.MISSING).count > 4


def redistributed(items: Target) -> Load:
    return load_of(
        items,
        only(LOOKUP),
        duration_s=4,
        think_time_ms=CALM_MS,
        workers_min=2,
        worker_loss=WorkerLoss.REDISTRIBUTE,
    )


async def test_the_others_take_over_what_a_killed_worker_had(
    postgres: PostgresServer, items: Target
) -> None:
    async def kill_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            workers()[0].kill()

    outcome = await carry_out(redistributed(items), ear := Ear(kill_one))
    assert outcome.failure is None
    assert ear.ticks[-1].metrics.active_connections == 4
    assert outcome.findings is not None
    (note,) = (note for note in outcome.findings.notes if "SIGKILL" in note)
    assert "The others took its connections over." in note
    assert outcome.findings.generator.workers_lost == 1
    assert postgres.sessions(application_name(f"run-{items.table_name}")) == 0


async def test_a_schedule_is_not_taken_over(items: Target) -> None:
    async def kill_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            workers()[0].kill()

    load = redistributed(items).model_copy(update={"schedule": Schedule(rate_per_s=20)})
    outcome = await carry_out(load, Ear(kill_one))
    assert outcome.failure is not None
    assert "ended by SIGKILL" in outcome.failure
