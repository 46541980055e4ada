"""The blocks of comparisons: the specification's table and questions, in every state."""

import pytest

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import ApprovalState, ExecutionMode
from benchgate.domain.bounds import Bound
from benchgate.domain.comparisons import Comparison, ComparisonState, Cover
from benchgate.domain.facts import ComparisonFacts, Difference
from benchgate.domain.likeness import Caution, CautionKind
from benchgate.domain.progress import lines_of, remaining_seconds
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.matters import UNASKED, next_test_wording
from benchgate.gate.comparisons.service import View
from benchgate.gate.endings import Offer
from benchgate.gate.tools.answers import OpenComparison
from tests.unit.comparing import comparison_of
from tests.unit.examples import (
    HIGH,
    comparison_facts_of,
    config_of,
    facts_of,
    snapshot_of,
)
from tests.unit.shown import CHOICES, DASHBOARD, LIVE, finished, halfway, shapely

BLOCKS = Blocks()
CAUTIONS = (
    Caution(kind=CautionKind.DURATION, values=("60s", "300s")),
    Caution(kind=CautionKind.LOAD, values=("8 connections", "500 QPS")),
)
OUTCOMES = sorted({*StartOutcome} - {StartOutcome.STARTED})
every_state = pytest.mark.parametrize("state", ComparisonState)


def progress_of(comparison: Comparison, **changes: object) -> str:
    known: dict[str, object] = {
        "lines": lines_of(comparison, LIVE),
        "remaining_seconds": remaining_seconds(comparison, LIVE),
        "approval": None,
        "next_check_seconds": None,
    }
    return shapely(BLOCKS.render("comparison_progress", comparison=comparison, **known | changes))


def question_of(facts: ComparisonFacts, comparison: Comparison, *changed: Difference) -> str:
    return shapely(
        BLOCKS.render("comparison_question", facts=facts, changed=changed, comparison=comparison)
    )


def test_progress_is_the_specifications_table() -> None:
    assert progress_of(halfway(), next_check_seconds=17).splitlines() == [
        "## Comparison Test Progress",
        "",
        "**Comparison ID:** cmp-456abc",
        "**State:** running (A, sequential)",
        "",
        "| Variant | Status | QPS | P95 Latency |",
        "|---------|--------|-----|-------------|",
        "| X-Small | COMPLETED | 312 | 156ms |",
        "| Small | COMPLETED | 589 | 84ms |",
        "| Medium | RUNNING (75%) | 1,102 | 47ms |",
        "| Large | PENDING | - | - |",
        "",
        "**Estimated Time Remaining:** 1m 21s of load",
        "",
        "The server starts each next test by itself. Start nothing yourself. "
        "To stop the comparison: `stop_run` with run-3.",
        "",
        "Next: `get_comparison` with `wait_seconds` 17.",
    ]


SAYS: dict[ComparisonState, str] = {
    ComparisonState.PLANNED: "Nothing runs. `start_comparison` asks the person whether and how.",
    ComparisonState.AWAITING_CHOICE: "`start_comparison` asks the person whether and how.",
    ComparisonState.RUNNING: "The server starts each next test by itself.",
    ComparisonState.PAUSED: "then `start_comparison` asks about what is next",
    ComparisonState.INTERRUPTED: "What became of the run is not known.",
    ComparisonState.COMPLETED: "Ready to analyze results?",
    ComparisonState.STOPPED: "Only if the person wants it resumed, `start_comparison` asks them.",
    ComparisonState.FAILED: "It cannot go on.",
}


@every_state
@pytest.mark.parametrize("reason", [None, "A test failed."])
def test_every_state_says_what_it_waits_for(state: ComparisonState, reason: str | None) -> None:
    text = progress_of(halfway(state=state, reason=reason))
    assert f"**State:** {state.replace('_', ' ')} (A, sequential)" in text.splitlines()
    # The first question is the same one whether it has been put or not.
    others = {*SAYS} - {state, *UNASKED}
    assert [other for other in others if SAYS[other] in text] == []
    assert SAYS[state] in text
    assert ("**Reason:** A test failed." in text.splitlines()) is (reason is not None)
    is_over = state in {ComparisonState.COMPLETED, ComparisonState.FAILED}
    assert ("**Estimated Time Remaining:**" in text) is not is_over


def test_a_running_comparison_in_pause_mode_says_that_it_will_ask() -> None:
    text = progress_of(halfway(mode=ExecutionMode.PAUSE))
    assert "**State:** running (B, pause after each)" in text.splitlines()
    assert "After this test it pauses and the person is asked about the next one." in text


