"""The combined hand-over: each test's figures, and what they differ from the first test's."""

from typing import Any

import pytest

from benchgate.domain.approvals import ApprovalState, Channel, ExecutionMode
from benchgate.domain.compared import METRICS, compared
from benchgate.domain.comparisons import Comparison, ComparisonState, StepState
from benchgate.domain.evidence import evidence_of
from benchgate.domain.results import Figure, HandOver, RunResult, TestResult
from tests.unit.comparing import SECONDS, comparison_of, result_of_run
from tests.unit.examples import NOON, approval_of, comparison_facts_of


def comparison_with(*results: RunResult | None, **shape: Any) -> Comparison:
    """A comparison whose first runs have come to *results*; None has not run."""
    comparison = comparison_of(**shape)
    steps = list(comparison.steps)
    for number, result in enumerate(results):
        if result is not None:
            ended = {"state": StepState.ENDED, "run_id": result.run_id, "result": result}
            steps[number] = steps[number].model_copy(update=ended)
    return comparison.model_copy(update={"steps": tuple(steps)})


def of_qps(*figures: float) -> list[RunResult]:
    """A completed run for each of *figures*."""
    return [result_of_run(f"r{n}", average_qps=qps) for n, qps in enumerate(figures, start=1)]


def result_in(over: HandOver, number: int) -> TestResult:
    assert over.tests is not None
    return over.tests[number - 1]


def qps_of(over: HandOver, number: int) -> Figure:
    figure = result_in(over, number).figure("average_qps")
    assert figure is not None
    return figure


def test_each_tests_difference_from_the_first_is_told_absolute_and_in_percent() -> None:
    over = compared(comparison_with(*of_qps(400, 500, 300)))
    assert qps_of(over, 1) == Figure(
        metric="average_qps", value=400, runs=1, std_error=None, delta=None, delta_pct=None
    )
    assert (qps_of(over, 2).delta, qps_of(over, 2).delta_pct) == (100, 25)
    assert (qps_of(over, 3).delta, qps_of(over, 3).delta_pct) == (-100, -25)


def test_every_metric_is_told_in_a_fixed_order() -> None:
    over = compared(comparison_with(*of_qps(400, 500, 300)))
    for number in (1, 2, 3):
        assert [one.metric for one in result_in(over, number).figures] == list(METRICS)
    duration = result_in(over, 1).figure("duration_seconds")
    assert duration is not None
    assert duration.value == SECONDS
    assert result_in(over, 1).figure("made_up") is None


def test_the_hand_over_names_runs_variants_and_state() -> None:
    comparison = comparison_with(*of_qps(1, 2, 3), state=ComparisonState.COMPLETED)
    over = compared(comparison, ledger_head="7:abc")
    assert over.run_ids == ("r1", "r2", "r3")
    assert over.variants == ("X-Small", "Small", "Medium")
    assert (over.comparison_id, over.comparison_type) == ("cmp-456abc", "warehouse_size")
    assert (over.status, over.ledger_head) == ("COMPLETED", "7:abc")
    assert (over.duration_seconds, over.estimated_cost) == (3 * SECONDS, 0)
    assert over.approvals is None


def test_the_hand_over_carries_the_evidence_of_its_yeses() -> None:
    yes = approval_of(
        comparison_facts_of(),
        state=ApprovalState.USED,
        answered_at=NOON,
        answered_through=Channel.PAGE,
        mode=ExecutionMode.SEQUENTIAL,
    )
    evidence = [evidence_of(yes, run_id) for run_id in ("r1", "r2", "r3")]
    over = compared(comparison_with(*of_qps(1, 2, 3)), approvals=evidence)
    assert over.approvals == tuple(evidence)


def test_several_runs_of_a_test_have_a_mean_with_its_number_and_error() -> None:
    # A B A B A B; the first test has 10, 12 and 14, whose standard deviation is 2.
    over = compared(comparison_with(*of_qps(10, 20, 12, 20, 14, 20), tests=2, repeats=3))
    first, second = qps_of(over, 1), qps_of(over, 2)
    assert (first.value, first.runs) == (12, 3)
    assert first.std_error == pytest.approx(2 / 3**0.5, abs=1e-6)
    assert (second.value, second.std_error) == (20, 0)
    assert (second.delta, second.delta_pct) == (8, 66.67)
    assert result_in(over, 1).run_ids == ("r1", "r3", "r5")


