"""Each event changes what it is about and no more, and only where its own condition holds."""

from collections.abc import Sequence

import pytest

from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.comparisons import (
    TRANSITIONS,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Cover,
    Step,
    StepState,
)
from benchgate.domain.happenings import Happening, after, completion
from benchgate.domain.results import RunResult
from tests.unit.comparing import LATER, at_step, comparison_of, refused, result_of_run, told
from tests.unit.examples import config_of

State = ComparisonState
Event = ComparisonEvent
SEQUENTIAL, PAUSE = ExecutionMode.SEQUENTIAL, ExecutionMode.PAUSE
COVER = Cover(approval_id="a-all", last=2)
COMPLETIONS = (Event.ADVANCE, Event.REST, Event.FINISH)


def at_position(comparison: Comparison) -> Step:
    assert comparison.step is not None
    return comparison.step


@pytest.mark.parametrize(
    ("mode", "last", "drives_itself"), [(SEQUENTIAL, 2, True), (PAUSE, 1, False), (None, 1, False)]
)
def test_a_choice_covers_all_that_is_left_or_the_next_test(
    mode: ExecutionMode | None, last: int, *, drives_itself: bool
) -> None:
    comparison = at_step(State.PAUSED, StepState.PENDING, position=1, reason="It rests.")
    chosen = after(comparison, told(Event.CHOOSE, approval_id="a1", mode=mode), at=LATER)
    assert chosen.mode is (mode or PAUSE)
    assert chosen.cover == Cover(approval_id="a1", last=last)
    assert chosen.is_covered
    assert chosen.drives_itself is drives_itself
    assert chosen.reason is None


def test_a_choice_keeps_each_listed_test_as_the_person_was_shown_it() -> None:
    comparison = at_step(State.PAUSED, StepState.PENDING, position=1)
    done, second, third = comparison.tests
    shown = second.model_copy(update={"template_name": "Renamed", "expected_seconds": 9})
    stranger = third.model_copy(update={"variant": "Nobody's", "template_name": "Unknown"})
    yes = told(Event.CHOOSE, approval_id="a1", mode=SEQUENTIAL, tests=(shown, stranger))
    assert after(comparison, yes, at=LATER).tests == (done, shown, third)


def test_a_choice_needs_an_approval_and_nothing_under_way() -> None:
    waiting = at_step(State.AWAITING_CHOICE, StepState.PENDING)
    refused(waiting, told(Event.CHOOSE), "a choice needs the approval")
    for step in (StepState.STARTING, StepState.ACTIVE):
        stopped = at_step(State.STOPPED, step)
        refused(stopped, told(Event.CHOOSE, approval_id="a1"), "a run is under way")


def test_a_test_that_did_not_complete_is_prepared_anew_and_its_run_is_remembered() -> None:
    failed = result_of_run("r1", "FAILED")
    comparison = at_step(State.PAUSED, StepState.ENDED, result=failed)
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    again = at_position(after(comparison, anew, at=LATER))
    assert again == Step(
        test=0,
        repetition=1,
        state=StepState.PREPARED,
        run_id="r2",
        earlier_run_ids=("r1",),
        earlier_results=(failed,),
    )


def test_a_run_that_was_prepared_and_never_started_is_no_earlier_run() -> None:
    comparison = at_step(State.PAUSED, StepState.PREPARED, approval_id=None)
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    again = at_position(after(comparison, anew, at=LATER))
    assert (again.run_id, again.approval_id, again.earlier_run_ids) == ("r2", None, ())


@pytest.mark.parametrize("replaces", [None, "r0"])
def test_of_two_runs_that_are_prepared_at_once_only_the_first_counts(replaces: str | None) -> None:
    comparison = at_step(State.PAUSED, StepState.PREPARED)
    second = told(Event.PREPARE, run_id="r2", replaces=replaces)
    refused(comparison, second, "another run has been prepared")
    refused(
        at_step(State.PAUSED, StepState.PENDING),
        told(Event.PREPARE, run_id="r2", replaces="r0"),
        "another run has been prepared",
    )


def test_nothing_is_prepared_without_an_id_or_beside_a_run_under_way() -> None:
    refused(at_step(State.RUNNING, StepState.PENDING), Happening(event=Event.PREPARE), "has an id")
    for step in (StepState.STARTING, StepState.ACTIVE):
        running = at_step(State.RUNNING, step)
        refused(running, told(Event.PREPARE, run_id="r2"), "a run is under way")


