"""The combined hand-over: each test's figures, and what they differ from the first test's."""

from typing import Any

import pytest

from benchgate.domain.approvals import ApprovalState, Channel, ExecutionMode
from benchgate.domain.compared import METRICS, cautions_of, compared, is_local
from benchgate.domain.comparisons import Comparison, ComparisonState, StepState
from benchgate.domain.evidence import evidence_of
from benchgate.domain.likeness import Caution, CautionKind
from benchgate.domain.results import Figure, HandOver, RunResult, TestResult
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.templates import TemplateConfig
from tests.unit.comparing import SECONDS, comparison_of, result_of_run
from tests.unit.examples import NOON, approval_of, comparison_facts_of, config_of, snapshot_of


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
        found = [one.metric for one in result_in(over, number).figures]
        assert found == [metric for metric in METRICS if not metric.startswith("best_")]
    duration = result_in(over, 1).figure("duration_seconds")
    assert duration is not None
    assert duration.value == SECONDS
    assert result_in(over, 1).figure("made_up") is None


def test_what_searches_have_found_is_compared() -> None:
    found = [
        result.model_copy(update={"best_concurrency": 10 * number, "best_qps": 100.0 * number})
        for number, result in enumerate(of_qps(400, 500, 300), start=1)
    ]
    over = compared(comparison_with(*found))
    best, qps = result_in(over, 2).figure("best_concurrency"), result_in(over, 2).figure("best_qps")
    assert best is not None
    assert qps is not None
    assert (best.value, best.delta, qps.value, qps.delta) == (20, 10, 200, 100)


def test_a_test_carries_the_notes_of_the_runs_that_count() -> None:
    limited = [
        one.model_copy(update={"reason": "a lower bound"} if one.run_id != "r2" else {})
        for one in of_qps(400, 500)
    ]
    over = compared(comparison_with(*limited, tests=2))
    assert [one.notes for one in over.tests or ()] == [("a lower bound",), None]


def test_the_notes_of_a_repeated_test_say_of_which_run_they_are() -> None:
    first, second, third, fourth = of_qps(400, 500, 410, 490)
    first = first.model_copy(update={"reason": "a lower bound"})
    over = compared(comparison_with(first, second, third, fourth, tests=2, repeats=2))
    assert [one.notes for one in over.tests or ()] == [("r1: a lower bound",), None]


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
    # Nothing is spent yet, and what it will be nobody knows.
    assert (over.duration_seconds, over.estimated_cost) == (0, None)


def test_what_was_tried_in_vain_has_cost_something_too() -> None:
    fresh = comparison_of()
    tried = result_of_run("r0", "FAILED").model_copy(update={"estimated_cost": 0.5})
    first = fresh.steps[0].model_copy(update={"earlier_results": (tried,)})
    over = compared(fresh.model_copy(update={"steps": (first, *fresh.steps[1:])}))
    assert (over.estimated_cost, over.duration_seconds) == (0.5, SECONDS)


def ran_with(comparison: Comparison, *configs: TemplateConfig | None) -> Comparison:
    """*comparison*, whose first runs were started with *configs*; of None it is not known."""
    steps = list(comparison.steps)
    for number, config in enumerate(configs):
        steps[number] = steps[number].model_copy(update={"config": config})
    return comparison.model_copy(update={"steps": tuple(steps)})


SHORT, LONG = config_of(duration=60), config_of(duration=300)
TOLD_SHORT, TOLD_LONG = "60s after 5s of warm-up", "300s after 5s of warm-up"


def durations(*values: str) -> tuple[Caution, ...]:
    return (Caution(kind=CautionKind.DURATION, values=values),)


def test_runs_of_different_configurations_are_never_pooled() -> None:
    # A B A B, with the template of A changed after its first repetition.
    twice = comparison_with(*of_qps(300, 100, 40, 120), tests=2, repeats=2)
    over = compared(ran_with(twice, SHORT, SHORT, LONG, SHORT))
    first, second = qps_of(over, 1), qps_of(over, 2)
    assert (first.value, first.runs, first.std_error) == (40, 1, None)
    assert result_in(over, 1).run_ids == ("r3",)
    assert result_in(over, 1).left_out == ("r1",)
    assert over.results == (result_of_run("r1", average_qps=300),)
    assert (second.value, second.runs, second.delta, second.delta_pct) == (110, 2, 70, 175)
    assert result_in(over, 2).left_out == ()
    # They are runs of this comparison all the same.
    assert over.run_ids == ("r1", "r2", "r3", "r4")


def test_of_several_configurations_all_runs_of_the_newest_one_count() -> None:
    thrice = comparison_with(*of_qps(10, 1, 99, 1, 20, 1), tests=2, repeats=3)
    over = compared(ran_with(thrice, SHORT, SHORT, LONG, SHORT, SHORT, SHORT))
    assert (qps_of(over, 1).value, qps_of(over, 1).runs) == (15, 2)
    assert result_in(over, 1).left_out == ("r3",)


