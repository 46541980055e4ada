"""What a template wants of each kind of operation, and whether a run's figures keep to it.

It judges figures and measures none; nothing is stopped because of a verdict.
"""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field, computed_field

from benchgate.domain.templates import QueryKind, TemplateConfig
from benchgate.domain.values import Value

# A statement of one's own has no objective: one kind stands for all that a template has of them.
JUDGED_KINDS = (
    QueryKind.POINT_LOOKUP,
    QueryKind.RANGE_SCAN,
    QueryKind.INSERT,
    QueryKind.UPDATE,
)
# A schedule has exactly its rate, and so all that is missing was not delivered. What is under way
# when the time is over is not counted, though: 1 % forgives that even where it is a slow query.
RATE_TOLERANCE_PCT = 1


class Metric(StrEnum):
    """What an objective limits; the values are the ends of a template's keys."""

    P95_LATENCY_MS = "p95_latency_ms"
    P99_LATENCY_MS = "p99_latency_ms"
    ERROR_RATE_PCT = "error_rate_pct"


class LatencyFigures(Value):
    """How long operations took, over `n` of them; None where there were too few to tell."""

    n: int = Field(ge=0)
    mean_ms: float | None = None
    std_error_ms: float | None = Field(default=None, description="Of the mean")
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    p9999_ms: float | None = None
    max_ms: float | None = None


class KindFigures(Value):
    """What was measured of one kind of operation.

    `service` is the time from sending an operation to its answer. `response` begins at the
    intended start and so has the waiting in it; only an open loop has one.
    """

    kind: QueryKind
    total_queries: int = Field(ge=0, description="Answered operations")
    errors: int = Field(ge=0, description="Operations that failed")
    qps: float = Field(ge=0)
    service: LatencyFigures
    response: LatencyFigures | None = None
    rows_read: int = Field(default=0, ge=0)
    rows_written: int = Field(default=0, ge=0)

    @property
    def error_rate(self) -> float | None:
        """Percent of operations that failed; None where there was none."""
        tried = self.total_queries + self.errors
        return 100 * self.errors / tried if tried else None


class Objective(Value):
    """A limit on one figure of one kind of operation."""

    kind: QueryKind
    metric: Metric
    limit: float


class Verdict(Objective):
    """An objective with what was measured; None is no data, which cannot hold.

    `is_response` says that it was held against what a user would have waited. An error rate is of
    what was tried: where nothing was answered for `unanswered_seconds`, it cannot tell.
    """

    value: float | None = None
    is_response: bool = False
    unanswered_seconds: int = Field(default=0, ge=0, description="Of an error rate")

    @computed_field
    @property
    def holds(self) -> bool:
        """Whether the figure is within the limit, and tells of the whole time."""
        return self._is_within and not self.unanswered_seconds

    @property
    def _is_within(self) -> bool:
        return self.value is not None and self.value <= self.limit

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        unit = "%" if self.metric is Metric.ERROR_RATE_PCT else " ms"
        kind = f"{self.kind.replace('_', ' ').capitalize()}s"
        limit = f"{_number(self.limit)}{unit}"
        if self.value is None:
            return f"{kind}: there is no {self._measured} to hold against {limit}."
        told = f"{self._measured} of {_number(self.value)}{unit}"
        silent = f", but nothing was answered for {self.unanswered_seconds} s"
        verdict = f"{'is within' if self._is_within else 'exceeds'} {limit}"
        return f"{kind}: the {told} {verdict}{silent if self.unanswered_seconds else ''}."

    @property
    def _measured(self) -> str:
        if self.metric is Metric.ERROR_RATE_PCT:
            return "error rate"
        percentile = "p95" if self.metric is Metric.P95_LATENCY_MS else "p99"
        return f"{percentile} {'response' if self.is_response else 'service'} time"


class RateVerdict(Value):
    """Whether an open loop delivered the rate that was asked for."""

    target_qps: float = Field(gt=0)
    qps: float = Field(ge=0, description="Answered per second")
    scheduled: int = Field(ge=0, description="Starts that were due in the measurement")
    answered: int = Field(ge=0)
    backlog: int = Field(default=0, ge=0, description="Starts that the warm-up left unanswered")
    under_way: int = Field(default=0, ge=0, description="Operations under way at any moment")

    @computed_field
    @property
    def holds(self) -> bool:
        """Whether no more is missing than the end of a run explains."""
        # A measurement is seldom a whole number of the schedule's windows, so it is held against
        # what was due in it; one operation may lie on either side of each edge. Answers to what
        # was due before make up for nothing that is still open at the end, but for as many as are
        # always under way where operations take their time.
        due = self.scheduled + self.backlog - self.under_way
        return self.answered + 1 >= due * (1 - RATE_TOLERANCE_PCT / 100)

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        was = "was" if self.holds else "was not"
        told = f"The target of {_number(self.target_qps)} QPS {was} met: {_number(self.qps)} QPS"
        if self.holds or not self.backlog:
            return f"{told}."
        return f"{told}, after a backlog of {self.backlog:,} from the warm-up."


def objectives_of(config: TemplateConfig) -> tuple[Objective, ...]:
    """The objectives of a template for the kinds in its workload: of no other is anything run."""
    run = {share.kind for share in config.workload}
    wanted = [
        (kind, metric, getattr(config, f"target_{kind.lower()}_{metric}", None))
        for kind in JUDGED_KINDS
        if kind in run
        for metric in Metric
    ]
    return tuple(
        Objective(kind=kind, metric=metric, limit=limit)
        for kind, metric, limit in wanted
        if limit is not None
    )


def judge(
    objectives: Sequence[Objective], kinds: Sequence[KindFigures], *, unanswered_s: int = 0
) -> tuple[Verdict, ...]:
    """A verdict for each of *objectives*, in their order, on what *kinds* have of it.

    No error rate holds where for *unanswered_s* seconds nothing was answered: connections that
    wait to be made again try little, and fail seldom.
    """
    known = {figures.kind: figures for figures in kinds}
    return tuple(
        _verdict(objective, known.get(objective.kind), unanswered_s=unanswered_s)
        for objective in objectives
    )


def _verdict(objective: Objective, figures: KindFigures | None, *, unanswered_s: int) -> Verdict:
    is_latency = objective.metric is not Metric.ERROR_RATE_PCT
    return Verdict(
        **dict(objective),
        value=figures and _value(objective.metric, figures),
        is_response=is_latency and figures is not None and figures.response is not None,
        unanswered_seconds=0 if is_latency else unanswered_s,
    )


def _value(metric: Metric, figures: KindFigures) -> float | None:
    if metric is Metric.ERROR_RATE_PCT:
        return figures.error_rate
    latency = figures.response or figures.service
    return latency.p95_ms if metric is Metric.P95_LATENCY_MS else latency.p99_ms


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")
