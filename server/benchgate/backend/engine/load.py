"""What a run is told to do and what it reports; values only.

A `Load` goes in, a `Tick` comes out every second, and an `Outcome` at the end.
"""

from datetime import datetime
from typing import Protocol

from benchgate.backend.drivers.port import Target
from benchgate.domain.contract import ErrorRow
from benchgate.domain.findings import Findings, Position
from benchgate.domain.objectives import Objective
from benchgate.domain.runs import LiveMetrics, Phase, Summary
from benchgate.domain.search import SearchPlan
from benchgate.domain.templates import Guardrails, QueryShare, Spacing, WorkerLoss
from benchgate.domain.values import Value


class Schedule(Value):
    """An open loop: operations start at a rate, whether earlier ones were answered or not."""

    rate_per_s: float
    spacing: Spacing = Spacing.POISSON


class Ramp(Value):
    """A search for the most connections that are stable, step by step."""

    plan: SearchPlan
    step_seconds: int


class Load(Value):
    """What to send to a target, how hard and how long.

    With a schedule the loop is open, and `connections` is the limit up to which they are opened
    as they are needed. Without, it is closed: each connection sends its next operation after the
    last answer. With a ramp, how many of them load changes from step to step.
    """

    run_id: str
    target: Target
    workload: tuple[QueryShare, ...]
    connections: int
    connections_at_start: int
    workers_min: int = 1
    workers_max: int | None = None  # None: as many as the machine has cores to spare
    think_time_ms: int = 0
    schedule: Schedule | None = None
    ramp: Ramp | None = None
    decode_rows: bool = False
    use_cached_result: bool = False
    warmup_seconds: int
    duration_seconds: int  # of a search: the most that it may take
    seed: int
    worker_loss: WorkerLoss = WorkerLoss.FAIL
    guardrails: Guardrails = Guardrails()
    objectives: tuple[Objective, ...] = ()


class Tick(Value):
    """One second of a run under load."""

    at: datetime
    elapsed_seconds: float  # since the load began, warm-up included
    phase: Phase
    metrics: LiveMetrics
    position: Position = Position()


class Outcome(Value):
    """What a run came to.

    `failure` says why it could not go on, `stopped` which guardrail ended it.
    """

    summary: Summary | None  # None when no measurement began
    measured_seconds: float
    elapsed_seconds: float
    errors: tuple[ErrorRow, ...] = ()
    findings: Findings | None = None
    failure: str | None = None
    stopped: str | None = None


class Observer(Protocol):
    """Who hears how a load goes."""

    async def ready(self) -> None:
        """Every worker is connected; the clock of the warm-up starts now."""
        ...

    async def ticked(self, tick: Tick) -> None:
        """A second has passed."""
        ...

    async def draining(self) -> None:
        """The time is over; the workers close their sessions and the figures are added up."""
        ...