def test_a_newer_configuration_counts_once_a_run_of_it_has_completed() -> None:
    failed = result_of_run("r3", "FAILED")
    twice = comparison_with(*of_qps(300, 100), failed, tests=2, repeats=2)
    over = compared(ran_with(twice, SHORT, SHORT, LONG))
    assert (result_in(over, 1).run_ids, result_in(over, 1).left_out) == (("r1",), ())
    assert over.cautions == ()


def test_a_run_of_an_unknown_configuration_is_not_pooled_with_a_known_one() -> None:
    twice = comparison_with(*of_qps(300, 100, 40, 120), tests=2, repeats=2)
    over = compared(ran_with(twice, None, None, SHORT, SHORT))
    assert result_in(over, 1).left_out == ("r1",)
    # Of a record that knows none of them nothing can be told apart.
    assert qps_of(compared(twice), 1).runs == 2
    assert compared(twice).results is None


def test_cautions_are_of_what_ran_and_not_of_what_was_planned() -> None:
    two = comparison_with(*of_qps(300, 40), tests=2)
    differing = ran_with(two, SHORT, LONG)
    assert cautions_of(differing) == durations(TOLD_SHORT, TOLD_LONG)
    assert compared(differing).cautions == (CautionKind.DURATION,)
    alike = ran_with(two, LONG, LONG).model_copy(update={"cautions": durations("60s", "300s")})
    assert cautions_of(alike) == ()


def test_cautions_of_a_test_that_has_not_completed_are_as_planned() -> None:
    cautioned = {"tests": 3, "cautions": durations(TOLD_SHORT, TOLD_LONG, TOLD_LONG)}
    one = comparison_with(*of_qps(300), **cautioned)
    assert cautions_of(ran_with(one, SHORT)) == one.cautions
    # What has run is told as it was, whatever was planned.
    assert cautions_of(ran_with(one, LONG)) == ()


def test_without_any_known_configuration_cautions_are_as_planned() -> None:
    planned = durations("60s", "300s")
    assert cautions_of(comparison_with(*of_qps(1, 2), tests=2, cautions=planned)) == planned


def test_what_was_neither_planned_to_differ_nor_has_run_is_not_known() -> None:
    two_of_three = ran_with(comparison_with(*of_qps(1, 2)), SHORT, LONG)
    assert cautions_of(two_of_three) == durations(TOLD_SHORT, TOLD_LONG, "not known")


LOCAL, RENTED = config_of(table_type="SQLITE"), config_of(table_type="STANDARD")


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ((LOCAL, LOCAL), True),
        ((LOCAL, RENTED), False),
        ((LOCAL, None), False),
        ((RENTED, LOCAL, LOCAL, LOCAL), False),
        ((), False),
    ],
    ids=["all", "one is not", "one is not known", "one was not", "nothing has run"],
)
def test_a_comparison_is_local_only_where_every_run_of_every_test_is(
    configs: tuple[TemplateConfig | None, ...], expected: bool
) -> None:
    assert is_local(ran_with(comparison_of(2, 2), *configs)) is expected


def under_way(repeats: int = 1) -> Comparison:
    """Two tests, of which the first has completed once, and the run r2 is active."""
    first = comparison_with(*of_qps(300), tests=2, repeats=repeats, position=1)
    active = {"state": StepState.ACTIVE, "run_id": "r2"}
    second = first.steps[1].model_copy(update=active)
    steps = (first.steps[0], second, *first.steps[2:])
    return first.model_copy(update={"steps": steps})


@pytest.mark.parametrize(
    ("live", "status"),
    [
        (snapshot_of("RUNNING", run_id="r2"), "RUNNING"),
        (snapshot_of("CANCELLING", run_id="r2"), "CANCELLING"),
        (snapshot_of("FAILED", run_id="r2"), "FAILED"),
        (snapshot_of("SOMETHING_NEW", run_id="r2"), "SOMETHING_NEW"),
        # Its figures do not count before its end is on record.
        (snapshot_of("COMPLETED", run_id="r2"), "STOPPING"),
        (snapshot_of("RUNNING", run_id="r9"), "STARTING"),
        (None, "STARTING"),
    ],
    ids=lambda value: value.status if isinstance(value, RunSnapshot) else str(value),
)
def test_a_test_under_way_has_the_status_of_its_run(live: RunSnapshot | None, status: str) -> None:
    over = compared(under_way(), live=live)
    assert [one.status for one in over.tests or ()] == ["COMPLETED", status]
    assert result_in(over, 2).figures == ()
    repeated = compared(under_way(repeats=2), live=live)
    assert [one.status for one in repeated.tests or ()] == ["PENDING", status]
