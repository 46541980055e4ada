"""Whatever happens in whatever order, one run is active at a time, and none without a yes.

The model knows nothing of states or tables. It knows which yes was given for what, which runs have
been started on which, and which have ended; it objects to what the rules of the domain let through.
"""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchgate.domain import happenings
from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.comparisons import (
    ENDED,
    RESUMABLE,
    TRANSITIONS,
    UNDER_WAY,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    StepState,
)
from benchgate.domain.happenings import Happening, after, completion
from benchgate.domain.runs import RunStatus
from benchgate.errors import Conflict
from tests.unit.comparing import comparison_of, result_of_run
from tests.unit.examples import NOON

Event = ComparisonEvent
State = ComparisonState
LAPSES = {Event.HOLD, Event.STOP, Event.LOSE, Event.MISS, Event.REST, Event.FINISH}
COMPLETIONS = {Event.ADVANCE, Event.REST, Event.FINISH}
UNFINISHED = {RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.STOPPED}
STATUSES = ["COMPLETED", "FAILED", "RUNNING", "UNHEARD_OF", None]
PLAIN = [one for one in Event if one not in COMPLETIONS | {Event.INTEND, Event.PREPARE}]
# Of these one after another, each comparison that has not ended comes to its end.
TURNS_PER_RUN_MAX = 8


class Model:
    """What a person would keep of a comparison on paper."""

    def __init__(self, tests: int, repeats: int) -> None:
        self.order = [(test, number + 1) for number in range(repeats) for test in range(tests)]
        self.given_to_run: dict[str, str] = {}
        self.given_to_places: dict[str, range] = {}
        self.good: str | None = None
        self.intended: dict[str, str] = {}
        self.started: dict[str, str] = {}
        self.active: set[str] = set()
        self.ended: set[str] = set()
        self.completed: list[str] = []

    def observe(self, event: Happening) -> None:
        """Note *event*, which was let through; object if it should not have been."""
        place = len(self.completed)
        match event.event:
            case Event.CHOOSE:
                assert event.approval_id is not None, "a choice comes with a yes"
                assert not self.active, "nothing is chosen while a run is active"
                last = len(self.order) if event.mode is ExecutionMode.SEQUENTIAL else place + 1
                self.given_to_places[event.approval_id] = range(place, last)
                self.good = event.approval_id
            case Event.INTEND:
                self._intend(event, place)
            case Event.REPEAT:
                self._repeat(event, place)
            case Event.BEGIN:
                self._begin(event)
            case _:
                self._end(event)
        if event.event in LAPSES:
            self.good = None

    def _intend(self, event: Happening, place: int) -> None:
        run_id, approval_id = event.run_id, event.approval_id
        assert run_id is not None, "a start is that of a run"
        assert approval_id is not None, "a start has its yes"
        assert run_id not in self.started, "a run is started once"
        assert not self.active, "a run is started while none is active"
        covers = approval_id == self.good and place in self.given_to_places[approval_id]
        assert covers or self.given_to_run.get(approval_id) == run_id, "the yes is to this start"
        self.intended[run_id] = approval_id

    def _repeat(self, event: Happening, place: int) -> None:
        run_id, approval_id = event.run_id, event.approval_id
        assert run_id not in self.started, "a start that has arrived is not sent again"
        assert approval_id is not None, "a start has its yes"
        assert self.intended.get(run_id or "") == approval_id, "it is sent on the yes it was for"
        covers = approval_id == self.good and place in self.given_to_places[approval_id]
        assert covers, "a yes that has lapsed sends nothing"

    def _begin(self, event: Happening) -> None:
        run_id = event.run_id
        assert run_id in self.intended, "what has begun was to start, on a yes"
        assert run_id not in self.ended, "what has ended does not begin"
        self.started[run_id] = self.intended[run_id]
        self.active.add(run_id)
        assert len(self.active) == 1, "one run is active at a time"

    def _end(self, event: Happening) -> None:
        result = event.result
        if event.event in COMPLETIONS:
            assert result is not None, "a completion has its result"
            assert result.status == RunStatus.COMPLETED, "the place moves over a completed run"
            assert result.run_id in self.intended, "what has completed was to start, on a yes"
            self.completed.append(result.run_id)
        elif event.event is Event.HOLD and result is not None:
            assert result.status in UNFINISHED, "a result that holds is that of an end"
            assert result.run_id in self.intended, "what has ended was to start, on a yes"
        if result is not None and event.event in COMPLETIONS | {Event.HOLD}:
            assert result.run_id not in self.ended, "a run ends once"
            self.active.discard(result.run_id)
            self.ended.add(result.run_id)

    def compare(self, comparison: Comparison) -> None:
        """Object if *comparison* is not what is on the paper."""
        steps, place = comparison.steps, len(self.completed)
        assert [(step.test, step.repetition) for step in steps] == self.order
        assert comparison.position == place
        for step, run_id in zip(steps, self.completed, strict=False):
            assert (step.state, step.run_id) == (StepState.ENDED, run_id)
        assert {step.state for step in steps[place + 1 :]} <= {StepState.PENDING}
        under_way = {step.run_id for step in steps if step.state in UNDER_WAY}
        assert self.active <= under_way, "what is active is known to be under way"
        cover = comparison.cover
        assert cover is None or cover.approval_id == self.good, "a yes that is good covers it"
        assert len(under_way) <= 1, "one run is under way at a time"
        for step in steps:
            assert (step.run_id is None) == (step.state is StepState.PENDING)
        kept = {run_id for step in steps for run_id in (step.run_id, *step.earlier_run_ids)}
        assert self.started.keys() <= kept, "no run that was started is lost"
        assert (comparison.state is State.COMPLETED) == (place == len(self.order))
        # Else nobody could bring it on: a yes is not taken then, and nothing is there to look at.
        assert comparison.state is not State.INTERRUPTED or under_way
        assert comparison.state is not State.PAUSED or not under_way


