"""A run of the emulated backend: how it moves by itself, and what its two records say of it.

The backend keeps two records of a run which do not always agree: the controller's (`status`,
`phase`, `reason`) and the results' (`result_status`, the figures). A run's future is a list of
changes that are due; `advance` lets those happen whose time has come. Times are seconds of the
clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.flakebench.loads import FindMaxLoad, Load, load_of
from tests.flakebench.plans import FIND_MAX, KEYED_TABLES, Plan, Refused
from tests.flakebench.samples import Json

Due = tuple[float, Callable[[float], None]]

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
LOADED = frozenset({"RUNNING", "STOPPING"})
SETTLED = frozenset({"COMPLETED", "FAILED", "SKIPPED"})
STOPPED_BY_USER = "User requested cancellation"
GUARDRAIL = "Guardrail triggered: cpu_percent 99.00 >= 80.00"
WORKER_LOST = "Worker failure: 1 worker(s) stopped responding. Error: simulated worker crash"


@dataclass(frozen=True)
class Pace:
    """How long the backend takes over what is not the load itself. Seconds of its clock."""

    prepare_s: float = 2
    drain_s: float = 2
    stop_s: float = 5
    # From the end until the results' record has caught up with the controller's.
    reconcile_s: float = 5
    enrich_s: float = 3
    cache_s: float = 300


@dataclass
class Seen:
    """What a reader of both records is told."""

    status: str
    phase: str | None
    reason: str | None


@dataclass
class Run:
    """One run of a template."""

    run_id: str
    template_id: str
    name: str
    config: Json
    plan: Plan
    pace: Pace
    created_at_s: float
    error_share: float = 0.0
    stop_reads_failed: bool = False
    zero_terminal: bool = False
    status: str = "PREPARED"
    phase: str = ""
    reason: str | None = None
    result_status: str = "PREPARED"
    enrichment: str | None = None
    has_figures: bool = False
    worker_sets: int = 0
    started_at_s: float | None = None
    loaded_at_s: float | None = None
    measured_from_s: float | None = None
    unloaded_at_s: float | None = None
    ended_at_s: float | None = None
    load: Load = field(init=False)
    _due: list[Due] = field(init=False, default_factory=list[Due])

    def __post_init__(self) -> None:
        self.load = load_of(self.plan, error_share=self.error_share)

    @property
    def is_terminal(self) -> bool:
        """Whether the controller is done with the run."""
        return self.status in TERMINAL

    def advance(self, now_s: float) -> None:
        """Let everything happen that is due by *now_s*, in order."""
        while self._due and (first := min(self._due, key=lambda due: due[0]))[0] <= now_s:
            self._due.remove(first)
            first[1](first[0])

    def start(self, now_s: float, *, pools_missing: bool) -> None:
        """Spawn a set of workers.

        Raises:
            Refused: the run is past its start, or value pools are missing, which is found out too
                late: the run stays STARTING.
        """
        if self.status not in {"PREPARED", "STARTING"}:
            raise Refused(f"Run {self.run_id} is in status {self.status}, cannot start")
        if self.started_at_s is None:
            self.started_at_s = now_s
        self.status, self.phase, self.result_status = "STARTING", "PREPARING", "RUNNING"
        if pools_missing and self.plan.table_type in KEYED_TABLES:
            raise Refused(f"No value pools have been prepared for a {self.plan.table_type} table.")
        self.worker_sets += 1
        if self.worker_sets == 1:
            self._after(now_s, self.pace.prepare_s, self._ready)

    def stop(self, now_s: float) -> None:
        """Begin to stop: the end comes `stop_s` later, at once where nothing has begun yet."""
        if self.status == "PREPARED":
            self.status = self.result_status = "CANCELLED"
            self.reason, self.ended_at_s = STOPPED_BY_USER, now_s
        elif not self.is_terminal and self.status != "CANCELLING":
            self.status = "CANCELLING"
            self._unload(now_s)
            self._after(now_s, self.pace.stop_s, self._cancelled)

    def fail(self, now_s: float, reason: str) -> None:
        """End as the controller ends a run: FAILED, with its reason."""
        self.status, self.reason, self.ended_at_s = "FAILED", reason, now_s
        self._unload(now_s)
        self._after(now_s, self.pace.reconcile_s, self._reconciled)

    def seen(self, now_s: float) -> Seen:
        """What a reader is told: the controller's word as long as either record is live."""
        if self.status == "PREPARED":
            return Seen("PREPARED", None, None)
        if self.status in TERMINAL and self.result_status in TERMINAL:
            is_processing = self.enrichment == "PENDING" and self.result_status == "COMPLETED"
            return Seen(self.result_status, "PROCESSING" if is_processing else None, None)
        expected_s = self.plan.expected_s
        is_past = bool(expected_s) and self.elapsed_s(now_s) >= expected_s
        phase = "PROCESSING" if is_past and self.status in LOADED else self.phase
        return Seen(self.status, phase, self.reason)

    def elapsed_s(self, now_s: float) -> float:
        """What the backend shows as elapsed: it can go down, and back to zero, at the end."""
        if self.started_at_s is None:
            return 0.0
        if not self.is_terminal:
            return now_s - self.started_at_s
        if self.ended_at_s is None:
            return 0.0
        return self.ended_at_s - self.shown_start_s

    @property
    def shown_start_s(self) -> float:
        """The start that is shown: with the figures it becomes the first worker's."""
        if self.has_figures and self.loaded_at_s is not None:
            return self.loaded_at_s
        return self.created_at_s if self.started_at_s is None else self.started_at_s

    def measured_s(self, now_s: float) -> float:
        """For how long operations have been counted."""
        if self.measured_from_s is None:
            return 0.0
        until_s = now_s if self.unloaded_at_s is None else self.unloaded_at_s
        return max(0.0, until_s - self.measured_from_s)

    def _after(self, at_s: float, wait_s: float, change: Callable[[float], None]) -> None:
        self._due.append((at_s + wait_s, change))

    def _ready(self, at_s: float) -> None:
        self.status, self.phase, self.loaded_at_s = "RUNNING", "WARMUP", at_s
        # Warm-up operations are counted too, until the measurement begins and they are forgotten.
        self.measured_from_s = at_s
        self._after(at_s, self.plan.warmup_s, self._measure)

    def _measure(self, at_s: float) -> None:
        self.phase, self.measured_from_s = "MEASUREMENT", at_s
        if self.plan.load_mode == FIND_MAX:
            self._after(at_s, self.plan.step_s, self._judge)
        else:
            self._after(at_s, self.plan.duration_s, self._drain)

    def _judge(self, at_s: float) -> None:
        assert isinstance(self.load, FindMaxLoad)
        self.load.judge()
        if not self.load.is_over:
            self._after(at_s, self.load.period_s, self._judge)
            return
        # The controller's word comes before the workers have even heard of it.
        self.status, self.phase = "COMPLETED", "PROCESSING"
        self.unloaded_at_s = at_s
        self._after(at_s, self.pace.reconcile_s, self._rolled_up)

    def _drain(self, at_s: float) -> None:
        self.status, self.phase, self.unloaded_at_s = "STOPPING", "PROCESSING", at_s
        self._after(at_s, self.pace.drain_s, self._complete)

    def _complete(self, at_s: float) -> None:
        self.status = "COMPLETED"
        if self.zero_terminal:
            self._after(at_s, self.pace.reconcile_s, self._rolled_up)
        else:
            self._rolled_up(at_s)

    def _rolled_up(self, at_s: float) -> None:
        self.result_status, self.enrichment = "COMPLETED", "PENDING"
        self.has_figures, self.ended_at_s = True, self.unloaded_at_s
        self._after(at_s, self.pace.enrich_s, self._enriched)

    def _enriched(self, at_s: float) -> None:
        self.enrichment = self.phase = "COMPLETED"

    def _unload(self, now_s: float) -> None:
        self._due.clear()
        if self.unloaded_at_s is None:
            self.unloaded_at_s = now_s

    def _cancelled(self, at_s: float) -> None:
        self.status, self.reason, self.ended_at_s = "CANCELLED", STOPPED_BY_USER, at_s
        if self.stop_reads_failed:
            self._reconciled(at_s)
        else:
            self._after(at_s, self.pace.reconcile_s, self._reconciled)

    def _reconciled(self, at_s: float) -> None:
        reads_failed = self.status == "FAILED" or self.stop_reads_failed
        self.result_status = "FAILED" if reads_failed else "CANCELLED"
        self.has_figures = self.loaded_at_s is not None
