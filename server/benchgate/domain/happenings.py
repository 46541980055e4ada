"""What happens to a comparison, and what each event changes in it besides its state.

Two rules stand here and nowhere else. A run starts on a yes that covers its position, or on one of
its own; whatever goes wrong takes the cover away. And the position moves on over a run that has
COMPLETED, never over another.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.comparisons import (
    RESUMABLE,
    UNDER_WAY,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Cover,
    PlannedTest,
    Step,
    StepState,
    next_state,
)
from benchgate.domain.results import RunResult
from benchgate.domain.runs import RunStatus, is_terminal
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.values import Value
from benchgate.errors import Conflict


class Happening(Value):
    """An event, with what belongs to it.

    `on_cover` is a start on the yes to the whole; `replaces` is the run whose place a prepared one
    takes, so that of two that are prepared at once only one counts. `config` is what a run starts
    with, and `tests` is what the person has said yes to.
    """

    event: ComparisonEvent
    run_id: str | None = None
    approval_id: str | None = None
    on_cover: bool = False
    replaces: str | None = None
    mode: ExecutionMode | None = None
    tests: tuple[PlannedTest, ...] = ()
    config: TemplateConfig | None = None
    result: RunResult | None = None
    reason: str | None = None


def after(comparison: Comparison, happening: Happening, *, at: datetime) -> Comparison:
    """*comparison* once that has happened.

    Raises:
        Conflict: it cannot happen to it now.
    """
    state = next_state(comparison.state, happening.event)
    changes = EFFECTS[happening.event](comparison, happening)
    return comparison.model_copy(update={"state": state, "updated_at": at} | changes)


def completion(comparison: Comparison) -> ComparisonEvent:
    """What it means that the run at the position has completed."""
    if comparison.position + 1 == len(comparison.steps):
        return ComparisonEvent.FINISH
    cover = comparison.cover
    goes_on = comparison.state is ComparisonState.RUNNING and cover is not None
    if goes_on and cover is not None and comparison.position < cover.last:
        return ComparisonEvent.ADVANCE
    return ComparisonEvent.REST


Changes = dict[str, object]


def _nothing(_: Comparison, happening: Happening) -> Changes:
    return {} if happening.reason is None else {"reason": happening.reason}


def _choose(comparison: Comparison, happening: Happening) -> Changes:
    _demand(happening.approval_id is not None, "a choice needs the approval that it came with")
    _demand(not comparison.is_under_way, "a run is under way")
    chosen = {test.variant: test for test in happening.tests}
    sequential = happening.mode is ExecutionMode.SEQUENTIAL
    last = len(comparison.steps) - 1 if sequential else comparison.position
    return {
        "mode": happening.mode or ExecutionMode.PAUSE,
        "cover": Cover(approval_id=happening.approval_id or "", last=last),
        "tests": tuple(chosen.get(test.variant, test) for test in comparison.tests),
        "reason": None,
    }


def _prepare(comparison: Comparison, happening: Happening) -> Changes:
    _demand(not comparison.is_under_way, "a run is under way")
    _demand(happening.run_id is not None, "a prepared run has an id")
    step = _step(comparison)
    _demand(step.run_id == happening.replaces, "another run has been prepared")
    was_tried = step.state is StepState.ENDED or step.approval_id is not None
    earlier = (step.run_id,) if was_tried and step.run_id is not None else ()
    spent = (step.result,) if step.result is not None else ()
    fresh = Step(
        test=step.test,
        repetition=step.repetition,
        state=StepState.PREPARED,
        run_id=happening.run_id,
        earlier_run_ids=(*step.earlier_run_ids, *earlier),
        earlier_results=(*step.earlier_results, *spent),
    )
    return _with_step(comparison, fresh)


def _intend(comparison: Comparison, happening: Happening) -> Changes:
    step = _current(comparison, happening)
    _demand(step.state is StepState.PREPARED, "its run is not prepared")
    _demand(happening.approval_id is not None, "a start needs an approval")
    _demand(_is_good_for(comparison, happening), "that approval is not good for this run")
    changed = {
        "state": StepState.STARTING,
        "approval_id": happening.approval_id,
        "config": happening.config,
    }
    return _with_step(comparison, step.model_copy(update=changed)) | {"reason": None}


def _repeat(comparison: Comparison, happening: Happening) -> Changes:
    """The yes must still be good: since the intent a person may have been asked anew."""
    step = _current(comparison, happening)
    _demand(step.state is StepState.STARTING, "no start of it is intended")
    _demand(step.approval_id == happening.approval_id, "it was intended on another approval")
    _demand(_is_good_for(comparison, happening), "that approval is not good for this run")
    return {}


def _is_good_for(comparison: Comparison, happening: Happening) -> bool:
    """Whether the approval lets the run at the position start: its own, or the whole's."""
    if not happening.on_cover:
        return comparison.state in RESUMABLE
    cover = comparison.cover
    covers = cover is not None and cover.approval_id == happening.approval_id
    return covers and comparison.is_covered and comparison.state is ComparisonState.RUNNING


