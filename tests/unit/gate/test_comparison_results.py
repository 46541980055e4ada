"""The results of a comparison: each test beside the first, and what came of the yeses."""

from benchgate.domain.approvals import Channel, ExecutionMode
from benchgate.domain.compared import compared
from benchgate.domain.comparisons import Comparison, ComparisonState
from benchgate.domain.evidence import Evidence
from benchgate.domain.likeness import Caution, CautionKind
from benchgate.gate.blocks import Blocks
from tests.unit.comparing import comparison_of
from tests.unit.examples import NOON, snapshot_of
from tests.unit.shown import CHOICES, DASHBOARD, LIVE, completed, finished, halfway, shapely

BLOCKS = Blocks()


def results_of(comparison: Comparison, **changes: object) -> str:
    known: dict[str, object] = {
        "hand_over": compared(comparison),
        "comparison": comparison,
        "runs": [],
    }
    return shapely(BLOCKS.render("comparison_results", **known | changes))


def test_results_of_a_completed_comparison_offer_what_comes_next() -> None:
    assert results_of(finished()).splitlines()[-len(CHOICES) :] == CHOICES


def test_results_say_in_what_the_tests_are_not_like_with_like() -> None:
    caution = Caution(kind=CautionKind.DURATION, values=("60s", "300s"))
    lines = results_of(finished(cautions=(caution,))).splitlines()
    assert "- duration: `60s`, `300s`" in lines


def test_results_show_each_test_and_its_difference_from_the_first() -> None:
    rows = [line for line in results_of(halfway()).splitlines() if line.startswith("| ")]
    assert rows == [
        "| Variant | Status | Runs | QPS | P50 | P95 | P99 | Errors "
        "| QPS against X-Small | P95 against it |",
        "| X-Small | COMPLETED | 1 | 312 | 12ms | 156ms | 89ms | 0.0% | - | - |",
        "| Small | COMPLETED | 1 | 589 | 12ms | 84ms | 89ms | 0.0% "
        "| +277 (+88.8%) | -72.0 ms (-46.1%) |",
        "| Medium | PENDING | 0 | - | - | - | - | - | - | - |",
        "| Large | PENDING | 0 | - | - | - | - | - | - | - |",
    ]


def test_results_that_are_not_all_there_say_so_and_offer_nothing_yet() -> None:
    text = results_of(halfway())
    assert "Not every test has completed: compare only those that have, and say so." in text
    assert "Ready to analyze" not in text
    assert "Not every test" not in results_of(finished())


def test_repeated_results_are_means_with_their_standard_error() -> None:
    steps = [completed(number, qps, 84) for number, qps in ((1, 300), (2, 600), (1, 310), (2, 600))]
    twice = comparison_of(2, 2).model_copy(
        update={"steps": tuple(steps), "position": 4, "state": ComparisonState.COMPLETED}
    )
    text = results_of(twice)
    assert "| X-Small | COMPLETED | 2 | 305 ± 5.00 |" in text
    assert "| Small | COMPLETED | 2 | 600 ± 0 |" in text


def test_results_link_to_the_page_of_each_run_that_has_one() -> None:
    runs = [LIVE, snapshot_of("COMPLETED", run_id="run-2"), LIVE]
    assert results_of(finished(), runs=runs).count(f"**Dashboard:** <{DASHBOARD}>") == 2


def test_results_tell_on_whose_yes_each_run_was_started() -> None:
    approval = Evidence(
        run_id="run-1", channel=Channel.PAGE, answered_at=NOON, digest="d" * 64, note="go"
    )
    covered = approval.model_copy(update={"run_id": "run-2", "mode": ExecutionMode.SEQUENTIAL})
    comparison = finished()
    handed = compared(comparison, approvals=[approval, covered], ledger_head="7:abc")
    lines = results_of(comparison, hand_over=handed).splitlines()
    at = "`2026-01-01T12:00:00+00:00`"
    assert f'- run-1 was started on a person\'s yes: page, {at}, "go"' in lines
    assert f'- run-2 was started on a person\'s yes: page (sequential), {at}, "go"' in lines
    assert any(line.startswith("Keep `ledger_head`: ") for line in lines)
