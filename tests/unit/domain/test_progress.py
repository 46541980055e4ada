"""A comparison's progress: a line for each of its runs, and the load that is left."""

import pytest

from benchgate.domain.comparisons import Comparison, StepState, interleaved
from benchgate.domain.progress import (
    ProgressLine,
    elapsed_seconds,
    expected_seconds,
    finished,
    lines_of,
    remaining_seconds,
)
from benchgate.domain.runs import RunSnapshot
from tests.unit.comparing import SECONDS, comparison_of, result_of_run
from tests.unit.examples import METRICS, SUMMARY, config_of, snapshot_of

LIVE = snapshot_of(
    "RUNNING", run_id="r2", elapsed_seconds=26, expected_seconds=SECONDS, metrics=METRICS
)


def second_of_three(state: StepState = StepState.ACTIVE, status: str = "COMPLETED") -> Comparison:
    """A comparison whose first test ended in *status*, and whose second is in *state*."""
    first, second, third = interleaved(3, 1)
    ended = {"state": StepState.ENDED, "run_id": "r1", "result": result_of_run("r1", status)}
    present = {"state": state, "run_id": "r2"}
    steps = (first.model_copy(update=ended), second.model_copy(update=present), third)
    return comparison_of(steps=steps, position=1)


def with_open_end(number: int) -> Comparison:
    """The same, with a test of that number whose end nobody can foresee."""
    comparison = second_of_three()
    tests = list(comparison.tests)
    tests[number - 1] = tests[number - 1].model_copy(update={"expected_seconds": None})
    return comparison.model_copy(update={"tests": tuple(tests)})


def all_done() -> Comparison:
    steps = tuple(step.model_copy(update={"state": StepState.ENDED}) for step in interleaved(3, 1))
    return comparison_of(steps=steps, position=3)


def test_each_run_has_its_line_as_the_specification_shows_it() -> None:
    assert lines_of(second_of_three(), LIVE) == (
        ProgressLine(
            variant="X-Small", status="COMPLETED", run_id="r1", qps=1_247, p95_latency_ms=45
        ),
        ProgressLine(
            variant="Small",
            status="RUNNING",
            run_id="r2",
            progress_pct=40,
            qps=1_247,
            p95_latency_ms=45,
        ),
        ProgressLine(variant="Medium", status="PENDING"),
    )


def test_nothing_has_run_at_first() -> None:
    lines = lines_of(comparison_of(repeats=2), None)
    assert {line.status for line in lines} == {"PENDING"}
    assert [line.variant for line in lines[::3]] == ["X-Small (1/2)", "X-Small (2/2)"]


def test_a_run_that_did_not_complete_shows_what_it_measured() -> None:
    first = lines_of(second_of_three(status="FAILED"), None)[0]
    assert (first.status, first.qps, first.p95_latency_ms) == ("FAILED", 1_247, 45)
    assert first.is_partial


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "STOPPED", "COMPLETED"])
def test_only_what_ended_before_it_was_complete_has_partial_figures(status: str) -> None:
    recorded = lines_of(second_of_three(status=status), LIVE)
    ended = snapshot_of(status, run_id="r2", summary=SUMMARY)
    unrecorded = lines_of(second_of_three(), ended)
    is_partial = status != "COMPLETED"
    assert [line.is_partial for line in recorded] == [is_partial, False, False]
    assert [line.is_partial for line in unrecorded] == [False, is_partial, False]


def test_a_run_that_ended_without_figures_shows_none() -> None:
    comparison = second_of_three(status="FAILED")
    step = comparison.steps[0]
    assert step.result is not None
    silent = step.result.model_copy(update={"partial_metrics": None})
    bare = step.model_copy(update={"result": silent})
    steps = (bare, *comparison.steps[1:])
    first = lines_of(comparison.model_copy(update={"steps": steps}), None)[0]
    assert (first.status, first.qps, first.p95_latency_ms) == ("FAILED", None, None)
    assert not first.is_partial


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (StepState.PREPARED, "PENDING"),
        (StepState.STARTING, "STARTING"),
        (StepState.ACTIVE, "STARTING"),
    ],
)
@pytest.mark.parametrize(
    "live",
    [None, LIVE.model_copy(update={"run_id": "r9"}), snapshot_of("PREPARED", run_id="r2")],
    ids=["nothing", "another run", "not started"],
)
def test_without_news_a_run_shows_what_is_recorded(
    state: StepState, status: str, live: RunSnapshot | None
) -> None:
    line = lines_of(second_of_three(state), live)[1]
    assert line == ProgressLine(variant="Small", status=status, run_id="r2")


