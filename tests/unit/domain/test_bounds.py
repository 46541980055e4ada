"""When a search is stopped: what its template names, and what a snapshot gives reason for."""

import pytest

from benchgate.domain.bounds import READY_SECONDS_MAX, Bound, bound_of
from benchgate.domain.runs import RunSnapshot, RunStatus
from tests.unit.examples import config_of

SEARCH = {"load_mode": "FIND_MAX_CONCURRENCY", "duration": None, "warmup": None}
BOUND = Bound(seconds_max=300, steps_max=10)


def limits(workers: int | None, each: int | None) -> dict[str, object]:
    return {"scaling": {"max_workers": workers, "max_connections": each}}


@pytest.mark.parametrize(
    ("keys", "seconds_max", "steps_max"),
    [
        ({}, 300, 10),
        ({"duration": 300}, 300, 10),
        ({"duration": 301}, 301, 11),
        ({"duration": 300, "warmup": 20}, 320, 10),
        ({"duration": 300, "step_duration_seconds": 10}, 300, 30),
        # The least with which a search can find anything.
        ({"duration": 6, "step_duration_seconds": 10}, 30, 3),
        ({"duration": 1, "step_duration_seconds": 3_600}, 10_800, 3),
        # Steps of 5, 15 and 25, and two retries.
        ({"duration": 300} | limits(1, 20), 300, 5),
        ({"duration": 300} | limits(2, 10), 300, 5),
        ({"duration": 300, "concurrency_increment": 1} | limits(1, 20), 300, 10),
        ({"duration": 300} | limits(1, 1), 300, 3),
        # A worker without a limit gets 200 connections.
        ({"duration": 3_000} | limits(1, None), 3_000, 23),
        ({"duration": 300} | limits(None, 1), 300, 10),
    ],
)
def test_a_search_may_take_what_its_template_names(
    keys: dict[str, object], seconds_max: int, steps_max: int
) -> None:
    bound = bound_of(config_of(**SEARCH | keys))
    assert bound == Bound(seconds_max=seconds_max, steps_max=steps_max)


@pytest.mark.parametrize("keys", [{}, {"load_mode": "QPS", "target_qps": 300}, {"duration": 1}])
def test_a_load_that_ends_by_its_time_needs_no_bound(keys: dict[str, object]) -> None:
    assert bound_of(config_of(**keys)) is None


def at(seconds: float, step: int | None, **found: object) -> RunSnapshot:
    known = {"run_id": "r-1", "status": "RUNNING", "elapsed_seconds": seconds, "current_step": step}
    return RunSnapshot.model_validate(known | found)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (0, None),
        (299.9, 10),
        (0, 0),
        (120, 4),
        # It got ready for so long that it has not had its steps yet.
        (300, None),
        (300 + READY_SECONDS_MAX - 1, 3),
    ],
)
def test_a_search_within_its_bound_goes_on(seconds: float, step: int | None) -> None:
    assert BOUND.broken_by(at(seconds, step)) is None


@pytest.mark.parametrize(
    ("seconds", "step", "reached"),
    [
        (300, 4, "300 s"),
        (300 + READY_SECONDS_MAX, 1, "300 s"),
        (4_000, None, "300 s"),
        (300, 11, "300 s"),
        (60, 11, "10 steps"),
    ],
)
def test_a_broken_bound_is_told_as_a_stop_and_by_what(
    seconds: float, step: int | None, reached: str
) -> None:
    stop = BOUND.broken_by(at(seconds, step))
    assert stop is not None
    assert stop.status is RunStatus.STOPPED
    assert stop.reason == f"Stopped by benchgate: its bound of {reached} was reached"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            {"best_concurrency": 15, "best_qps": 501.4},
            "; best so far 15 threads at 501 QPS",
        ),
        ({"best_concurrency": 15}, "; best so far 15 threads"),
        ({"best_concurrency": 0, "best_qps": 0.0}, ""),
        ({"best_qps": 501.4}, ""),
    ],
)
def test_a_stop_tells_what_was_found_and_no_more(found: dict[str, object], told: str) -> None:
    stop = BOUND.broken_by(at(300, 4, **found))
    assert stop is not None
    assert stop.reason == f"Stopped by benchgate: its bound of 300 s was reached{told}"
