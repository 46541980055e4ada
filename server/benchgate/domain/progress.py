"""How far a comparison is: one line for each of its runs, and the time that is left."""

from collections.abc import Sequence

from benchgate.domain.comparisons import UNDER_WAY, Comparison, Step, StepState
from benchgate.domain.results import RunResult, result_of
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.domain.totals import total
from benchgate.domain.values import Value

PENDING = "PENDING"


class ProgressLine(Value):
    """One run as the specification's table shows it.

    `is_partial` says that the figures are those of a run that ended before it was complete.
    """

    variant: str
    status: str
    run_id: str | None = None
    progress_pct: float | None = None
    qps: float | None = None
    p95_latency_ms: float | None = None
    is_partial: bool = False


def lines_of(comparison: Comparison, live: RunSnapshot | None) -> tuple[ProgressLine, ...]:
    """Every run in its order; *live* is the newest of the one that is under way."""
    return tuple(_line(comparison, step, live) for step in comparison.steps)


def expected_seconds(comparison: Comparison, live: RunSnapshot | None = None) -> float | None:
    """The load of all its runs, in seconds; None where the end of one cannot be foreseen."""
    return total(_load_seconds(comparison, step, live) for step in comparison.steps)


def elapsed_seconds(comparison: Comparison, live: RunSnapshot | None) -> float:
    """The load that has been, in seconds: of all completed runs and of the one under way."""
    past = sum(_load_seconds(comparison, step, None) or 0 for step in finished(comparison))
    run = _live_of(comparison.step, live)
    return past + (run.elapsed_seconds if run is not None else 0)


def remaining_seconds(comparison: Comparison, live: RunSnapshot | None) -> float | None:
    """The load that is left, in seconds; None where the end of a run cannot be foreseen."""
    left = comparison.steps[comparison.position :]
    return total(_left_seconds(comparison, step, live) for step in left)


def finished(comparison: Comparison) -> Sequence[Step]:
    """The runs that have completed, in their order."""
    return comparison.steps[: comparison.position]


def _load_seconds(comparison: Comparison, step: Step, live: RunSnapshot | None) -> float | None:
    """What the run takes as its backend says, else as it was started, else as it was planned."""
    run = _live_of(step, live)
    if run is not None and run.expected_seconds is not None:
        return run.expected_seconds
    if step.config is not None:
        return step.config.expected_seconds
    return comparison.tests[step.test].expected_seconds


def _left_seconds(comparison: Comparison, step: Step, live: RunSnapshot | None) -> float | None:
    """One that takes longer than it should does not make the others shorter."""
    seconds, run = _load_seconds(comparison, step, live), _live_of(step, live)
    if seconds is None or run is None:
        return seconds
    return max(0, seconds - run.elapsed_seconds)


def _live_of(step: Step | None, live: RunSnapshot | None) -> RunSnapshot | None:
    """*live*, if it is of the run of *step*."""
    if step is None or live is None or live.run_id != step.run_id:
        return None
    return live


def _line(comparison: Comparison, step: Step, live: RunSnapshot | None) -> ProgressLine:
    variant, run = comparison.variant_of(step), _live_of(step, live)
    if step.state is StepState.ENDED and step.result is not None:
        return _ended_line(variant, step.result)
    if run is None or run.status == RunStatus.PREPARED:
        status = RunStatus.STARTING.value if step.state in UNDER_WAY else PENDING
        return ProgressLine(variant=variant, status=status, run_id=step.run_id)
    if run.is_terminal:
        return _ended_line(variant, result_of(run))
    metrics = run.metrics
    return ProgressLine(
        variant=variant,
        status=run.status,
        run_id=run.run_id,
        progress_pct=run.progress_pct,
        qps=metrics.qps if metrics else None,
        p95_latency_ms=metrics.p95_latency_ms if metrics else None,
    )


def _ended_line(variant: str, result: RunResult) -> ProgressLine:
    figures = result.summary_metrics or result.partial_metrics
    return ProgressLine(
        variant=variant,
        status=result.status,
        run_id=result.run_id,
        qps=figures.average_qps if figures else None,
        p95_latency_ms=figures.p95_latency_ms if figures else None,
        is_partial=figures is not None and result.summary_metrics is None,
    )