def test_a_series_without_its_yes_says_that_it_will_ask() -> None:
    lines = progress_of(halfway(cover=None)).splitlines()
    assert "**State:** running (A, sequential; only this test has a yes)" in lines
    assert lines[-1].startswith("After this test it pauses, and `start_comparison` asks")


@pytest.mark.parametrize("mode", ExecutionMode)
@pytest.mark.parametrize("cover", [None, Cover(approval_id="a1", last=3)])
def test_nothing_is_promised_after_the_last_test(mode: ExecutionMode, cover: Cover | None) -> None:
    last = halfway(mode=mode, cover=cover, position=3)
    started = BLOCKS.render("comparison_started", view=View(comparison=last, live=LIVE), run=LIVE)
    for text in (progress_of(last), started):
        assert "This is the last test: when it has completed, the comparison has." in text
        assert "next" not in text


def test_figures_of_a_test_that_did_not_complete_are_called_partial() -> None:
    lines = lines_of(halfway(), LIVE)
    partial = lines[1].model_copy(update={"status": "FAILED", "is_partial": True})
    rows = progress_of(halfway(), lines=(lines[0], partial)).splitlines()
    assert "| X-Small | COMPLETED | 312 | 156ms |" in rows
    assert "| Small | FAILED | 589 (partial) | 84ms (partial) |" in rows


def test_a_no_names_the_ways_out() -> None:
    text = progress_of(halfway(state=ComparisonState.PAUSED), approval="declined")
    assert "`benchgate approvals`" in text
    assert "`create_comparison`" in text
    assert "What has completed: `get_results` with `comparison_id`." in text


@every_state
def test_an_open_comparison_is_listed_with_its_next_step(state: ComparisonState) -> None:
    one = OpenComparison(
        comparison_id="cmp-456abc",
        comparison_type="warehouse_size",
        state=state,
        completed=2,
        run_count=4,
    )
    text = shapely(BLOCKS.render("comparisons", comparisons=[one]))
    moves = state in {ComparisonState.RUNNING, ComparisonState.INTERRUPTED}
    step = "get_comparison" if moves else "start_comparison"
    assert text.splitlines()[2] == (
        f"- cmp-456abc `warehouse_size`: {state.replace('_', ' ')}, 2 of 4 completed. "
        f"Next: `{step}`"
    )


def test_no_open_comparison_is_told_as_that() -> None:
    text = shapely(BLOCKS.render("comparisons", comparisons=[]))
    assert text.splitlines()[2:] == ["None. `create_comparison` plans one."]


def test_a_prepared_run_of_a_comparison_is_not_started_alone() -> None:
    run = snapshot_of("PREPARED")
    for approval in (None, *ApprovalState):
        text = BLOCKS.render("progress", run=run, comparison_id="cmp-456abc", approval=approval)
        assert "**Comparison ID:** cmp-456abc" in text.splitlines()
        assert "start_run" not in text
    assert "`start_comparison` asks the person" in BLOCKS.render(
        "progress", run=run, comparison_id="cmp-456abc", approval=None
    )


def test_a_comparison_that_nobody_chose_a_mode_for_names_none() -> None:
    assert "**State:** planned" in progress_of(comparison_of()).splitlines()


def test_the_time_of_a_test_that_ends_by_itself_is_open() -> None:
    text = progress_of(halfway(), remaining_seconds=None)
    assert "**Estimated Time Remaining:** open, because a test ends by itself" in text


@every_state
@pytest.mark.parametrize(
    ("approval", "said"),
    [
        (ApprovalState.ASKED, "It waits for the person's answer."),
        (ApprovalState.APPROVED, "`start_comparison` goes on from that answer, and asks again"),
        (ApprovalState.DECLINED, "`start_comparison` does not ask the same again."),
        (ApprovalState.MODIFY_REQUESTED, "It asks again once the template has been changed."),
    ],
)
def test_what_became_of_the_question_is_told_before_the_state(
    state: ComparisonState, approval: ApprovalState, said: str
) -> None:
    text = progress_of(halfway(state=state), approval=approval.value)
    assert said in text
    assert SAYS[state] not in text


def test_a_completed_comparison_offers_what_comes_next() -> None:
    assert progress_of(finished()).splitlines()[-len(CHOICES) :] == CHOICES


