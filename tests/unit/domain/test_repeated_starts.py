"""A start that never arrived is sent again on the yes that it was intended on, while it is good."""

from typing import Any

import pytest

from benchgate.domain.comparisons import (
    TRANSITIONS,
    ComparisonEvent,
    ComparisonState,
    Cover,
    StepState,
)
from benchgate.domain.happenings import after
from tests.unit.comparing import LATER, at_step, refused, told

State = ComparisonState
Event = ComparisonEvent
COVER = Cover(approval_id="a-all", last=2)
REPEATED = told(Event.REPEAT, approval_id="a-all", on_cover=True)


@pytest.mark.parametrize(
    ("approval_id", "about"),
    [
        ("a-all", {"cover": None}),
        ("a-all", {"cover": COVER.model_copy(update={"approval_id": "a-anew"})}),
        ("a-all", {"cover": COVER.model_copy(update={"last": 0}), "position": 1}),
        # Such a run was asked about on its own, and its yes is to one start.
        ("a-own", {"cover": None}),
    ],
    ids=["lapsed", "another yes", "a yes to those before", "its own yes"],
)
def test_a_start_is_repeated_only_while_the_yes_to_the_whole_is_good(
    approval_id: str, about: dict[str, Any]
) -> None:
    comparison = at_step(State.RUNNING, StepState.STARTING, approval_id=approval_id, **about)
    anew = told(Event.REPEAT, approval_id=approval_id)
    refused(comparison, anew, "not good for this run")
    refused(comparison, anew.model_copy(update={"on_cover": True}), "not good for this run")


@pytest.mark.parametrize(
    "state", [state for state in State if Event.REPEAT not in TRANSITIONS[state]]
)
def test_a_start_is_repeated_only_while_the_comparison_runs(state: ComparisonState) -> None:
    assert state is not State.RUNNING
    comparison = at_step(state, StepState.STARTING, cover=COVER)
    refused(comparison, REPEATED, f"that is {state} cannot repeat")


@pytest.mark.parametrize("step", [one for one in StepState if one is not StepState.STARTING])
def test_only_a_start_that_was_intended_is_repeated(step: StepState) -> None:
    reason = "that is another run" if step is StepState.PENDING else "no start of it is intended"
    refused(at_step(State.RUNNING, step, cover=COVER), REPEATED, reason)


def test_a_start_is_repeated_on_the_approval_it_was_intended_on() -> None:
    comparison = at_step(State.RUNNING, StepState.STARTING, approval_id="a-own", cover=COVER)
    refused(comparison, REPEATED, "it was intended on another approval")
    for run_id in (None, "r0"):
        other = REPEATED.model_copy(update={"run_id": run_id})
        starting = at_step(State.RUNNING, StepState.STARTING, cover=COVER)
        refused(starting, other, "that is another run")


def test_a_repeated_start_changes_nothing_but_the_time() -> None:
    comparison = at_step(State.RUNNING, StepState.STARTING, cover=COVER, reason="It waits.")
    repeated = after(comparison, REPEATED, at=LATER)
    assert repeated == comparison.model_copy(update={"updated_at": LATER})
