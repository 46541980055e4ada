"""Whole loads, with worker processes, on real databases."""

import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.ledger import DEAD_AFTER_S
from benchgate.backend.engine.load import Load, Tick
from benchgate.domain.failures import FailureKind
from benchgate.domain.findings import SessionsProof
from benchgate.domain.runs import Phase
from benchgate.domain.templates import QueryKind
from tests.integration.crews import Ear, carry_out, load_of, make_items, runs, workers, workers_of
from tests.integration.databases import (
    ALL_KINDS,
    Database,
    DuckdbDatabase,
    PostgresDatabase,
    SqliteDatabase,
    only,
    until,
)
from tests.integration.servers import PostgresServer

pytestmark = pytest.mark.anyio

LOOKUP = QueryKind.POINT_LOOKUP


@pytest.fixture
def items(tmp_path: Path) -> Target:
    file = SqliteDatabase(tmp_path / "items.db")
    make_items(file)
    return file.target("items")


async def test_a_run_is_warmed_up_measured_and_added_up(database: Database) -> None:
    make_items(database, "mixed")
    ear = Ear()
    # At full speed: the seconds are cut in time however busy a worker is.
    load = load_of(database.target("mixed"), ALL_KINDS, warmup_s=1, duration_s=2, think_time_ms=0)
    outcome = await carry_out(load, ear)
    assert outcome.failure is None
    # Two transactions of DuckDB's that meet at one row do not wait for each other.
    may_fail = {FailureKind.SERIALIZATION} if isinstance(database, DuckdbDatabase) else set[str]()
    assert {row.summary for row in outcome.errors} <= may_fail
    assert ear.heard == ["ready", "draining"]
    assert [tick.phase for tick in ear.ticks] == [
        Phase.WARMUP,
        Phase.MEASUREMENT,
        Phase.MEASUREMENT,
    ]
    assert [tick.elapsed_seconds for tick in ear.ticks] == [1, 2, 3]
    assert all(tick.metrics.active_connections == 4 for tick in ear.ticks)
    assert all(tick.metrics.qps > 0 for tick in ear.ticks)
    assert ear.ticks[0].metrics.total_queries == 0
    summary = outcome.summary
    assert summary is not None
    assert summary.total_queries == ear.ticks[-1].metrics.total_queries
    assert 1.9 < outcome.measured_seconds < 2.5
    assert outcome.elapsed_seconds >= 3
    assert summary.average_qps == pytest.approx(
        summary.total_queries / outcome.measured_seconds, abs=0.1
    )
    assert summary.p50_latency_ms is not None
    assert summary.p99_latency_ms is not None
    assert 0 < summary.p50_latency_ms <= summary.p99_latency_ms


async def test_a_run_leaves_nothing_beside_the_file(items: Target) -> None:
    outcome = await carry_out(load_of(items, ALL_KINDS), Ear())
    assert outcome.failure is None
    file = Path(items.database)
    assert list(file.parent.iterdir()) == [file]


async def test_a_stop_ends_the_run_early_and_keeps_what_was_measured(items: Target) -> None:
    stop = anyio.Event()

    async def stop_it(_: Tick) -> None:
        stop.set()

    outcome = await carry_out(load_of(items, only(LOOKUP), duration_s=600), Ear(stop_it), stop)
    assert outcome.failure is None
    assert outcome.summary is not None
    assert outcome.summary.total_queries > 0
    assert outcome.elapsed_seconds < 5


async def test_a_stop_in_the_warmup_leaves_nothing_measured(items: Target) -> None:
    stop = anyio.Event()

    async def stop_it(_: Tick) -> None:
        stop.set()

    load = load_of(items, only(LOOKUP), warmup_s=600)
    outcome = await carry_out(load, Ear(stop_it), stop)
    assert (outcome.summary, outcome.measured_seconds, outcome.failure) == (None, 0, None)


async def test_a_stop_before_the_start_starts_nothing(items: Target) -> None:
    stop = anyio.Event()
    stop.set()
    ear = Ear()
    outcome = await carry_out(load_of(items, only(LOOKUP)), ear, stop)
    assert (outcome.summary, outcome.failure, ear.heard) == (None, None, [])


async def test_a_load_that_cannot_begin_says_why(items: Target) -> None:
    lost = items.model_copy(update={"table_name": "nowhere"})
    ear = Ear()
    outcome = await carry_out(load_of(lost, only(LOOKUP)), ear)
    assert outcome.failure is not None
    assert "no such table: nowhere" in outcome.failure
    assert (outcome.summary, ear.heard) == (None, [])


async def test_a_killed_worker_fails_the_run(items: Target) -> None:
    async def kill_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            workers()[0].kill()

    outcome = await carry_out(load_of(items, only(LOOKUP), duration_s=600), Ear(kill_one))
    assert outcome.failure is not None
    assert "ended by SIGKILL" in outcome.failure


