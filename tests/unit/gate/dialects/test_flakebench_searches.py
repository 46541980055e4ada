"""A search while it goes on: its step's figures where no stream tells any, and the best so far."""

from datetime import timedelta
from typing import Any

import pytest

from benchgate.domain.runs import LiveMetrics, RunSnapshot
from benchgate.gate.dialects.flakebench.snapshots import snapshot_of, snapshot_of_frame
from tests.unit.examples import NOON
from tests.unit.gate.dialects.flakebench_samples import frame_of, recorded

STEP: dict[str, Any] = {
    "current_step": 4,
    "current_concurrency": 10,
    "current_qps": 501.6,
    "current_p95_latency_ms": 40.0,
    "current_p99_latency_ms": 60.0,
    "current_error_rate_pct": 0.5,
    "best_concurrency": 10,
    "best_qps": 501.4,
}
STEP_METRICS = LiveMetrics(qps=501.6, p95_latency_ms=40, p99_latency_ms=60, error_rate=0.5)


def told_by(found: dict[str, Any] | None, **changes: object) -> RunSnapshot:
    """What REST tells of a search that has *found* this."""
    test = recorded("rest_findmax_running", find_max_result=found, **changes)
    return snapshot_of(test, read_at=NOON)


def test_the_figures_of_a_step_are_live_ones_and_what_nobody_knows_stays_open() -> None:
    told = told_by(STEP).metrics
    assert told == STEP_METRICS
    assert told is not None
    assert (told.p50_latency_ms, told.active_connections, told.total_queries) == (None, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"current_qps": None},
        {"current_error_rate_pct": None},
        {"current_error_rate_pct": 101},
        {"current_qps": "many"},
        {"final_best_concurrency": 10},
    ],
)
def test_a_step_without_its_figures_has_none(change: dict[str, Any]) -> None:
    assert told_by(STEP | change).metrics is None


def test_a_step_that_has_done_nothing_yet_has_no_latencies() -> None:
    zeros = {"current_qps": 0.0, "current_p95_latency_ms": 0.0, "current_p99_latency_ms": 0.0}
    assert told_by(STEP | zeros).metrics == LiveMetrics(error_rate=0.5)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("RUNNING", "WARMUP"),
        ("STARTING", "PREPARING"),
        ("CANCELLING", "MEASUREMENT"),
        ("STOPPING", "PROCESSING"),
        ("CANCELLED", None),
        ("FAILED", None),
    ],
)
def test_figures_of_a_step_are_told_only_while_it_measures(status: str, phase: str | None) -> None:
    assert told_by(STEP, status=status, phase=phase).metrics is None


@pytest.mark.parametrize(("age_seconds", "is_the_frames"), [(4, True), (6, False)])
def test_a_newer_frame_knows_more_than_the_step(age_seconds: int, *, is_the_frames: bool) -> None:
    frame = frame_of("ws_findmax", "RUNNING", phase="MEASUREMENT")
    before = told_by(STEP, test_id=frame.test_id)
    heard = snapshot_of_frame(frame, before, read_at=NOON)
    test = recorded("rest_findmax_running", test_id=frame.test_id, find_max_result=STEP)
    told = snapshot_of(test, last=heard, read_at=NOON + timedelta(seconds=age_seconds))
    assert heard.metrics is not None
    assert heard.metrics != STEP_METRICS
    assert told.metrics == (heard.metrics if is_the_frames else STEP_METRICS)


def test_the_best_so_far_is_told_and_outlives_the_search() -> None:
    live = told_by(STEP)
    assert (live.best_concurrency, live.best_qps) == (10, 501.4)
    stopped = recorded("rest_findmax_running", status="CANCELLED", find_max_result=None)
    told = snapshot_of(stopped, last=live)
    assert (told.best_concurrency, told.best_qps) == (10, 501.4)


def test_a_frame_tells_the_best_so_far_too() -> None:
    frame = frame_of("ws_findmax", "RUNNING", phase="MEASUREMENT")
    assert frame.find_max is not None
    known = RunSnapshot(run_id=frame.test_id, status="RUNNING")
    told = snapshot_of_frame(frame, known, read_at=NOON)
    assert told.best_concurrency == frame.find_max.best_concurrency == 10


def test_a_first_step_that_is_not_stable_is_no_best() -> None:
    told = told_by(STEP | {"best_concurrency": 0, "best_qps": 0.0})
    assert (told.best_concurrency, told.best_qps) == (None, None)
