"""What a run is and how it moves. Everything that changes a run's state is in one table here.

`PREPARED` waits for a start. `STARTING` has been told to start and its workers are getting ready.
`RUNNING` is under load (phases WARMUP and MEASUREMENT). `STOPPING` has had its time and is being
counted, or has come to a limit. `CANCELLING` was told to stop. The other four are ends: nothing
leaves them.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, computed_field

from benchgate.domain.values import Value
from benchgate.errors import Conflict


class RunStatus(StrEnum):
    """Where a run stands."""

    PREPARED = "PREPARED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    STOPPED = "STOPPED"


class Phase(StrEnum):
    """What a live run is doing."""

    PREPARING = "PREPARING"
    WARMUP = "WARMUP"
    MEASUREMENT = "MEASUREMENT"
    PROCESSING = "PROCESSING"


class RunEvent(StrEnum):
    """What can happen to a run."""

    START = "start"
    READY = "ready"
    TIME_ELAPSED = "time_elapsed"
    STOP = "stop"
    LIMIT = "limit"
    SETTLED = "settled"
    FAIL = "fail"


ACTIVE = frozenset(
    {RunStatus.STARTING, RunStatus.RUNNING, RunStatus.STOPPING, RunStatus.CANCELLING}
)
TERMINAL = frozenset(
    {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.STOPPED}
)

TRANSITIONS: dict[RunStatus, dict[RunEvent, RunStatus]] = {
    RunStatus.PREPARED: {
        RunEvent.START: RunStatus.STARTING,
        RunEvent.STOP: RunStatus.CANCELLED,
    },
    RunStatus.STARTING: {
        RunEvent.READY: RunStatus.RUNNING,
        RunEvent.STOP: RunStatus.CANCELLING,
        RunEvent.FAIL: RunStatus.FAILED,
    },
    RunStatus.RUNNING: {
        RunEvent.TIME_ELAPSED: RunStatus.STOPPING,
        RunEvent.STOP: RunStatus.CANCELLING,
        RunEvent.FAIL: RunStatus.FAILED,
    },
    RunStatus.STOPPING: {
        RunEvent.SETTLED: RunStatus.COMPLETED,
        RunEvent.LIMIT: RunStatus.STOPPED,
        RunEvent.STOP: RunStatus.CANCELLING,
        RunEvent.FAIL: RunStatus.FAILED,
    },
    RunStatus.CANCELLING: {
        RunEvent.STOP: RunStatus.CANCELLING,
        RunEvent.SETTLED: RunStatus.CANCELLED,
        RunEvent.FAIL: RunStatus.FAILED,
    },
    RunStatus.COMPLETED: {},
    RunStatus.FAILED: {},
    RunStatus.CANCELLED: {},
    RunStatus.STOPPED: {},
}


def next_status(status: RunStatus, event: RunEvent) -> RunStatus:
    """The status after *event*.

    Raises:
        Conflict: a run in that status cannot take the event.
    """
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise Conflict(f"A run that is {status} cannot {event}.") from None


def is_terminal(status: str) -> bool:
    """Whether *status*, known or not, is one of the four ends."""
    return status in TERMINAL


def is_active(status: str) -> bool:
    """Whether a run in *status* loads the database; a status nobody knows counts as active."""
    return status != RunStatus.PREPARED and not is_terminal(status)


class LiveMetrics(Value):
    """The last second of a live run; None where nobody knows a figure."""

    qps: float = Field(default=0, ge=0)
    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    error_rate: float = Field(default=0, ge=0, le=100, description="Percent of operations")
    active_connections: int | None = Field(default=None, ge=0)
    total_queries: int | None = Field(default=None, ge=0, description="Since the measurement began")


class Summary(Value):
    """The measured figures of a run, warm-up excluded; the keys are the specification's."""

    total_queries: int = Field(ge=0)
    average_qps: float = Field(ge=0, description="Total queries divided by measured time")
    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    error_rate: float = Field(ge=0, le=100, description="Percent of operations")


class RunSnapshot(Value):
    """The newest known state of a run, the same for every backend.

    `status` and `phase` are strings, because a backend may know states that we do not. `source` is
    the way on which the newest of it came: `rest` or `stream`, None where only one is known.
    `best_concurrency` and `best_qps` are the most that a search has found stable so far.
    `is_settled` says that it has ended and nothing more is to be learned of it, figures included.
    """

    run_id: str
    status: str
    phase: str | None = None
    template_id: str | None = None
    template_name: str = ""
    reason: str | None = None
    elapsed_seconds: float = 0
    expected_seconds: float | None = None
    measured_seconds: float | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_concurrency: int | None = None
    best_concurrency: int | None = None
    best_qps: float | None = None
    metrics: LiveMetrics | None = None
    summary: Summary | None = None
    estimated_cost: float | None = None
    dashboard_url: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    source: str | None = None
    is_settled: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return is_terminal(self.status)

    @property
    def is_known(self) -> bool:
        """Whether the status is one that this version knows."""
        return self.status in RunStatus.__members__

    @computed_field
    @property
    def progress_pct(self) -> float | None:
        """Elapsed of expected time, 0-100; None where the end cannot be foreseen."""
        if not self.expected_seconds:
            return None
        return round(min(100.0, 100 * self.elapsed_seconds / self.expected_seconds), 1)


class OwnStop(Value):
    """A stop that benchgate itself asked for; a backend may tell it as a failure.

    `status` is as what the run counts once it has ended: CANCELLED on a person's request, STOPPED
    for a condition.
    """

    status: RunStatus = RunStatus.CANCELLED
    reason: str = "Stopped on request through benchgate"


class Sighting(Value):
    """What is remembered of a run: what was last known, and whether its end was our wish."""

    snapshot: RunSnapshot | None = None
    own_stop: OwnStop | None = None