async def test_errors_are_counted_by_kind_with_the_first_message(database: Database) -> None:
    make_items(database)
    workload = (
        only(LOOKUP)[0].model_copy(update={"share_pct": 50.0}),
        only(QueryKind.INSERT, "INSERT INTO {table} VALUES (1, 'again')")[0].model_copy(
            update={"share_pct": 50.0}
        ),
    )
    outcome = await carry_out(load_of(database.target("items"), workload), Ear())
    assert outcome.summary is not None
    assert 40 < outcome.summary.error_rate < 60
    (row,) = outcome.errors
    assert (row.query_type, row.summary, row.level) == ("INSERT", "constraint", "WARNING")
    assert re.search("unique|duplicate", row.message.lower())
    assert row.count > 10
    assert row.earliest_occurrence is not None


async def test_a_run_in_which_nothing_works_fails_with_the_reason(database: Database) -> None:
    make_items(database)
    clash = only(QueryKind.INSERT, "INSERT INTO {table} VALUES (1, 'again')")
    outcome = await carry_out(load_of(database.target("items"), clash), Ear())
    assert outcome.failure is not None
    assert outcome.failure.startswith("Nothing worked at the end: ")
    assert re.search("unique|duplicate", outcome.failure.lower())


async def test_a_server_that_stops_in_the_middle_fails_the_run(
    mortal_postgres: PostgresServer,
) -> None:
    make_items(mortal_postgres)

    async def pull_the_plug(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            await anyio.to_thread.run_sync(mortal_postgres.stop)

    load = load_of(mortal_postgres.target("items"), only(LOOKUP), duration_s=600)
    outcome = await carry_out(load, Ear(pull_the_plug))
    assert outcome.failure is not None
    assert outcome.failure.startswith(f"Nothing worked for {DEAD_AFTER_S} s: ")
    assert outcome.summary is not None
    assert outcome.summary.total_queries > 0
    assert FailureKind.CONNECTION in {row.summary for row in outcome.errors}


async def test_what_does_not_end_is_ended_on_the_server(postgres: PostgresServer) -> None:
    make_items(PostgresDatabase(postgres), "slow")
    load = load_of(postgres.target("slow"), only(LOOKUP, PostgresDatabase.forever))
    killed = "SELECT sessions_killed FROM pg_stat_database WHERE datname = current_database()"
    before = int(postgres.sql(killed))
    outcome = await carry_out(load, Ear())
    assert (outcome.failure, outcome.errors) == (None, ())
    assert outcome.findings is not None
    assert outcome.findings.sessions == SessionsProof(found=0, left=0)
    await until(lambda: int(postgres.sql(killed)) == before + load.connections)


async def test_sessions_that_are_cut_off_do_not_end_the_run(postgres: PostgresServer) -> None:
    make_items(postgres)
    load = load_of(postgres.target("items"), only(LOOKUP), duration_s=3)
    name = application_name(load.run_id)

    async def cut_off(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            where = f"FROM pg_stat_activity WHERE application_name = '{name}'"
            await anyio.to_thread.run_sync(
                postgres.sql, f"SELECT pg_terminate_backend(pid) {where}"
            )

    ear = Ear(cut_off)
    outcome = await carry_out(load, ear)
    assert outcome.failure is None
    assert {row.summary for row in outcome.errors} == {"connection"}
    assert ear.ticks[-1].metrics.active_connections == 4
    assert postgres.sessions(name) == 0


PARENT = """
import anyio, sys
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load

class Ear:
    async def ready(self): print("ready", flush=True)
    async def ticked(self, tick): pass
    async def draining(self): pass

async def main():
    load = Load.model_validate_json(sys.argv[1])
    await drive(load, stop=anyio.Event(), observer=Ear())

anyio.run(main)
"""


@asynccontextmanager
async def parent_of(load: Load) -> AsyncGenerator[int]:
    """Another process that carries out *load*; its id, once the load has begun."""
    command = [sys.executable, "-c", PARENT, load.model_dump_json()]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        with anyio.fail_after(15):
            assert (await process.stdout.receive()).startswith(b"ready")
        yield process.pid


async def test_a_killed_parent_leaves_no_worker_and_no_session(postgres: PostgresServer) -> None:
    make_items(postgres)
    load = load_of(postgres.target("items"), only(LOOKUP, "SELECT pg_sleep(600)"), duration_s=600)
    name = application_name(load.run_id)
    async with parent_of(load) as pid:
        await until(lambda: postgres.sessions(name) == 4)
        orphans = workers_of(pid)
        assert orphans
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not any(runs(orphan) for orphan in orphans), limit_s=3)
        await until(lambda: postgres.sessions(name) == 0, limit_s=2)