def test_a_mean_that_is_no_round_number_is_told_to_six_places() -> None:
    over = compared(comparison_with(*of_qps(1, 1, 0, 1, 0, 1), tests=2, repeats=3))
    first, second = qps_of(over, 1), qps_of(over, 2)
    assert (first.value, first.std_error) == (0.333333, 0.333333)
    # The figures that are told fit each other.
    assert second.delta == pytest.approx(second.value - first.value, abs=1e-6)
    assert second.delta_pct == pytest.approx(200, abs=1e-2)


def test_a_base_of_zero_has_no_percentage() -> None:
    results = [result_of_run("r1", error_rate=0), result_of_run("r2", error_rate=3)]
    second = result_in(compared(comparison_with(*results, tests=2)), 2).figure("error_rate")
    assert second is not None
    assert (second.value, second.delta, second.delta_pct) == (3, 3, None)


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "CANCELLED"])
def test_only_completed_runs_count(status: str) -> None:
    failed = result_of_run("r2", status, average_qps=9_999)
    over = compared(comparison_with(result_of_run("r1"), failed, state=ComparisonState.PAUSED))
    assert result_in(over, 2).status == status
    assert (result_in(over, 2).run_ids, result_in(over, 2).figures) == ((), ())
    assert over.run_ids == ("r1",)
    assert over.status == "PAUSED"
    # What it took and cost, it took and cost.
    assert over.duration_seconds == 2 * SECONDS


def test_a_test_that_has_not_run_is_pending() -> None:
    over = compared(comparison_with(result_of_run("r1")))
    assert [one.status for one in over.tests or ()] == ["COMPLETED", "PENDING", "PENDING"]
    assert result_in(over, 3).figures == ()


def test_a_test_is_complete_with_its_last_repetition() -> None:
    over = compared(comparison_with(*of_qps(1, 1, 3), tests=2, repeats=2))
    assert [one.status for one in over.tests or ()] == ["COMPLETED", "PENDING"]
    assert (qps_of(over, 1).value, qps_of(over, 1).runs, qps_of(over, 2).runs) == (2, 2, 1)
    failed = result_of_run("r4", "FAILED")
    over = compared(comparison_with(*of_qps(1, 1, 3), failed, tests=2, repeats=2))
    assert result_in(over, 2).status == "FAILED"
    assert qps_of(over, 2).runs == 1


@pytest.mark.parametrize("first", ["FAILED", "COMPLETED"])
def test_without_figures_of_the_first_test_nothing_differs_from_it(first: str) -> None:
    bare = result_of_run("r1", first).model_copy(update={"summary_metrics": None})
    over = compared(comparison_with(bare, result_of_run("r2")))
    assert result_in(over, 1).figures == ()
    assert result_in(over, 2).figures
    assert {(one.delta, one.delta_pct) for one in result_in(over, 2).figures} == {(None, None)}


def test_a_figure_that_one_run_lacks_is_left_out_of_the_mean() -> None:
    results = [result_of_run("r1", p50_latency_ms=None), result_of_run("r2")]
    over = compared(comparison_with(*results, tests=2))
    assert result_in(over, 1).figure("p50_latency_ms") is None
    second = result_in(over, 2).figure("p50_latency_ms")
    assert second is not None
    assert (second.value, second.delta) == (12, None)


def test_the_cost_of_all_is_unknown_as_soon_as_that_of_one_is() -> None:
    unknown = result_of_run("r1").model_copy(update={"estimated_cost": None})
    assert compared(comparison_with(unknown, result_of_run("r2"))).estimated_cost is None


def test_a_run_of_unknown_duration_adds_none() -> None:
    unknown = result_of_run("r1").model_copy(update={"duration_seconds": None})
    over = compared(comparison_with(unknown, result_of_run("r2")))
    assert over.duration_seconds == SECONDS


def test_nothing_has_come_of_what_has_not_run() -> None:
    over = compared(comparison_of())
    assert (over.run_ids, over.status) == ((), "PLANNED")
    assert (over.duration_seconds, over.estimated_cost) == (0, 0)
