"""A comparison moves along its table alone, and its runs have one order."""

import itertools

import pytest

from benchgate.domain.comparisons import (
    ENDED,
    RESUMABLE,
    RUNS_MAX,
    TRANSITIONS,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Cover,
    StepState,
    interleaved,
    next_state,
)
from benchgate.domain.happenings import EFFECTS, Happening, after
from tests.unit.comparing import LATER, at_step, comparison_of, refused, result_of_run

State = ComparisonState
Event = ComparisonEvent
COVER = Cover(approval_id="a-all", last=2)
LISTED = [(state, event, to) for state, moves in TRANSITIONS.items() for event, to in moves.items()]


def before(state: ComparisonState, event: ComparisonEvent) -> tuple[Comparison, Happening]:
    """A comparison in *state* to which *event* can happen as far as its effect goes."""
    cover = COVER if state is State.RUNNING else None
    match event:
        case Event.CHOOSE:
            return at_step(state, StepState.PENDING), Happening(event=event, approval_id="a1")
        case Event.PREPARE:
            return at_step(state, StepState.PENDING), Happening(event=event, run_id="r1")
        case Event.INTEND:
            told = Happening(
                event=event, run_id="r1", approval_id="a-all", on_cover=state is State.RUNNING
            )
            return at_step(state, StepState.PREPARED, cover=cover), told
        case Event.REPEAT | Event.BEGIN:
            told = Happening(event=event, run_id="r1", approval_id="a-all", on_cover=True)
            return at_step(state, StepState.STARTING, cover=cover), told
        case Event.ADVANCE | Event.REST | Event.FINISH:
            covered = COVER if event is Event.ADVANCE else None
            position = 2 if event is Event.FINISH else 0
            comparison = at_step(state, StepState.ACTIVE, cover=covered, position=position)
            return comparison, Happening(event=event, result=result_of_run("r1"))
        case _:
            told = Happening(event=event, run_id="r1")
            return at_step(state, StepState.STARTING, cover=cover), told


@pytest.mark.parametrize(("state", "event", "to"), LISTED)
def test_what_the_table_lists_leads_where_it_says(
    state: ComparisonState, event: ComparisonEvent, to: ComparisonState
) -> None:
    comparison, happening = before(state, event)
    changed = after(comparison, happening, at=LATER)
    assert (changed.state, changed.updated_at) == (to, LATER)
    assert next_state(state, event) is to


@pytest.mark.parametrize(
    ("state", "event"),
    [pair for pair in itertools.product(State, Event) if pair[1] not in TRANSITIONS[pair[0]]],
)
def test_what_the_table_does_not_list_cannot_happen(
    state: ComparisonState, event: ComparisonEvent
) -> None:
    refused(*before(state, event), f"A comparison that is {state} cannot {event}")


def test_the_table_has_every_state_and_every_event_has_an_effect() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(EFFECTS) == set(Event)


def test_the_ends_are_the_states_that_nothing_leaves() -> None:
    assert {state for state, moves in TRANSITIONS.items() if not moves} == ENDED


def test_a_persons_yes_brings_on_what_is_resumable_and_what_was_asked_about() -> None:
    choosing = {state for state, moves in TRANSITIONS.items() if Event.CHOOSE in moves}
    assert choosing == RESUMABLE | {State.AWAITING_CHOICE}


def test_only_a_person_leads_out_of_a_pause_or_a_stop() -> None:
    for state in RESUMABLE:
        leading = {event for event, to in TRANSITIONS[state].items() if to is State.RUNNING}
        # A run that is seen to have begun was started on a yes before.
        assert leading <= {Event.CHOOSE, Event.INTEND, Event.BEGIN}


def test_repeats_run_interleaved() -> None:
    order = [(step.test, step.repetition) for step in interleaved(3, 2)]
    assert order == [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]
    assert {step.state for step in interleaved(3, 2)} == {StepState.PENDING}


@pytest.mark.parametrize(("tests", "repeats"), [(2, 30), (20, 3), (20, 1), (6, 10)])
def test_every_test_runs_as_often_as_every_other(tests: int, repeats: int) -> None:
    steps = interleaved(tests, repeats)
    assert len(steps) == tests * repeats <= RUNS_MAX
    for test in range(tests):
        mine = [step.repetition for step in steps if step.test == test]
        assert mine == list(range(1, repeats + 1))


def test_a_run_of_several_is_called_by_its_variant_and_its_number() -> None:
    once, twice = comparison_of(), comparison_of(repeats=2)
    assert once.variant_of(once.steps[1]) == "Small"
    assert twice.variant_of(twice.steps[4]) == "Small (2/2)"
