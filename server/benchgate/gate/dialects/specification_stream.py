"""A run's metrics as the specification streams them, with what the embedded backend adds.

The specification's frame holds figures alone; where a run stands is then read elsewhere.
"""

from datetime import UTC, datetime

from pydantic import Field, TypeAdapter

from benchgate.domain.runs import LiveMetrics, RunSnapshot, RunStatus, is_active
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.gate.dialects.messages import Messages
from benchgate.gate.transport.wire import Frames

STATE_CHARACTERS_MAX = 40


class Frame(Value):
    """One message, about once a second; latencies in milliseconds, `error_rate` in percent."""

    timestamp: datetime | None = None
    qps: float = Field(ge=0)
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    error_rate: float = Field(default=0, ge=0, le=100)
    active_connections: int = Field(default=0, ge=0)
    status: str | None = None
    phase: str | None = None
    elapsed_seconds: float | None = Field(default=None, ge=0)
    expected_seconds: float | None = Field(default=None, ge=0)
    total_queries: int = Field(default=0, ge=0)
    current_step: int | None = Field(default=None, ge=0)
    total_steps: int | None = Field(default=None, ge=0)
    current_concurrency: int | None = Field(default=None, ge=0)
    best_concurrency: int | None = Field(default=None, ge=0)
    best_qps: float | None = Field(default=None, ge=0)


FRAME = TypeAdapter(Frame)
# What a frame leaves out of these stays as it was.
PROGRESS = (
    "current_step",
    "total_steps",
    "current_concurrency",
    "best_concurrency",
    "best_qps",
)
IDLE = frozenset({RunStatus.PREPARED, RunStatus.STARTING})


class Metrics:
    """One connection's frames."""

    def __init__(self, frames: Frames) -> None:
        """Read *frames*."""
        self._messages = Messages(frames, FRAME)

    async def next(self, last: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What the next frame adds to *last*; *last* itself where it adds nothing.

        Raises:
            BackendError: nothing came in time, nothing more will come, or none can be read.
        """
        frame = await self._messages.next(seconds_max=seconds_max)
        if frame is None or last.is_terminal or self._messages.is_old(frame.timestamp):
            return last
        return _with_frame(last, frame)


def _with_frame(last: RunSnapshot, frame: Frame) -> RunSnapshot:
    status = one_line(frame.status, STATE_CHARACTERS_MAX) if frame.status else last.status
    phase = one_line(frame.phase, STATE_CHARACTERS_MAX) if frame.phase else None
    elapsed, expected = frame.elapsed_seconds, frame.expected_seconds
    progress = {name: getattr(frame, name) for name in PROGRESS}
    return last.model_copy(
        update={name: value for name, value in progress.items() if value is not None}
        | {
            "status": status,
            "phase": phase if frame.status else last.phase,
            "elapsed_seconds": last.elapsed_seconds if elapsed is None else elapsed,
            "expected_seconds": last.expected_seconds if expected is None else expected,
            # Before the load its zeros are no figures.
            "metrics": _metrics(frame) if is_active(status) and status not in IDLE else None,
            "updated_at": datetime.now(UTC),
            "source": "stream",
        }
    )


def _metrics(frame: Frame) -> LiveMetrics:
    return LiveMetrics(
        qps=frame.qps,
        p50_latency_ms=frame.latency_p50_ms,
        p95_latency_ms=frame.latency_p95_ms,
        p99_latency_ms=frame.latency_p99_ms,
        error_rate=frame.error_rate,
        active_connections=frame.active_connections,
        total_queries=frame.total_queries,
    )
