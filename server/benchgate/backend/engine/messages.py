"""What a worker and the crew that it belongs to tell each other: JSON, one line each.

To a worker: its assignment, then `Go` when all are ready, then perhaps `Steer` and `Stop`. The
end of its input means that nobody listens any more, and is a `Stop` as well.
From a worker: `Ready`, a `Report` for each second, `Stopped` after the last of them, and `Done` or
`Broken` at the end.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from benchgate.backend.drivers.port import Assignment
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from benchgate.domain.values import Value

# A line holds two histograms for each kind of query, about ten kilobytes each as a rule.
LINE_BYTES_MAX = 4_000_000


class Begin(Value):
    """The first line: what to do."""

    type: Literal["begin"] = "begin"
    assignment: Assignment


class Go(Value):
    """Every worker is ready: load from that instant on, for so long.

    The instant is one of the wall clock, which machines that work together have in common; each
    worker translates it to its own monotonic clock once, on hearing it.
    """

    type: Literal["go"] = "go"
    start_epoch_ns: int
    warmup_seconds: int
    duration_seconds: int


class Steer(Value):
    """Load with so many connections from now on."""

    type: Literal["steer"] = "steer"
    connections: int
    is_first: bool = False  # of the workers that there still are


class Stop(Value):
    """End before the time is over."""

    type: Literal["stop"] = "stop"


class Ready(Value):
    """The worker's connections are open."""

    type: Literal["ready"] = "ready"


class KindCounts(Value):
    """The operations of one kind that were answered; latencies are packed histograms.

    Of a person's own statements those that write are told apart.
    """

    kind: QueryKind
    writes: bool = False
    service: str
    response: str | None = None  # of an open loop
    rows: int = 0


class Punctuality(Value):
    """How an open loop kept to its schedule."""

    scheduled: int  # starts that were due
    lag: str  # from each intended start to the sending, as a packed histogram
    oversleep: str  # the part of it that is the generator's own
    real_time_ns: int = 0  # for so long its thread had a real-time priority


class FailureCount(Value):
    """Failures of one kind in one kind of query; None where it was a connection attempt."""

    failure: FailureKind
    kind: QueryKind | None
    count: int
    message: str  # the first of them
    at: datetime


class Report(Value):
    """What happened since the report before."""

    type: Literal["report"] = "report"
    second: int  # of the load, from 1; the last one may be cut short
    is_measured: bool
    interval_ns: int  # exactly, by the worker's clock
    kinds: tuple[KindCounts, ...] = ()
    punctuality: Punctuality | None = None
    failures: tuple[FailureCount, ...] = ()
    last_message: str | None = None  # of the newest failure
    connections: int
    cpu_ns: int = 0  # of the whole process
    loop_lag_ns: int = 0  # the longest that the worker's own event loop was late


class Stopped(Value):
    """No operation begins any more, and what becomes of those in flight is not counted."""

    type: Literal["stopped"] = "stopped"


class Done(Value):
    """The worker has ended every session."""

    type: Literal["done"] = "done"
    notices: tuple[str, ...] = ()


class Broken(Value):
    """The worker cannot go on."""

    type: Literal["broken"] = "broken"
    reason: str


ToWorker = Begin | Go | Steer | Stop
FromWorker = Ready | Report | Stopped | Done | Broken

TO_WORKER: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="type")])
FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(
    Annotated[FromWorker, Field(discriminator="type")]
)


def line_of(message: Value) -> bytes:
    """*message* as the line that carries it."""
    return message.model_dump_json().encode() + b"\n"