def test_an_intent_names_the_yes_and_clears_the_reason() -> None:
    comparison = at_step(State.PAUSED, StepState.PREPARED, approval_id=None, reason="It rests.")
    config = config_of(duration=7)
    intended = after(comparison, told(Event.INTEND, approval_id="a-own", config=config), at=LATER)
    step = at_position(intended)
    assert (step.state, step.approval_id) == (StepState.STARTING, "a-own")
    assert step.config == config
    assert intended.reason is None


@pytest.mark.parametrize("step", [one for one in StepState if one is not StepState.PREPARED])
def test_only_a_prepared_run_is_to_start(step: StepState) -> None:
    comparison = at_step(State.RUNNING, step, cover=COVER)
    reason = "that is another run" if step is StepState.PENDING else "its run is not prepared"
    refused(comparison, told(Event.INTEND, approval_id="a-all", on_cover=True), reason)


def test_nothing_is_to_start_without_a_yes() -> None:
    refused(at_step(State.PAUSED, StepState.PREPARED), told(Event.INTEND), "needs an approval")


@pytest.mark.parametrize(
    ("state", "cover"),
    [
        (State.RUNNING, None),
        (State.RUNNING, COVER.model_copy(update={"approval_id": "a-other"})),
        (State.RUNNING, COVER.model_copy(update={"last": 0})),
        (State.PAUSED, COVER),
        (State.STOPPED, COVER),
    ],
    ids=["none", "another yes", "a yes to those before", "paused", "stopped"],
)
def test_the_yes_to_the_whole_starts_only_what_it_covers(
    state: ComparisonState, cover: Cover | None
) -> None:
    comparison = at_step(state, StepState.PREPARED, position=1, cover=cover)
    happening = told(Event.INTEND, approval_id="a-all", on_cover=True)
    refused(comparison, happening, "not good for this run")


def test_a_yes_to_one_run_starts_nothing_in_a_series_that_runs() -> None:
    comparison = at_step(State.RUNNING, StepState.PREPARED, cover=COVER)
    refused(comparison, told(Event.INTEND, approval_id="a-own"), "not good for this run")


@pytest.mark.parametrize(
    "event", [Event.INTEND, Event.BEGIN, *COMPLETIONS, Event.HOLD], ids=lambda event: event.value
)
@pytest.mark.parametrize("run_id", ["r2", None])
def test_what_is_told_of_another_run_is_not_told_of_this_one(
    event: ComparisonEvent, run_id: str | None
) -> None:
    state = State.PAUSED if event is Event.INTEND else State.RUNNING
    comparison = at_step(state, StepState.STARTING)
    result = None if event in {Event.INTEND, Event.BEGIN} else result_of_run(run_id or "r3")
    refused(comparison, Happening(event=event, run_id=run_id, result=result), "another run")


@pytest.mark.parametrize("state", [one for one in State if Event.BEGIN in TRANSITIONS[one]])
def test_what_has_begun_says_no_more_why_it_rested_unless_it_was_stopped(
    state: ComparisonState,
) -> None:
    comparison = at_step(state, StepState.STARTING, reason="It rested.")
    begun = after(comparison, told(Event.BEGIN), at=LATER)
    assert begun.reason == ("It rested." if state is State.STOPPED else None)


def test_a_run_begins_once_and_may_be_seen_to_have_begun_again() -> None:
    starting = at_step(State.INTERRUPTED, StepState.STARTING)
    begun = after(starting, told(Event.BEGIN), at=LATER)
    assert at_position(begun).state is StepState.ACTIVE
    assert after(begun, told(Event.BEGIN), at=LATER) == begun


def test_a_start_that_was_held_and_arrived_all_the_same_is_seen() -> None:
    held = at_step(State.PAUSED, StepState.PREPARED)
    assert after(held, told(Event.BEGIN), at=LATER).is_under_way


def test_what_was_never_to_start_has_not_begun() -> None:
    prepared = at_step(State.PAUSED, StepState.PREPARED, approval_id=None)
    refused(prepared, told(Event.BEGIN), "its start was never intended")


def test_what_has_ended_does_not_begin() -> None:
    ended = at_step(State.PAUSED, StepState.ENDED, result=result_of_run("r1", "FAILED"))
    refused(ended, told(Event.BEGIN), "its run has ended")


def test_a_completed_run_moves_the_position_on() -> None:
    comparison = at_step(State.RUNNING, StepState.ACTIVE, cover=COVER)
    result = result_of_run("r1")
    advanced = after(comparison, told(Event.ADVANCE, result=result), at=LATER)
    assert (advanced.position, advanced.cover) == (1, COVER)
    assert (advanced.steps[0].state, advanced.steps[0].result) == (StepState.ENDED, result)
    assert advanced.steps[1:] == comparison.steps[1:]