class Story:
    """A comparison to which likely and unlikely things happen."""

    def __init__(self, tests: int, repeats: int) -> None:
        self.comparison = comparison_of(tests, repeats)
        self.model = Model(tests, repeats)
        self.runs: list[str] = []
        self.approvals: list[str] = []

    @property
    def present(self) -> str | None:
        """The run whose turn it is."""
        return self.comparison.step.run_id if self.comparison.step else None

    def answer(self, mode: ExecutionMode | None) -> None:
        """A person says yes to what is left."""
        self.happen(Happening(event=Event.CHOOSE, approval_id=self.yes(), mode=mode))

    def go_on(self, status: str) -> None:
        """The next thing that leads to an end happens."""
        self.happen(self.next(status))

    def start_on_its_own_yes(self) -> None:
        """A person says yes to the run whose turn it is."""
        if (run_id := self.present) is not None:
            self.happen(Happening(event=Event.INTEND, run_id=run_id, approval_id=self.yes(run_id)))

    def start_on_no_yes(self) -> None:
        """A start is intended that nobody has said yes to."""
        self.happen(Happening(event=Event.INTEND, run_id=self.present))

    def start_as_covered(self, back: int) -> None:
        """A start is intended on a yes that may be over, or be to another run."""
        # Whether a yes to one run is to this one is asked where it is taken, and not here.
        if len(self.approvals) > back:
            told = Happening(event=Event.INTEND, run_id=self.present, on_cover=True)
            self.happen(told.model_copy(update={"approval_id": self.approvals[-1 - back]}))

    def repeat(self, back: int) -> None:
        """A start is sent once more, on a yes that may be over or never have been for it."""
        if len(self.approvals) > back:
            told = Happening(event=Event.REPEAT, run_id=self.present, on_cover=True)
            self.happen(told.model_copy(update={"approval_id": self.approvals[-1 - back]}))

    def prepare(self, *, with_id: bool, replacing: bool) -> None:
        """A run is made, which may have no id, or not know of the one whose place it takes."""
        new = self.run() if with_id else None
        replaced = self.present if replacing else None
        self.happen(Happening(event=Event.PREPARE, run_id=new, replaces=replaced))

    def tell(self, event: ComparisonEvent, status: str | None = None, *, back: int = 0) -> None:
        """Something is told of the run whose turn it is, or of one before it."""
        run_id = self.present if back == 0 else ["run-none", *self.runs][-1 - back :][0]
        result = result_of_run(run_id or "run-none", status) if status else None
        self.happen(Happening(event=event, run_id=run_id, result=result))

    def end(self) -> None:
        """From wherever it has come, somebody who goes on leads it to its end."""
        for _ in range(TURNS_PER_RUN_MAX * len(self.model.order)):
            if self.comparison.state not in ENDED:
                assert self.happen(self.next("COMPLETED")), "it can be brought on"
        assert self.comparison.state in ENDED

    def run(self) -> str:
        """A run that the backend has just made."""
        self.runs.append(f"run-{len(self.runs)}")
        return self.runs[-1]

    def yes(self, run_id: str | None = None) -> str:
        """A yes that a person has just given, to one run or to what is left."""
        self.approvals.append(f"yes-{len(self.approvals)}")
        if run_id is not None:
            self.model.given_to_run[self.approvals[-1]] = run_id
        return self.approvals[-1]

    def happen(self, happening: Happening) -> bool:
        """Whether *happening* is let through; the model has its say then."""
        before = self.comparison
        try:
            self.comparison = after(before, happening, at=NOON)
        except Conflict:
            return False
        assert self.comparison.state is TRANSITIONS[before.state][happening.event]
        self.model.observe(happening)
        self.model.compare(self.comparison)
        return True

    def next(self, status: str) -> Happening:
        """What happens next if all goes well, but for the *status* in which a run ends."""
        comparison, step = self.comparison, self.comparison.step
        if comparison.state is State.PLANNED or step is None:
            return Happening(event=Event.ASK)
        if step.state is StepState.STARTING:
            return Happening(event=Event.BEGIN, run_id=step.run_id)
        if step.state is StepState.ACTIVE:
            result = result_of_run(step.run_id or "", status)
            event = completion(comparison) if status == RunStatus.COMPLETED else Event.HOLD
            return Happening(event=event, run_id=step.run_id, result=result)
        needs_yes = comparison.state is State.AWAITING_CHOICE or (
            comparison.state in RESUMABLE and comparison.mode is ExecutionMode.SEQUENTIAL
        )
        if needs_yes:
            mode = ExecutionMode.SEQUENTIAL
            return Happening(event=Event.CHOOSE, approval_id=self.yes(), mode=mode)
        if step.state is not StepState.PREPARED:
            return Happening(event=Event.PREPARE, run_id=self.run(), replaces=step.run_id)
        return self.start_of(step.run_id or "")

    def start_of(self, run_id: str) -> Happening:
        """The start of the run at the position, on the yes to the whole or on one of its own."""
        cover, covered = self.comparison.cover, self.comparison.is_covered
        on_cover = cover is not None and covered and self.comparison.state is State.RUNNING
        yes = cover.approval_id if cover and on_cover else self.yes(run_id)
        return Happening(event=Event.INTEND, run_id=run_id, approval_id=yes, on_cover=on_cover)


