"""The claim of one run to be the only one: the handles to end it, and the ear for its load."""

import anyio

from benchgate.backend.engine.board import Board, Live
from benchgate.backend.engine.load import Tick
from benchgate.backend.engine.record import Record
from benchgate.backend.engine.target import load_seconds_max
from benchgate.backend.runs import Run
from benchgate.domain.contract import SeriesPoint
from benchgate.domain.runs import Phase, RunEvent
from benchgate.errors import Conflict, StoreError

DRAIN_SECONDS_MAX = 60


class ActiveRun:
    """A run that is about to load, loads or is being counted."""

    def __init__(self, run_id: str) -> None:
        """Claim *run_id*; nothing has been recorded of its start yet."""
        self.run_id = run_id
        self.begun = False
        self.stop = anyio.Event()
        self.ended = anyio.Event()
        self.scope = anyio.CancelScope()
        self.failure: str | None = None
        self.reason: str | None = None

    def end_within(self, seconds: float) -> None:
        """Ask the load to stop, and do not let it take longer than that."""
        self.stop.set()
        self.scope.deadline = anyio.current_time() + seconds

    def allow(self, seconds: float) -> None:
        """Give the load so much longer, unless it is being stopped."""
        if not self.stop.is_set():
            self.scope.deadline = anyio.current_time() + seconds


class RunObserver:
    """Hears one load, writes down what it hears and shows it on the board."""

    def __init__(self, run: Run, active: ActiveRun, *, record: Record, board: Board) -> None:
        """Listen for *run*, which *active* claims."""
        self._run = run
        self._active = active
        self._record = record
        self._board = board
        self._seconds = 0
        self.last: Tick | None = None

    async def ready(self) -> None:
        """The workers are connected: the run is RUNNING, unless it is being stopped already."""
        config = self._run.config
        self._active.allow(config.warmup + load_seconds_max(config) + DRAIN_SECONDS_MAX)
        await self._move(RunEvent.READY)
        self._show(Phase.WARMUP if config.warmup else Phase.MEASUREMENT)

    async def ticked(self, tick: Tick) -> None:
        """Keep the second. A run whose seconds cannot be kept has failed."""
        self.last = tick
        try:
            await self._record.add_second(self._run.run_id, self._seconds, _point(tick))
        except StoreError as exc:
            self._active.failure = str(exc)
            self._active.end_within(DRAIN_SECONDS_MAX)
        self._seconds += 1
        self._show(tick.phase)

    async def draining(self) -> None:
        """The time is over: the run is STOPPING, unless a person was faster."""
        self._active.allow(DRAIN_SECONDS_MAX)
        await self._move(RunEvent.TIME_ELAPSED)
        self._show(Phase.PROCESSING)

    async def _move(self, event: RunEvent) -> None:
        try:
            await self._record.move(self._run.run_id, event)
        except Conflict:
            # A stop came first; its status leads to the same end.
            return
        except StoreError as exc:
            self._active.failure = str(exc)
            self._active.end_within(DRAIN_SECONDS_MAX)

    def _show(self, phase: Phase) -> None:
        self._board.post(Live(run_id=self._run.run_id, phase=phase, tick=self.last))


def _point(tick: Tick) -> SeriesPoint:
    metrics = tick.metrics
    return SeriesPoint(
        timestamp=tick.at,
        elapsed_seconds=tick.elapsed_seconds,
        warmup=tick.phase is Phase.WARMUP,
        ops_per_sec=metrics.qps,
        p50_latency=metrics.p50_latency_ms,
        p95_latency=metrics.p95_latency_ms,
        p99_latency=metrics.p99_latency_ms,
        error_rate=metrics.error_rate,
        active_connections=metrics.active_connections,
    )