def test_the_progress_line_names_the_test_under_way() -> None:
    line = BLOCKS.render("comparison_line", view=View(comparison=halfway(), live=LIVE))
    assert line == "2 of 4 completed; Medium RUNNING (75%) · 1,102 QPS · p95 47ms"
    still = BLOCKS.render("comparison_line", view=View(comparison=halfway()))
    assert still == "2 of 4 completed"
    open_end = snapshot_of("RUNNING", run_id="run-3")
    told = BLOCKS.render("comparison_line", view=View(comparison=halfway(), live=open_end))
    assert told == "2 of 4 completed; Medium RUNNING"
    ended = View(comparison=halfway(), live=snapshot_of("COMPLETED", run_id="run-3"))
    told = BLOCKS.render("comparison_line", view=ended)
    assert told == "2 of 4 completed; Medium has ended as COMPLETED, which is being noted"


def test_a_planned_comparison_lists_its_runs_and_starts_none() -> None:
    planned = comparison_of(2, 2)
    lines = shapely(BLOCKS.render("comparison_created", comparison=planned)).splitlines()
    assert lines[:4] == [
        "## Comparison Planned",
        "",
        "**Comparison ID:** cmp-456abc",
        "**Comparison:** `warehouse_size`",
    ]
    assert "3. `X-Small (2/2)`: template `Orders lookup, X-Small`" in lines
    assert lines[-1].startswith("Nothing runs yet. Next: `start_comparison`")
    assert "Not like with like" not in "".join(lines)


def test_what_is_not_like_with_like_is_told_wherever_it_matters() -> None:
    comparison = finished(cautions=CAUTIONS)
    facts = comparison_facts_of(cautions=CAUTIONS)
    for text in (
        shapely(BLOCKS.render("comparison_created", comparison=comparison)),
        question_of(facts, comparison),
    ):
        assert "**Not like with like:** these tests differ in more than what is compared." in text
        assert "- duration: `60s`, `300s`" in text.splitlines()
        assert "- load: `8 connections`, `500 QPS`" in text.splitlines()


def test_every_caution_has_words() -> None:
    cautions = tuple(Caution(kind=kind, values=("a", "b")) for kind in CautionKind)
    text = BLOCKS.render("comparison_created", comparison=comparison_of(cautions=cautions))
    assert text.count(": `a`, `b`") == len(CautionKind)


def test_the_first_question_is_the_specifications_list_with_two_choices() -> None:
    lines = question_of(comparison_facts_of(), comparison_of(2)).splitlines()
    assert lines[0] == "## Ready to start the comparison"
    place = lines.index("You have 2 tests to run:")
    connection = "db.example:5432 as bench (orders-db)"
    assert lines[place + 1 : place + 6] == [
        f"1. `X-Small` - `orders` on `{connection}`",
        f"2. `Small` - `orders` on `{connection}`",
        "",
        "**Total duration:** 2m 10s of load, and the time to get ready before each test",
        "**Total estimated cost:** 0 credits (local database)",
    ]
    assert lines[-9:] == [
        "---",
        "",
        "Start these tests? [Yes / No / Modify]",
        "",
        "How would you like to proceed?",
        "A) Run all tests sequentially (the next test starts automatically after each completes)",
        "B) Pause after each test (you are asked before the next one starts)",
        "",
        "Without a choice it is B. Tests run one at a time. One that does not complete, or that "
        "is not any more what stands here, is asked about again.",
    ]


def test_a_test_on_a_warehouse_is_listed_with_it() -> None:
    facts = comparison_facts_of()
    changes = {"table_type": "STANDARD", "warehouse_name": "WH_XS", "warehouse_size": "XSMALL"}
    test = facts.tests[0].model_copy(update={"config": config_of(**changes)})
    text = question_of(comparison_facts_of(tests=(test, facts.tests[1])), comparison_of(2))
    assert "1. `X-Small` - `orders` on `WH_XS`" in text.splitlines()


def test_repeated_tests_are_counted_as_runs() -> None:
    text = question_of(comparison_facts_of(order=(0, 1, 0, 1)), comparison_of(2, 2))
    assert "You have 4 runs to run:" in text
    assert "3. `X-Small` - " in text


