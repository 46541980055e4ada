"""What a run is told to do and what it reports; values only.

A `Load` goes in, a `Tick` comes out every second, and an `Outcome` at the end.
"""

from datetime import datetime
from typing import Protocol

from benchgate.backend.drivers.port import Target
from benchgate.domain.contract import ErrorRow
from benchgate.domain.runs import LiveMetrics, Phase, Summary
from benchgate.domain.templates import QueryShare
from benchgate.domain.values import Value


class Load(Value):
    """A closed loop of *connections*, each sending its next operation after the last answer."""

    run_id: str
    target: Target
    workload: tuple[QueryShare, ...]
    connections: int
    think_time_ms: int
    warmup_seconds: int
    duration_seconds: int
    seed: int


class Tick(Value):
    """One second of a run under load."""

    at: datetime
    elapsed_seconds: float  # since the load began, warm-up included
    phase: Phase
    metrics: LiveMetrics


class Outcome(Value):
    """What a run came to. `failure` says why it could not go on; None for one that could.

    `notice` is what a reader of the figures has to know and cannot see in them.
    """

    summary: Summary | None  # None when no measurement began
    measured_seconds: float
    elapsed_seconds: float
    errors: tuple[ErrorRow, ...] = ()
    failure: str | None = None
    notice: str | None = None


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