@pytest.mark.parametrize(("event", "position"), [(Event.REST, 0), (Event.FINISH, 2)])
def test_where_nothing_covered_is_left_the_cover_goes(
    event: ComparisonEvent, position: int
) -> None:
    cover = Cover(approval_id="a-all", last=position)
    comparison = at_step(State.RUNNING, StepState.ACTIVE, cover=cover, position=position)
    changed = after(comparison, told(event, result=result_of_run("r1")), at=LATER)
    assert (changed.position, changed.cover) == (position + 1, None)
    assert not changed.is_covered
    assert not changed.is_under_way


def test_once_all_have_completed_there_is_no_run_at_the_position() -> None:
    comparison = at_step(State.RUNNING, StepState.ACTIVE, position=2)
    finished = after(comparison, told(Event.FINISH, result=result_of_run("r1")), at=LATER)
    assert finished.step is None
    assert not finished.is_under_way
    # It cannot come to that, and must not go unnoticed if it does.
    lost = finished.model_copy(update={"state": State.PAUSED})
    refused(lost, told(Event.PREPARE, run_id="r9"), "Every run of this comparison has completed")


@pytest.mark.parametrize("event", COMPLETIONS)
@pytest.mark.parametrize(
    "result",
    [None, *(result_of_run("r1", status) for status in ("RUNNING", "FAILED", "CANCELLED"))],
    ids=lambda result: result.status if result else "none",
)
def test_the_position_moves_over_nothing_but_a_completed_run(
    event: ComparisonEvent, result: RunResult | None
) -> None:
    refused(
        at_step(State.RUNNING, StepState.ACTIVE),
        told(event, result=result),
        "it has not completed",
    )


@pytest.mark.parametrize("step", [StepState.PREPARED, StepState.ENDED])
@pytest.mark.parametrize("event", [Event.REST, Event.HOLD])
def test_what_is_not_under_way_does_not_end(event: ComparisonEvent, step: StepState) -> None:
    status = "COMPLETED" if event is Event.REST else "FAILED"
    comparison = at_step(State.STOPPED, step)
    refused(comparison, told(event, result=result_of_run("r1", status)), "not under way")


@pytest.mark.parametrize(
    ("state", "position", "cover", "expected"),
    [
        (State.RUNNING, 0, COVER, Event.ADVANCE),
        (State.RUNNING, 1, COVER, Event.ADVANCE),
        (State.RUNNING, 1, COVER.model_copy(update={"last": 1}), Event.REST),
        (State.RUNNING, 0, None, Event.REST),
        (State.INTERRUPTED, 0, None, Event.REST),
        (State.STOPPED, 0, COVER, Event.REST),
        (State.RUNNING, 2, COVER, Event.FINISH),
        (State.STOPPED, 2, None, Event.FINISH),
        (State.INTERRUPTED, 2, None, Event.FINISH),
    ],
)
def test_what_a_completion_means_follows_from_the_place_and_the_cover(
    state: ComparisonState, position: int, cover: Cover | None, expected: ComparisonEvent
) -> None:
    comparison = at_step(state, StepState.ACTIVE, position=position, cover=cover)
    assert completion(comparison) is expected
    for event in set(COMPLETIONS) & TRANSITIONS[state].keys() - {expected}:
        refused(comparison, told(event, result=result_of_run("r1")), "something else")


def test_a_hold_without_a_result_leaves_the_run_to_be_started() -> None:
    comparison = at_step(State.RUNNING, StepState.STARTING, cover=COVER)
    held = after(comparison, told(Event.HOLD, reason="It was refused."), at=LATER)
    assert (held.cover, held.reason) == (None, "It was refused.")
    step = at_position(held)
    assert (step.state, step.run_id, step.approval_id) == (StepState.PREPARED, "r1", "a-all")


@pytest.mark.parametrize("step", [StepState.PENDING, StepState.PREPARED, StepState.ENDED])
def test_a_hold_before_a_start_leaves_the_step_as_it_is(step: StepState) -> None:
    comparison = at_step(State.RUNNING, step, cover=COVER)
    run_id = at_position(comparison).run_id
    told_of_it = Happening(event=Event.HOLD, run_id=run_id, reason="No.")
    held = after(comparison, told_of_it, at=LATER)
    assert held.steps == comparison.steps
    assert not held.is_covered


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "CANCELLED"])
def test_a_hold_with_a_result_ends_the_run_and_stays_at_its_place(status: str) -> None:
    comparison = at_step(State.RUNNING, StepState.ACTIVE, cover=COVER, position=1)
    result = result_of_run("r1", status)
    held = after(comparison, told(Event.HOLD, result=result, reason="It ended."), at=LATER)
    assert (held.position, held.cover, held.state) == (1, None, State.PAUSED)
    assert (at_position(held).state, at_position(held).result) == (StepState.ENDED, result)


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED", "PREPARED", "UNHEARD_OF"])
def test_a_hold_is_for_what_ended_otherwise_than_completed(status: str) -> None:
    comparison = at_step(State.RUNNING, StepState.ACTIVE)
    refused(comparison, told(Event.HOLD, result=result_of_run("r1", status)), "has not ended so")


