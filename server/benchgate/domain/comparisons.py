"""A comparison: tests that run one after another, where it can stand, and how it moves.

`PLANNED` has not been asked about. `AWAITING_CHOICE` waits for the person's first answer.
`RUNNING` has a yes for the run at its position: it is being prepared, started or under load.
`PAUSED` waits before that run for a person. `INTERRUPTED` does not know what became of it.
`STOPPED` was stopped; what is left is pending, and a person's yes resumes it. `COMPLETED` and
`FAILED` are ends: every run has completed, or one of them can never run.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.likeness import Caution
from benchgate.domain.results import RunResult
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.values import Value
from benchgate.errors import Conflict

TESTS_MIN = 2
TESTS_MAX = 20
REPEATS_MAX = 30
RUNS_MAX = 60
# A yes to a whole series is not good for ever: after a rest this long a person is asked again.
REST_MAX = timedelta(hours=24)


class ComparisonState(StrEnum):
    """Where a comparison stands."""

    PLANNED = "planned"
    AWAITING_CHOICE = "awaiting_choice"
    RUNNING = "running"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


class ComparisonEvent(StrEnum):
    """What can happen to a comparison."""

    ASK = "ask"  # the first question is put
    CHOOSE = "choose"  # a person says yes to what is left, and how
    PREPARE = "prepare"  # a run is created for the position
    WAIT = "wait"  # its turn has come, and another run is in the way
    INTEND = "intend"  # that run is to be started, on a yes
    REPEAT = "repeat"  # that start never arrived, and is to be sent by somebody else
    BEGIN = "begin"  # it is known to have started
    ADVANCE = "advance"  # it has completed, and the next one is covered
    REST = "rest"  # it has completed, and the next one is not covered
    FINISH = "finish"  # the last one has completed
    HOLD = "hold"  # something speaks against going on
    STOP = "stop"  # somebody wants it stopped
    LOSE = "lose"  # the backend cannot be reached
    MISS = "miss"  # what is to run does not exist any more


TRANSITIONS: dict[ComparisonState, dict[ComparisonEvent, ComparisonState]] = {
    ComparisonState.PLANNED: {
        ComparisonEvent.ASK: ComparisonState.AWAITING_CHOICE,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.AWAITING_CHOICE: {
        ComparisonEvent.ASK: ComparisonState.AWAITING_CHOICE,
        ComparisonEvent.CHOOSE: ComparisonState.RUNNING,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.RUNNING: {
        ComparisonEvent.PREPARE: ComparisonState.RUNNING,
        ComparisonEvent.WAIT: ComparisonState.RUNNING,
        ComparisonEvent.INTEND: ComparisonState.RUNNING,
        ComparisonEvent.REPEAT: ComparisonState.RUNNING,
        ComparisonEvent.BEGIN: ComparisonState.RUNNING,
        ComparisonEvent.ADVANCE: ComparisonState.RUNNING,
        ComparisonEvent.REST: ComparisonState.PAUSED,
        ComparisonEvent.FINISH: ComparisonState.COMPLETED,
        ComparisonEvent.HOLD: ComparisonState.PAUSED,
        ComparisonEvent.STOP: ComparisonState.STOPPED,
        ComparisonEvent.LOSE: ComparisonState.INTERRUPTED,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.PAUSED: {
        ComparisonEvent.CHOOSE: ComparisonState.RUNNING,
        ComparisonEvent.PREPARE: ComparisonState.PAUSED,
        ComparisonEvent.INTEND: ComparisonState.RUNNING,
        ComparisonEvent.BEGIN: ComparisonState.RUNNING,
        ComparisonEvent.HOLD: ComparisonState.PAUSED,
        ComparisonEvent.STOP: ComparisonState.STOPPED,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.INTERRUPTED: {
        ComparisonEvent.BEGIN: ComparisonState.RUNNING,
        ComparisonEvent.REST: ComparisonState.PAUSED,
        ComparisonEvent.FINISH: ComparisonState.COMPLETED,
        ComparisonEvent.HOLD: ComparisonState.PAUSED,
        ComparisonEvent.STOP: ComparisonState.STOPPED,
        ComparisonEvent.LOSE: ComparisonState.INTERRUPTED,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.STOPPED: {
        ComparisonEvent.CHOOSE: ComparisonState.RUNNING,
        ComparisonEvent.PREPARE: ComparisonState.STOPPED,
        ComparisonEvent.INTEND: ComparisonState.RUNNING,
        # It was on its way when somebody wanted it stopped.
        ComparisonEvent.BEGIN: ComparisonState.STOPPED,
        ComparisonEvent.REST: ComparisonState.STOPPED,
        ComparisonEvent.FINISH: ComparisonState.COMPLETED,
        ComparisonEvent.HOLD: ComparisonState.STOPPED,
        ComparisonEvent.STOP: ComparisonState.STOPPED,
        ComparisonEvent.LOSE: ComparisonState.STOPPED,
        ComparisonEvent.MISS: ComparisonState.FAILED,
    },
    ComparisonState.COMPLETED: {},
    ComparisonState.FAILED: {},
}
# A person's yes brings them on.
RESUMABLE = frozenset({ComparisonState.PAUSED, ComparisonState.STOPPED})
ENDED = frozenset({ComparisonState.COMPLETED, ComparisonState.FAILED})


def next_state(state: ComparisonState, event: ComparisonEvent) -> ComparisonState:
    """The state after *event*.

    Raises:
        Conflict: a comparison in that state cannot take the event.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise Conflict(f"A comparison that is {state} cannot {event}.") from None


