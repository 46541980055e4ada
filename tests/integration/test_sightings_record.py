"""Sightings as rows, on both databases that a record can lie in."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus, Sighting
from benchgate.gate import sighting_rows
from benchgate.gate.sighting_rows import read, write, write_stop
from benchgate.gate.store import SIGHTINGS
from tests.integration.records import minutes
from tests.unit.examples import METRICS, NOON, SUMMARY

BACKEND, OTHER_BACKEND = "b" * 64, "c" * 64
STOP = OwnStop(status=RunStatus.STOPPED, reason="Its time was over: “30 min”")
KEPT_RUNS_MAX = 5


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sighting_rows, "KEPT_RUNS_MAX", KEPT_RUNS_MAX)


def run(run_id: str = "r1", status: str = "RUNNING", **changes: Any) -> RunSnapshot:
    return RunSnapshot.model_validate({"run_id": run_id, "status": status} | changes)


def done(run_id: str = "r1") -> RunSnapshot:
    return run(
        run_id, "COMPLETED", summary=SUMMARY, started_at=NOON, updated_at=NOON, is_settled=True
    )


def put(engine: sa.Engine, *snapshots: RunSnapshot, at: float = 0, backend: str = BACKEND) -> None:
    """Keep these, seen *at* so many minutes after noon."""
    write(engine, backend, {one.run_id: (one, minutes(at)) for one in snapshots})


def kept(engine: sa.Engine, backend: str = BACKEND) -> list[str]:
    """The runs of a backend that are kept."""
    wanted = sa.select(SIGHTINGS.c.run_id).where(SIGHTINGS.c.backend == backend)
    with engine.connect() as connection:
        return sorted(connection.scalars(wanted))


def test_what_was_written_is_read_by_another_process(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    live = run("r2", metrics=METRICS, phase="MEASUREMENT", elapsed_seconds=7.25, reason="“ü” \n x")
    put(engine, done(), live)
    assert read(other_engine, BACKEND, "r1") == Sighting(snapshot=done())
    assert read(other_engine, BACKEND, "r2") == Sighting(snapshot=live)


def test_of_what_nobody_saw_nothing_is_kept(engine: sa.Engine) -> None:
    put(engine, done())
    assert read(engine, BACKEND, "r2") == Sighting()
    assert read(engine, OTHER_BACKEND, "r1") == Sighting()


def test_what_is_newer_takes_the_place_of_what_was_there(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    for process, snapshot in (
        (engine, run()),
        (other_engine, run(phase="WARMUP")),
        (engine, done()),
    ):
        put(process, snapshot)
        assert read(other_engine, BACKEND, "r1").snapshot == snapshot
    assert kept(engine) == ["r1"]


@pytest.mark.parametrize("late", [run(), run(status="COMPLETED"), run(status="FAILED")])
def test_a_last_word_is_not_overwritten_by_a_process_that_knows_less(
    engine: sa.Engine, other_engine: sa.Engine, late: RunSnapshot
) -> None:
    put(engine, done())
    put(other_engine, late, at=1)
    assert read(engine, BACKEND, "r1").snapshot == done()


def test_a_stop_is_kept_beside_what_was_seen_whichever_came_first(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    put(engine, run("r1"))
    for run_id in ("r1", "r2"):
        write_stop(engine, BACKEND, run_id, own_stop=STOP, at=minutes(1))
    put(other_engine, run("r2"), done("r1"), at=2)
    assert read(other_engine, BACKEND, "r1") == Sighting(snapshot=done("r1"), own_stop=STOP)
    assert read(other_engine, BACKEND, "r2") == Sighting(snapshot=run("r2"), own_stop=STOP)


def test_a_stop_that_came_too_late_is_forgotten_and_what_was_seen_is_not(engine: sa.Engine) -> None:
    put(engine, done())
    write_stop(engine, BACKEND, "r1", own_stop=STOP, at=minutes(1))
    write_stop(engine, BACKEND, "r1", own_stop=None, at=minutes(2))
    assert read(engine, BACKEND, "r1") == Sighting(snapshot=done())


@pytest.mark.usefixtures("_few")
def test_the_newest_runs_are_kept_and_no_more(engine: sa.Engine) -> None:
    for number in range(2 * KEPT_RUNS_MAX):
        put(engine, run(f"r{number}"), at=number)
    assert kept(engine) == [f"r{number}" for number in range(KEPT_RUNS_MAX, 2 * KEPT_RUNS_MAX)]


@pytest.mark.usefixtures("_few")
def test_of_many_that_come_at_once_no_more_are_kept(engine: sa.Engine) -> None:
    put(engine, run("old"), at=-1)
    put(engine, *(run(f"r{number}") for number in range(2 * KEPT_RUNS_MAX)))
    assert len(kept(engine)) == KEPT_RUNS_MAX
    assert "old" not in kept(engine)


@pytest.mark.usefixtures("_few")
def test_a_run_that_is_seen_again_is_no_old_one(engine: sa.Engine) -> None:
    put(engine, run("long"), at=0)
    for number in range(1, KEPT_RUNS_MAX):
        put(engine, run(f"r{number}"), at=number)
    put(engine, run("long", phase="MEASUREMENT"), at=KEPT_RUNS_MAX)
    put(engine, run("last"), at=KEPT_RUNS_MAX + 1)
    assert {"long", "last"} <= {*kept(engine)}
    assert "r1" not in kept(engine)


@pytest.mark.usefixtures("_few")
def test_no_backend_takes_the_room_of_another(engine: sa.Engine) -> None:
    put(engine, run("r1"), at=-60, backend=OTHER_BACKEND)
    for number in range(2 * KEPT_RUNS_MAX):
        put(engine, run(f"r{number}"), at=number)
    assert kept(engine, OTHER_BACKEND) == ["r1"]


def test_times_of_any_zone_are_in_order(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sighting_rows, "KEPT_RUNS_MAX", 1)
    write(engine, BACKEND, {"new": (run("new"), NOON)})
    earlier = (NOON - timedelta(minutes=1)).astimezone()
    write(engine, BACKEND, {"old": (run("old"), earlier)})
    assert kept(engine) == ["new"]