def _begin(comparison: Comparison, happening: Happening) -> Changes:
    step = _current(comparison, happening)
    _demand(step.state in UNDER_WAY | {StepState.PREPARED}, "its run has ended")
    _demand(step.approval_id is not None, "its start was never intended")
    # What it was stopped or held for is over, unless somebody wanted it so.
    kept = comparison.reason if comparison.state is ComparisonState.STOPPED else None
    active = step.model_copy(update={"state": StepState.ACTIVE})
    return _with_step(comparison, active) | {"reason": kept}


def _complete(comparison: Comparison, happening: Happening) -> Changes:
    step, result = _current(comparison, happening), happening.result
    _demand(comparison.is_under_way, "its run is not under way")
    _demand(result is not None and result.status == RunStatus.COMPLETED, "it has not completed")
    _demand(happening.event is completion(comparison), "what comes next is something else")
    ended = step.model_copy(update={"state": StepState.ENDED, "result": result})
    changes = _with_step(comparison, ended) | {
        "position": comparison.position + 1,
        "reason": happening.reason,
    }
    if happening.event is not ComparisonEvent.ADVANCE:
        changes["cover"] = None
    return changes


def _hold(comparison: Comparison, happening: Happening) -> Changes:
    """Without a result the run has not started, and is there to be started still."""
    step, result = _step(comparison), happening.result
    changes: Changes = {"cover": None, "reason": happening.reason}
    if result is not None:
        _current(comparison, happening)
        _demand(comparison.is_under_way, "its run is not under way")
        ended = is_terminal(result.status) and result.status != RunStatus.COMPLETED
        _demand(ended, "its run has not ended so")
        step = step.model_copy(update={"state": StepState.ENDED, "result": result})
    else:
        _of_the_turn(comparison, happening)
        _demand(step.state is not StepState.ACTIVE, "its run is active")
        if step.state is StepState.STARTING:
            step = step.model_copy(update={"state": StepState.PREPARED})
    return changes | _with_step(comparison, step)


def _of_the_turn(comparison: Comparison, happening: Happening) -> None:
    """What is told late, by somebody who has been overtaken, is told of another run."""
    run_id = comparison.step.run_id if comparison.step is not None else None
    _demand(run_id == happening.run_id, "that is told of another run")


def _lapse(_: Comparison, happening: Happening) -> Changes:
    return {"cover": None, "reason": happening.reason}


def _miss(comparison: Comparison, happening: Happening) -> Changes:
    _of_the_turn(comparison, happening)
    return _lapse(comparison, happening)


def _wait(comparison: Comparison, happening: Happening) -> Changes:
    _of_the_turn(comparison, happening)
    return _nothing(comparison, happening)


def _lose(comparison: Comparison, happening: Happening) -> Changes:
    """Of a run that is not under way everything is known: then it is held instead."""
    _of_the_turn(comparison, happening)
    _demand(comparison.is_under_way, "nothing is under way")
    return _lapse(comparison, happening)


EFFECTS: dict[ComparisonEvent, Callable[[Comparison, Happening], Changes]] = {
    ComparisonEvent.ASK: _nothing,
    ComparisonEvent.CHOOSE: _choose,
    ComparisonEvent.PREPARE: _prepare,
    ComparisonEvent.WAIT: _wait,
    ComparisonEvent.INTEND: _intend,
    ComparisonEvent.REPEAT: _repeat,
    ComparisonEvent.BEGIN: _begin,
    ComparisonEvent.ADVANCE: _complete,
    ComparisonEvent.REST: _complete,
    ComparisonEvent.FINISH: _complete,
    ComparisonEvent.HOLD: _hold,
    ComparisonEvent.STOP: _lapse,
    ComparisonEvent.LOSE: _lose,
    ComparisonEvent.MISS: _miss,
}


def _step(comparison: Comparison) -> Step:
    step = comparison.step
    if step is None:
        raise Conflict("Every run of this comparison has completed.")
    return step


def _current(comparison: Comparison, happening: Happening) -> Step:
    """The run at the position, which is the one that *happening* is about."""
    step = _step(comparison)
    told = happening.run_id or (happening.result.run_id if happening.result else None)
    _demand(step.run_id is not None and told == step.run_id, "that is another run")
    return step


def _with_step(comparison: Comparison, step: Step) -> Changes:
    steps: Sequence[Step] = comparison.steps
    before, behind = steps[: comparison.position], steps[comparison.position + 1 :]
    return {"steps": (*before, step, *behind)}


def _demand(holds: bool, reason: str) -> None:
    if not holds:
        raise Conflict(f"This cannot happen to the comparison now: {reason}.")
