"""The results of a comparison: each test beside the first, and what came of the yeses."""

import pytest

from benchgate.domain.approvals import Channel, ExecutionMode
from benchgate.domain.compared import cautions_of, compared
from benchgate.domain.comparisons import Comparison, ComparisonState, Step
from benchgate.domain.evidence import Evidence
from benchgate.domain.likeness import Caution, CautionKind
from benchgate.domain.templates import TemplateConfig
from benchgate.gate.blocks import Blocks
from benchgate.gate.tools.results import Page
from tests.unit.comparing import comparison_of, result_of_run
from tests.unit.examples import NOON, config_of, snapshot_of
from tests.unit.shown import CHOICES, DASHBOARD, LIVE, completed, finished, halfway, shapely

BLOCKS = Blocks()


def results_of(comparison: Comparison, **changes: object) -> str:
    known: dict[str, object] = {
        "hand_over": compared(comparison, live=LIVE),
        "comparison": comparison,
        "cautions": cautions_of(comparison),
        "is_local": False,
        "pages": [],
        "ended_count": sum(step.result is not None for step in comparison.steps),
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
        "| Medium | RUNNING | 0 | - | - | - | - | - | - | - |",
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
    bare = snapshot_of("COMPLETED", run_id="run-2")
    pages = [
        Page(variant="X-Small (1/2)", run=LIVE),
        Page(variant="Small (1/2)", run=bare),
        Page(variant="X-Small (2/2)", run=LIVE),
    ]
    text = results_of(finished(), pages=pages, ended_count=3)
    assert [line for line in text.splitlines() if "**Dashboard:**" in line] == [
        f"- X-Small (1/2): **Dashboard:** <{DASHBOARD}>",
        f"- X-Small (2/2): **Dashboard:** <{DASHBOARD}>",
    ]
    assert "Links and dashboards" not in text


def test_results_say_so_where_not_every_run_is_linked() -> None:
    pages = [Page(variant="X-Small (1/2)", run=LIVE)]
    text = results_of(finished(), pages=pages, ended_count=60)
    assert "Links and dashboards are those of the first 1 of 60 runs that have ended." in text
    assert "`get_results` with `run_ids` has those of the others." in text


def ran_as(run_id: str, test: int, qps: float, config: TemplateConfig) -> Step:
    result = result_of_run(run_id, average_qps=qps, p95_latency_ms=84)
    ran = {"run_id": run_id, "result": result, "config": config}
    return completed(test, qps, 84).model_copy(update=ran)


def test_results_list_singly_what_ran_with_another_configuration() -> None:
    before, after = config_of(duration=60), config_of(duration=300)
    ran = [(1, 293.3, before), (2, 600, after), (1, 37.3, after), (2, 610, after)]
    steps = tuple(ran_as(f"r{n}", *one) for n, one in enumerate(ran, start=1))
    changed = {"steps": steps, "position": 4, "state": ComparisonState.COMPLETED}
    text = results_of(comparison_of(2, 2).model_copy(update=changed))
    assert "| X-Small | COMPLETED | 1 | 37.3 |" in text
    assert "| Small | COMPLETED | 2 | 605 ± 5.00 |" in text
    lines = text.splitlines()
    place = lines.index(
        "**Not in the figures of X-Small:** 1 of its completed runs had another configuration "
        "than its newest, or one that is not known. Each stands alone:"
    )
    assert lines[place + 1] == (
        "- r1: 374,100 queries, 293 QPS, p50 12ms, p95 84ms, p99 89ms, errors 0.0%"
    )
    assert "Not in the figures of Small" not in text


def test_a_run_that_stands_alone_without_figures_says_so() -> None:
    silent = result_of_run("r0").model_copy(update={"summary_metrics": None})
    handed = compared(finished())
    assert handed.tests is not None
    first = handed.tests[0].model_copy(update={"left_out": ("r0",)})
    changes = {"tests": (first, *handed.tests[1:]), "results": (silent,)}
    text = results_of(finished(), hand_over=handed.model_copy(update=changes))
    assert "- r0: no figures" in text.splitlines()


def test_a_figure_that_is_a_lower_bound_says_so_beside_its_test() -> None:
    first, second = finished().steps
    assert first.result is not None
    note = "Limited by the load generator: treat QPS as a lower bound."
    noted = first.model_copy(update={"result": first.result.model_copy(update={"reason": note})})
    text = results_of(finished(steps=(noted, second)))
    assert [line for line in text.splitlines() if "Note" in line] == [
        f"- **Note** on X-Small: {note}"
    ]


def test_however_many_notes_there_are_results_stay_short() -> None:
    handed = compared(finished())
    assert handed.tests is not None
    notes = tuple(f"r{number}: a lower bound" for number in range(30))
    first = handed.tests[0].model_copy(update={"notes": notes})
    tests = (first, *handed.tests[1:])
    text = results_of(finished(), hand_over=handed.model_copy(update={"tests": tests}))
    assert text.count("**Note** on X-Small") == 5
    assert "- … and 25 more on X-Small" in text.splitlines()


def test_a_run_that_stands_alone_keeps_its_note() -> None:
    alone = result_of_run("r0").model_copy(update={"reason": "a lower bound"})
    handed = compared(finished())
    assert handed.tests is not None
    first = handed.tests[0].model_copy(update={"left_out": ("r0",)})
    changes = {"tests": (first, *handed.tests[1:]), "results": (alone,)}
    text = results_of(finished(), hand_over=handed.model_copy(update=changes))
    assert "errors 0.0%. **Note:** a lower bound" in text


@pytest.mark.parametrize(
    ("cost", "known_local", "told"),
    [
        (0.34, False, "0.34 credits for the runs that have ended"),
        (0, False, "0 credits for the runs that have ended"),
        (0, True, "0 credits (local database) for the runs that have ended"),
        (None, False, "unknown for the runs that have ended"),
    ],
)
def test_the_cost_is_that_of_the_runs_that_have_ended(
    cost: float | None, known_local: bool, told: str
) -> None:
    handed = compared(finished()).model_copy(update={"estimated_cost": cost})
    text = results_of(finished(), hand_over=handed, is_local=known_local)
    assert f"**Estimated Cost:** {told}" in text.splitlines()


def test_before_any_run_has_ended_the_cost_is_unknown() -> None:
    assert "**Estimated Cost:** unknown" in results_of(comparison_of()).splitlines()


NEXT: dict[ComparisonState, str] = {
    ComparisonState.PLANNED: "Nothing runs. `start_comparison` asks the person",
    ComparisonState.AWAITING_CHOICE: "Nothing runs. `start_comparison` asks the person",
    ComparisonState.RUNNING: "start nothing yourself. Next: `get_comparison` with `wait_seconds`",
    ComparisonState.PAUSED: "then `start_comparison` asks about what is next",
    ComparisonState.INTERRUPTED: "`get_comparison` finds it out once the backend answers.",
    ComparisonState.COMPLETED: "D) Start another test: `list_templates`",
    ComparisonState.STOPPED: "Only if the person wants it resumed, `start_comparison` asks them.",
    ComparisonState.FAILED: "It cannot go on. `create_comparison` plans a new one",
}


@pytest.mark.parametrize("state", ComparisonState)
def test_results_end_with_what_comes_next_in_every_state(state: ComparisonState) -> None:
    lines = results_of(halfway(state=state, reason="A test failed.")).splitlines()
    assert NEXT[state] in lines[-1]
    assert f"**State:** {state.value.replace('_', ' ').upper()}" in lines
    assert "**Reason:** A test failed." in lines


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
