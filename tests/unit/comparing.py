"""Comparisons that tests start from: whole and valid, to be changed in the one thing under test."""

from datetime import timedelta
from typing import Any

import pytest

from benchgate.domain.comparisons import (
    Comparison,
    ComparisonEvent,
    ComparisonState,
    PlannedTest,
    Step,
    StepState,
    interleaved,
)
from benchgate.domain.happenings import Happening, after
from benchgate.domain.results import RunResult
from benchgate.domain.runs import RunStatus
from benchgate.errors import Conflict
from tests.unit.examples import NOON, SUMMARY

SIZES = ("X-Small", "Small", "Medium", "Large", "X-Large", "2X-Large")
COMPARISON_ID = "cmp-456abc"
# Five of warm-up and sixty of measurement, as the templates of the examples say.
SECONDS = 65
LATER = NOON + timedelta(minutes=1)


def planned(number: int) -> PlannedTest:
    """The test of that number, counted from 1."""
    variant = SIZES[number - 1] if number <= len(SIZES) else f"Size {number}"
    return PlannedTest(
        variant=variant,
        template_id=f"tpl-{number}",
        template_name=f"Orders lookup, {variant}",
        expected_seconds=SECONDS,
    )


def comparison_of(tests: int = 3, repeats: int = 1, **changes: Any) -> Comparison:
    """A comparison of so many tests that nobody has been asked about, with *changes*."""
    known = {
        "comparison_id": COMPARISON_ID,
        "comparison_type": "warehouse_size",
        "tests": tuple(planned(number) for number in range(1, tests + 1)),
        "repeats": repeats,
        "steps": interleaved(tests, repeats),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Comparison.model_validate(known | changes)


def result_of_run(run_id: str, status: str = "COMPLETED", **summary_changes: object) -> RunResult:
    """How a run ended, with *summary_changes* in its figures; they count if it has completed."""
    figures = SUMMARY.model_copy(update=summary_changes)
    completed = status == RunStatus.COMPLETED
    return RunResult(
        run_id=run_id,
        template_name="Orders lookup",
        status=status,
        summary_metrics=figures if completed else None,
        partial_metrics=None if completed else figures,
        duration_seconds=float(SECONDS),
        estimated_cost=0,
    )


def at_step(
    state: ComparisonState,
    step: StepState,
    *,
    position: int = 0,
    run_id: str = "r1",
    approval_id: str | None = "a-all",
    result: RunResult | None = None,
    **changes: Any,
) -> Comparison:
    """A comparison of three in *state* whose run at the *position* is in the state *step*."""
    of_step = {"run_id": run_id, "approval_id": approval_id, "result": result, "state": step}
    at = interleaved(3, 1)[position]
    steps = (
        *(completed(one, f"r-{one.test}") for one in interleaved(3, 1)[:position]),
        at if step is StepState.PENDING else at.model_copy(update=of_step),
        *interleaved(3, 1)[position + 1 :],
    )
    return comparison_of(state=state, steps=steps, position=position, **changes)


def completed(step: Step, run_id: str) -> Step:
    ended = {"state": StepState.ENDED, "run_id": run_id, "result": result_of_run(run_id)}
    return step.model_copy(update=ended)


def told(event: ComparisonEvent, **about: object) -> Happening:
    """What happens to run r1, unless *about* says otherwise."""
    return Happening.model_validate({"event": event, "run_id": "r1"} | about)


def refused(comparison: Comparison, happening: Happening, reason: str) -> None:
    """*happening* cannot happen to *comparison*, for that reason, and changes nothing."""
    copy = comparison.model_copy(deep=True)
    with pytest.raises(Conflict, match=reason):
        after(comparison, happening, at=LATER)
    assert comparison == copy