def test_a_hold_without_a_result_is_not_for_an_active_run() -> None:
    refused(at_step(State.RUNNING, StepState.ACTIVE), told(Event.HOLD), "its run is active")


@pytest.mark.parametrize("event", [Event.STOP, Event.LOSE, Event.MISS])
def test_whatever_goes_wrong_takes_the_cover_away_and_says_why(event: ComparisonEvent) -> None:
    comparison = at_step(State.RUNNING, StepState.ACTIVE, cover=COVER)
    changed = after(comparison, told(event, reason="Something."), at=LATER)
    assert (changed.cover, changed.reason) == (None, "Something.")
    assert changed.steps == comparison.steps


@pytest.mark.parametrize("step", [StepState.PENDING, StepState.PREPARED, StepState.ENDED])
def test_nothing_is_lost_of_what_is_not_under_way(step: StepState) -> None:
    comparison = at_step(State.RUNNING, step)
    lost = told(Event.LOSE, run_id=at_position(comparison).run_id)
    refused(comparison, lost, "nothing is under way")


@pytest.mark.parametrize("event", [Event.HOLD, Event.LOSE, Event.MISS, Event.WAIT])
@pytest.mark.parametrize("run_id", [None, "r0"])
def test_what_is_told_late_of_another_run_changes_nothing(
    event: ComparisonEvent, run_id: str | None
) -> None:
    comparison = at_step(State.RUNNING, StepState.PREPARED, cover=COVER)
    refused(comparison, told(event, run_id=run_id, reason="No."), "told of another run")


def test_waiting_says_for_what_and_keeps_the_cover() -> None:
    comparison = at_step(State.RUNNING, StepState.PREPARED, cover=COVER, reason="old")
    waiting = after(comparison, told(Event.WAIT, reason="Run r9 is active."), at=LATER)
    assert (waiting.reason, waiting.cover) == ("Run r9 is active.", COVER)
    silent = after(waiting, told(Event.WAIT), at=LATER)
    assert silent.reason == "Run r9 is active."


def happened(comparison: Comparison, happenings: Sequence[Happening]) -> Comparison:
    for happening in happenings:
        comparison = after(comparison, happening, at=LATER)
    return comparison


def run_through(run_id: str, last: ComparisonEvent) -> list[Happening]:
    """What a run goes through that is started on the yes to the whole, and completes."""
    return [
        told(Event.PREPARE, run_id=run_id),
        told(Event.INTEND, run_id=run_id, approval_id="a-all", on_cover=True),
        told(Event.BEGIN, run_id=run_id),
        told(last, run_id=run_id, result=result_of_run(run_id)),
    ]


def test_a_series_runs_from_its_question_to_its_end_on_one_yes() -> None:
    done = happened(
        comparison_of(tests=2, repeats=2),
        [
            Happening(event=Event.ASK),
            Happening(event=Event.ASK),
            Happening(event=Event.CHOOSE, approval_id="a-all", mode=SEQUENTIAL),
            *run_through("r1", Event.ADVANCE),
            *run_through("r2", Event.ADVANCE),
            *run_through("r3", Event.ADVANCE),
            *run_through("r4", Event.FINISH),
        ],
    )
    assert done.state is State.COMPLETED
    assert [step.run_id for step in done.steps] == ["r1", "r2", "r3", "r4"]
    assert {step.approval_id for step in done.steps} == {"a-all"}


def test_a_paused_comparison_needs_a_yes_for_each_test() -> None:
    rested = happened(
        comparison_of(tests=2),
        [
            Happening(event=Event.ASK),
            Happening(event=Event.CHOOSE, approval_id="a-all", mode=PAUSE),
            *run_through("r1", Event.REST),
        ],
    )
    assert rested.state is State.PAUSED
    prepared = after(rested, told(Event.PREPARE, run_id="r2"), at=LATER)
    on_the_first = told(Event.INTEND, run_id="r2", approval_id="a-all", on_cover=True)
    refused(prepared, on_the_first, "not good for this run")
    intended = told(Event.INTEND, run_id="r2", approval_id="a-own")
    done = happened(prepared, [intended, *run_through("r2", Event.FINISH)[2:]])
    assert done.state is State.COMPLETED