class StepState(StrEnum):
    """Where one of its runs stands, as far as is recorded."""

    PENDING = "pending"
    PREPARED = "prepared"
    STARTING = "starting"  # the start is intended; whether it happened, the backend knows
    ACTIVE = "active"
    ENDED = "ended"


UNDER_WAY = frozenset({StepState.STARTING, StepState.ACTIVE})


class PlannedTest(Value):
    """One of the things that are compared, as it was when a person last said yes to it."""

    variant: str
    template_id: str
    template_name: str
    expected_seconds: int | None = None


class Step(Value):
    """One run of one test: `test` is an index, `repetition` counts from 1.

    A test that did not complete runs again: `earlier_run_ids` are the runs before that, and
    `earlier_results` what is known of them. `config` is what the run was started with.
    """

    test: int
    repetition: int
    state: StepState = StepState.PENDING
    run_id: str | None = None
    approval_id: str | None = None
    config: TemplateConfig | None = None
    result: RunResult | None = None
    earlier_run_ids: tuple[str, ...] = ()
    earlier_results: tuple[RunResult, ...] = ()


class Cover(Value):
    """The yes to what was left, and the last position that it is good for."""

    approval_id: str
    last: int


class Comparison(Value):
    """Tests in the order in which they run, and what became of them."""

    comparison_id: str
    comparison_type: str
    tests: tuple[PlannedTest, ...]
    repeats: int
    cautions: tuple[Caution, ...] = ()
    steps: tuple[Step, ...]
    state: ComparisonState = ComparisonState.PLANNED
    position: int = 0
    mode: ExecutionMode | None = None
    cover: Cover | None = None
    reason: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def step(self) -> Step | None:
        """The run at the position; None once all have completed."""
        return self.steps[self.position] if self.position < len(self.steps) else None

    @property
    def is_covered(self) -> bool:
        """Whether the run at the position may start on the yes to the whole."""
        return self.cover is not None and self.position <= self.cover.last

    @property
    def is_under_way(self) -> bool:
        """Whether the run at the position may be loading a database."""
        return self.step is not None and self.step.state in UNDER_WAY

    @property
    def drives_itself(self) -> bool:
        """Whether the next start needs nobody's word: a series that was approved as one."""
        return self.is_covered and self.mode is ExecutionMode.SEQUENTIAL

    def variant_of(self, step: Step) -> str:
        """What a person calls the run of *step*."""
        variant = self.tests[step.test].variant
        return f"{variant} ({step.repetition}/{self.repeats})" if self.repeats > 1 else variant


def interleaved(tests: int, repeats: int) -> tuple[Step, ...]:
    """The runs in their order: A B C A B C, so that a drift of the machine is shared fairly."""
    return tuple(
        Step(test=test, repetition=repetition)
        for repetition in range(1, repeats + 1)
        for test in range(tests)
    )
