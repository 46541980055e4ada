"""The one-second series, kept whole and shown thin."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchgate.backend.runs import RunTable
from benchgate.backend.series import SERIES_POINTS_MAX, SeriesTable
from benchgate.backend.store import SERIES, open_store
from benchgate.domain.contract import SeriesPoint
from tests.unit.backend.scripted import NOON
from tests.unit.examples import template_of


def point(second: int) -> SeriesPoint:
    return SeriesPoint(
        timestamp=NOON + timedelta(seconds=second),
        elapsed_seconds=second,
        warmup=second < 2,
        ops_per_sec=second * 10,
        p50_latency=None if second == 1 else 1.5,
        p95_latency=2,
        p99_latency=3,
        error_rate=0,
        active_connections=4,
    )


def filled(tmp_path: Path, count: int) -> SeriesTable:
    engine = open_store(tmp_path)
    table = SeriesTable(engine)
    rows = [point(n).model_dump() | {"run_id": "run-1", "number": n} for n in range(count)]
    with engine.begin() as connection:
        connection.execute(sa.insert(SERIES), rows)
    return table


def test_a_second_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    table = SeriesTable(open_store(tmp_path))
    table.add("run-1", 0, point(0))
    table.add("run-1", 1, point(1))
    table.add("run-2", 0, point(7))
    assert table.of("run-1") == (point(0), point(1))
    assert table.of("run-3") == ()


@pytest.mark.parametrize(("count", "step"), [(3_600, 1), (3_601, 2), (10_000, 3)])
def test_a_long_series_keeps_every_kth_second_and_always_the_last(
    tmp_path: Path, count: int, step: int
) -> None:
    kept = filled(tmp_path, count).of("run-1")
    assert len(kept) <= SERIES_POINTS_MAX
    seconds = [int(p.elapsed_seconds) for p in kept]
    assert seconds == sorted(range(count - 1, -1, -step))
    assert all(p == point(int(p.elapsed_seconds)) for p in kept)


def test_the_seconds_of_the_oldest_runs_are_dropped_when_there_are_too_many(
    tmp_path: Path,
) -> None:
    engine = open_store(tmp_path)
    table = SeriesTable(engine)
    runs = RunTable(engine)
    for run_id in ("run-old", "run-new", "run-newest"):
        runs.add(template_of(), run_id=run_id, seed=1, at=NOON)
        for second in range(3):
            table.add(run_id, second, point(second))
    table.forget_oldest(kept_max=6)
    assert [len(table.of(name)) for name in ("run-old", "run-new", "run-newest")] == [0, 3, 3]
    assert runs.get("run-old").status == "PREPARED"