Move = Callable[[Story], object]
LIKELY: list[Move] = [
    *[partial(Story.go_on, status="COMPLETED")] * 5,
    partial(Story.go_on, status="FAILED"),
    *(partial(Story.answer, mode=mode) for mode in (None, *ExecutionMode)),
    Story.start_on_its_own_yes,
    Story.start_on_no_yes,
    partial(Story.tell, event=Event.BEGIN),
    partial(Story.tell, event=Event.HOLD),
    partial(Story.tell, event=Event.CHOOSE),
]
UNLIKELY: list[Move] = [
    *(partial(Story.start_as_covered, back=back) for back in range(3)),
    *(partial(Story.repeat, back=back) for back in range(3)),
    *(
        partial(Story.prepare, with_id=with_id, replacing=replacing)
        for with_id in (True, False)
        for replacing in (True, False)
    ),
    *(partial(Story.tell, event=event) for event in PLAIN),
    partial(Story.tell, event=Event.BEGIN, back=1),
    partial(Story.tell, event=Event.HOLD, back=1),
    *(
        partial(Story.tell, event=event, status=status, back=back)
        for event in (*sorted(COMPLETIONS), Event.HOLD)
        for status in STATUSES
        for back in range(2)
    ),
]
# Sampled alike, so that what seldom happens does not keep all else from happening.
MOVES = st.lists(
    st.sampled_from(LIKELY) | st.sampled_from(LIKELY) | st.sampled_from(UNLIKELY),
    min_size=20,
    max_size=40,
)


def stories(examples: int, *phases: Phase) -> None:
    """Tell so many stories, each to its end."""

    @settings(max_examples=examples, phases=phases or tuple(Phase), database=None)
    @given(tests=st.integers(2, 3), repeats=st.integers(1, 2), moves=MOVES)
    def tell(tests: int, repeats: int, moves: list[Move]) -> None:
        story = Story(tests, repeats)
        for move in moves:
            move(story)
        story.end()

    tell()


def test_no_story_has_two_active_runs_or_an_unapproved_start() -> None:
    stories(300)


@pytest.mark.parametrize(
    "reason",
    [
        "a choice needs the approval that it came with",
        "a run is under way",
        "a prepared run has an id",
        "its run is not prepared",
        "no start of it is intended",
        "a start needs an approval",
        "that approval is not good for this run",
        "its run has ended",
        "its start was never intended",
        "its run is not under way",
        "it has not completed",
        "what comes next is something else",
        "its run has not ended so",
        "its run is active",
        "that is another run",
        "nothing is under way",
    ],
)
def test_the_model_objects_where_one_rule_is_missing(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def demand(holds: bool, why: str) -> None:
        if not holds and why != reason:
            raise Conflict(why)

    monkeypatch.setattr(happenings, "_demand", demand)
    with pytest.raises(AssertionError):
        stories(2_000, Phase.generate)


def test_the_model_objects_to_a_cover_that_outlives_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = happenings.EFFECTS[Event.HOLD]

    def keep(comparison: Comparison, happening: Happening) -> dict[str, object]:
        changes = hold(comparison, happening)
        return {key: value for key, value in changes.items() if key != "cover"}

    monkeypatch.setitem(happenings.EFFECTS, Event.HOLD, keep)
    with pytest.raises(AssertionError):
        stories(2_000, Phase.generate)