def test_a_run_without_metrics_yet_shows_its_status_alone() -> None:
    live = snapshot_of("STARTING", run_id="r2")
    line = lines_of(second_of_three(), live)[1]
    assert line == ProgressLine(variant="Small", status="STARTING", run_id="r2")


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (None, 2 * SECONDS),
        (LIVE, 2 * SECONDS - 26),
        (LIVE.model_copy(update={"run_id": "r9"}), 2 * SECONDS),
        # One that takes longer than it should does not make the others shorter.
        (LIVE.model_copy(update={"elapsed_seconds": 500}), SECONDS),
    ],
    ids=["nothing", "under load", "another run", "overdue"],
)
def test_what_is_left_is_the_load_of_all_that_has_not_completed(
    live: RunSnapshot | None, expected: float
) -> None:
    assert remaining_seconds(second_of_three(), live) == expected


def test_an_open_end_ahead_cannot_be_foreseen() -> None:
    assert remaining_seconds(with_open_end(3), LIVE) is None
    searching = LIVE.model_copy(update={"expected_seconds": None})
    assert remaining_seconds(with_open_end(2), searching) is None
    assert remaining_seconds(with_open_end(1), LIVE) == 2 * SECONDS - 26


def test_nothing_is_left_of_what_has_completed() -> None:
    assert remaining_seconds(all_done(), None) == 0


def test_what_is_finished_are_the_runs_before_the_position() -> None:
    comparison = second_of_three()
    assert finished(comparison) == comparison.steps[:1]
    assert finished(comparison_of()) == ()


def test_a_run_whose_end_is_not_recorded_yet_shows_its_final_figures() -> None:
    ended = snapshot_of("COMPLETED", run_id="r2", summary=SUMMARY, expected_seconds=SECONDS)
    line = lines_of(second_of_three(), ended)[1]
    assert (line.status, line.progress_pct, line.qps) == ("COMPLETED", None, SUMMARY.average_qps)
    silent = lines_of(second_of_three(), ended.model_copy(update={"summary": None}))[1]
    assert (silent.status, silent.qps, silent.p95_latency_ms) == ("COMPLETED", None, None)


def test_the_load_that_has_been_is_part_of_all_of_it() -> None:
    assert expected_seconds(second_of_three()) == 3 * SECONDS
    assert elapsed_seconds(second_of_three(), None) == SECONDS
    assert elapsed_seconds(second_of_three(), LIVE) == SECONDS + 26
    assert elapsed_seconds(second_of_three(), snapshot_of("RUNNING", run_id="r9")) == SECONDS
    assert elapsed_seconds(all_done(), None) == 3 * SECONDS


def test_of_a_test_whose_end_is_open_nobody_knows_how_long_it_takes() -> None:
    assert expected_seconds(with_open_end(2)) is None
    assert elapsed_seconds(with_open_end(1), None) == 0


def started_with(**configs: int) -> Comparison:
    """The same, with runs that were started with templates of other durations than planned."""
    comparison = second_of_three()
    steps = list(comparison.steps)
    for number, name in enumerate(("first", "second")):
        if name in configs:
            config = config_of(warmup=0, duration=configs[name])
            steps[number] = steps[number].model_copy(update={"config": config})
    return comparison.model_copy(update={"steps": tuple(steps)})


def test_what_a_run_was_started_with_counts_and_not_what_was_planned() -> None:
    comparison = started_with(first=10, second=300)
    assert expected_seconds(comparison) == 10 + 300 + SECONDS
    assert elapsed_seconds(comparison, None) == 10
    assert remaining_seconds(comparison, None) == 300 + SECONDS


def test_what_the_backend_says_of_the_run_under_way_counts_most() -> None:
    comparison = started_with(first=10, second=300)
    live = LIVE.model_copy(update={"expected_seconds": 120})
    assert expected_seconds(comparison, live) == 10 + 120 + SECONDS
    assert remaining_seconds(comparison, live) == 120 - 26 + SECONDS
    assert elapsed_seconds(comparison, live) == 10 + 26


def test_where_the_backend_does_not_know_the_end_what_was_started_counts() -> None:
    live = LIVE.model_copy(update={"expected_seconds": None})
    assert remaining_seconds(started_with(second=300), live) == 300 - 26 + SECONDS
