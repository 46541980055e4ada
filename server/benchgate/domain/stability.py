"""Whether a database bore a step of a search; knows nothing of the way that the search takes.

A change counts only where it exceeds both the template's limit and the noise of what is compared,
so that a search ends at the database's limit and not at an unlucky second.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from pydantic import Field

from benchgate.domain.values import Percentage, Value

# Student's t for 99 %, by degrees of freedom; between two of them the wider interval holds. A
# search compares some thirty times. Where steps are short and seconds scatter much, one search in
# five would take noise for its end with 95 % each; with 99 % one in twenty does.
STUDENT_T = (
    (1, 63.66),
    (2, 9.92),
    (3, 5.84),
    (4, 4.60),
    (5, 4.03),
    (7, 3.50),
    (10, 3.17),
    (15, 2.95),
    (30, 2.75),
    (60, 2.66),
    (500, 2.58),
)


class Estimate(Value):
    """A mean over `n` seconds with its standard error; None where no second has a figure."""

    value: float | None
    std_error: float = Field(ge=0)
    n: int = Field(ge=0)


def estimate(samples: Sequence[float]) -> Estimate:
    """The mean of *samples*; how much they scatter can be told of two or more."""
    if not samples:
        return Estimate(value=None, std_error=0, n=0)
    n = len(samples)
    error = stdev(samples) / sqrt(n) if n > 1 else 0
    return Estimate(value=fmean(samples), std_error=error, n=n)


class Counted(NamedTuple):
    """How many operations were answered in a part of a step, and how long it was."""

    answered: int
    seconds: float


def rate(parts: Sequence[Counted]) -> Estimate:
    """Answers per second over all *parts*, which may differ in length.

    It is the sum of the answers over the sum of the time, and its standard error that of such a
    ratio: a part scatters by as many answers as it is off, so a short one weighs little.
    """
    seconds, n = sum(part.seconds for part in parts), len(parts)
    if not seconds:
        return Estimate(value=None, std_error=0, n=0)
    value = sum(part.answered for part in parts) / seconds
    squares = sum((part.answered - value * part.seconds) ** 2 for part in parts)
    error = sqrt(squares * n / (n - 1)) / seconds if n > 1 else 0
    return Estimate(value=value, std_error=error, n=n)


class StepFigures(Value):
    """What was measured at one concurrency, the time in which it settled left out."""

    concurrency: int = Field(ge=1)
    seconds: float = Field(ge=0)
    total_queries: int = Field(ge=0, description="Answered operations")
    qps: Estimate
    p50_latency_ms: Estimate
    p95_latency_ms: Estimate
    p99_latency_ms: Estimate
    error_rate: Percentage
    connections_missing: int = Field(default=0, ge=0, description="Not open at the step's end")
    is_generator_spent: bool = False  # it had no time left, so what it could not send nobody knows


class Limits(Value):
    """How much worse a step may be before it counts as unstable, in percent."""

    qps_stability_pct: float
    latency_stability_pct: float
    max_error_rate_pct: Percentage


class Change(NamedTuple):
    """By how much a figure differs from another, and how much of that may be noise."""

    pct: float
    noise_pct: float

    def exceeds(self, limit_pct: float) -> bool:
        """Whether it is a rise above *limit_pct* that noise does not explain."""
        return self.pct > limit_pct and self.pct > self.noise_pct


def objections(
    figures: StepFigures,
    limits: Limits,
    *,
    baseline: StepFigures | None,
    best: StepFigures | None,
) -> tuple[str, ...]:
    """One sentence for each limit that *figures* break; none of a stable step.

    Latency is held against the *baseline*, the first stable step, and QPS against the *best* of
    those that were stable with less concurrency. Where there is none, nothing is compared.
    """
    told = [*of_the_answers(figures, limits)]
    if best is not None:
        told += _of_the_rate(figures, limits, best=best)
    if baseline is not None:
        told += _of_the_latency(figures, limits, baseline=baseline)
    return tuple(told)


def of_the_answers(figures: StepFigures, limits: Limits) -> Iterator[str]:
    """What the database itself has refused, or has not answered."""
    if figures.connections_missing:
        wanted = connections(figures.concurrency)
        yield f"{figures.connections_missing} of {wanted} could not be opened"
    if not figures.total_queries:
        yield "no operation was answered"
    if figures.error_rate > limits.max_error_rate_pct:
        yield (
            f"{figures.error_rate:.3g}% of the operations failed "
            f"(limit {limits.max_error_rate_pct:g}%)"
        )


def _of_the_rate(figures: StepFigures, limits: Limits, *, best: StepFigures) -> Iterator[str]:
    rise = _change(best.qps, figures.qps)
    if rise is None:
        return
    fall = Change(-rise.pct, rise.noise_pct)
    if fall.exceeds(limits.qps_stability_pct):
        yield (
            f"QPS fell {fall.pct:.1f}% against {connections(best.concurrency)} "
            f"(limit {limits.qps_stability_pct:g}%, noise ±{fall.noise_pct:.1f}%)"
        )


def _of_the_latency(
    figures: StepFigures, limits: Limits, *, baseline: StepFigures
) -> Iterator[str]:
    compared = (
        ("p95", baseline.p95_latency_ms, figures.p95_latency_ms),
        ("p99", baseline.p99_latency_ms, figures.p99_latency_ms),
    )
    for name, before, after in compared:
        rise = _change(before, after)
        if rise is not None and rise.exceeds(limits.latency_stability_pct):
            yield (
                f"{name} rose {rise.pct:.1f}% against the first stable step "
                f"(limit {limits.latency_stability_pct:g}%, noise ±{rise.noise_pct:.1f}%)"
            )


def _change(before: Estimate, after: Estimate) -> Change | None:
    """How *after* differs from *before*, with a 99 % interval; None where that has no meaning.

    Where neither scatters, because each has a single second, the limit alone decides.
    """
    if not before.value or after.value is None:
        return None
    error = sqrt(before.std_error**2 + after.std_error**2)
    noise = _student_t(before.n + after.n - 2) * error
    return Change(
        pct=100 * (after.value - before.value) / before.value,
        noise_pct=100 * noise / before.value,
    )


def _student_t(freedom: int) -> float:
    fitting = [t for degrees, t in STUDENT_T if degrees <= freedom]
    return fitting[-1] if fitting else 0


def connections(count: int) -> str:
    """*count* connections, in words that fit one as well."""
    return f"{count} connection" if count == 1 else f"{count} connections"