def test_a_list_with_an_open_end_has_no_total_duration() -> None:
    facts = comparison_facts_of()
    search = config_of(load_mode="FIND_MAX_CONCURRENCY")
    tests = (facts.tests[0], facts.tests[1].model_copy(update={"config": search}))
    text = question_of(comparison_facts_of(tests=tests), comparison_of(2))
    assert "**Total duration:** open, because a test ends by itself" in text.splitlines()
    bounded = tests[1].model_copy(update={"bound": Bound(seconds_max=310, steps_max=10)})
    text = question_of(comparison_facts_of(tests=(tests[0], bounded)), comparison_of(2))
    told = "**Total duration:** open, because a test ends by itself; at most 6m 15s of load"
    assert told in text.splitlines()


def test_a_question_about_the_rest_says_what_is_done_and_why_it_rests() -> None:
    resting = halfway(state=ComparisonState.PAUSED, reason="Run run-3 ended FAILED.")
    change = Difference(name="test 2, duration", before="60", after="300")
    lines = question_of(comparison_facts_of(done=2), resting, change).splitlines()
    assert lines[0] == "## Ready to go on with the comparison"
    assert "**Done:** 2 of 4 runs have completed" in lines
    assert "**It rests because:** Run run-3 ended FAILED." in lines
    assert "- test 2, duration: `60` → `300`" in lines


def test_a_test_that_preflight_speaks_against_is_not_in_the_yes_to_the_list() -> None:
    facts = comparison_facts_of()
    against = facts.tests[1].model_copy(update={"warnings": (HIGH,), "can_proceed": False})
    text = question_of(comparison_facts_of(tests=(facts.tests[0], against)), comparison_of(2))
    assert "The comparison will pause before it, and ask about it alone." in text
    assert "type the name" not in text


def test_the_next_test_is_asked_about_after_the_results_of_the_last() -> None:
    resting = halfway(state=ComparisonState.PAUSED, reason="The template has changed.")
    text = shapely(next_test_wording(BLOCKS, resting, facts_of(), ()))
    lines = text.splitlines()
    assert lines[:8] == [
        "## Test Completed: Small",
        "",
        "**Run ID:** run-2",
        "**Status:** COMPLETED",
        "",
        "**Final Metrics:**",
        "- Total Queries: 374,100",
        "- Average QPS: 589",
    ]
    assert "**Note:** The template has changed." in lines
    assert "**Comparison:** `warehouse_size`, 3 of 4" in lines
    assert lines[-1] == "Ready to start the next test (Medium)? [Yes / No / Modify]"


def test_the_first_test_alone_is_asked_about_without_results() -> None:
    text = shapely(next_test_wording(BLOCKS, comparison_of(2, 2), facts_of(None, HIGH), ()))
    assert text.startswith("## Ready to start test\n\n**Comparison:** `warehouse_size`, 1 of 4\n")
    assert "type the name of the test besides saying yes" in text
    assert text.endswith("Ready to start the next test (X-Small (1/2))? [Yes / No / Modify]")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "The person chose **A**: the server starts each next test by itself"),
        ({"mode": ExecutionMode.PAUSE}, "After this test the comparison pauses"),
        ({"cover": None}, "This test had a yes of its own. After it the comparison pauses"),
    ],
    ids=["sequential", "pause", "uncovered"],
)
def test_a_started_test_says_how_it_goes_on(changes: dict[str, object], said: str) -> None:
    view = View(comparison=halfway(**changes))
    text = shapely(BLOCKS.render("comparison_started", view=view, run=LIVE))
    assert text.startswith("## Test Started\n\n**Comparison ID:** cmp-456abc\n**Run ID:** run-3\n")
    assert f"**Dashboard:** <{DASHBOARD}>" in text.splitlines()
    assert said in text
    assert "- Stop it: `stop_run` with this run" in text.splitlines()


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize(
    "offer", [Offer(), Offer(page_url=DASHBOARD, terminal=True, code="AB23CD45", question="Start?")]
)
def test_what_did_not_start_names_the_tools_of_comparisons(
    outcome: StartOutcome, offer: Offer
) -> None:
    facts = {"outcome": outcome.value, "reason": "why", "note": "", "offer": offer}
    text = shapely(BLOCKS.render("not_started", comparison=comparison_of(), **facts))
    assert "**Comparison ID:** cmp-456abc" in text.splitlines()
    assert "Run ID" not in text
    assert not {"start_run", "create_run", "get_status"} & {*text.split("`")}


def test_a_stopped_run_tells_that_its_comparison_stopped_too() -> None:
    facts = {"run": snapshot_of("CANCELLING"), "comparison": halfway()}
    text = shapely(BLOCKS.render("stop_requested", **facts))
    assert "The comparison cmp-456abc is stopped with it; what is left stays pending." in text
