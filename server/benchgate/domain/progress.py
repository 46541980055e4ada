"""How far a comparison is: one line for each of its runs, and the time that is left."""

from collections.abc import Sequence

from benchgate.domain.comparisons import Comparison, Step, StepState
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.domain.values import Value

PENDING = "PENDING"


class ProgressLine(Value):
    """One run as the specification's table shows it."""

    variant: str
    status: str
    run_id: str | None = None
    progress_pct: float | None = None
    qps: float | None = None
    p95_latency_ms: float | None = None


def lines_of(comparison: Comparison, live: RunSnapshot | None) -> tuple[ProgressLine, ...]:
    """Every run in its order; *live* is the newest of the one that is under way."""
    return tuple(_line(comparison, step, live) for step in comparison.steps)


def expected_seconds(comparison: Comparison) -> float | None:
    """The load of all its runs, in seconds; None where the end of one cannot be foreseen."""
    seconds = [comparison.tests[step.test].expected_seconds for step in comparison.steps]
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None


def elapsed_seconds(comparison: Comparison, live: RunSnapshot | None) -> float:
    """The load that has been, in seconds, as it was planned and of the run that is under way."""
    planned = (comparison.tests[step.test].expected_seconds or 0 for step in finished(comparison))
    step = comparison.step
    is_live = live is not None and step is not None and live.run_id == step.run_id
    return sum(planned) + (live.elapsed_seconds if live is not None and is_live else 0)


def remaining_seconds(comparison: Comparison, live: RunSnapshot | None) -> float | None:
    """The load that is left, in seconds; None where the end of a run cannot be foreseen."""
    if comparison.step is None:
        return 0
    left = comparison.steps[comparison.position :]
    seconds = [comparison.tests[step.test].expected_seconds for step in left]
    known = [one for one in seconds if one is not None]
    if len(known) < len(seconds):
        return None
    is_live = live is not None and live.run_id == comparison.step.run_id
    done = min(live.elapsed_seconds, known[0]) if live is not None and is_live else 0
    return sum(known) - done


def _line(comparison: Comparison, step: Step, live: RunSnapshot | None) -> ProgressLine:
    variant = comparison.variant_of(step)
    if step.state is StepState.ENDED and step.result is not None:
        figures = step.result.summary_metrics or step.result.partial_metrics
        return ProgressLine(
            variant=variant,
            status=step.result.status,
            run_id=step.run_id,
            qps=figures.average_qps if figures else None,
            p95_latency_ms=figures.p95_latency_ms if figures else None,
        )
    if live is None or live.run_id != step.run_id or live.status == RunStatus.PREPARED:
        is_open = step.state in {StepState.STARTING, StepState.ACTIVE}
        status = RunStatus.STARTING.value if is_open else PENDING
        return ProgressLine(variant=variant, status=status, run_id=step.run_id)
    if live.is_terminal:
        figures = live.summary
        return ProgressLine(
            variant=variant,
            status=live.status,
            run_id=step.run_id,
            qps=figures.average_qps if figures else None,
            p95_latency_ms=figures.p95_latency_ms if figures else None,
        )
    metrics = live.metrics
    return ProgressLine(
        variant=variant,
        status=live.status,
        run_id=step.run_id,
        progress_pct=live.progress_pct,
        qps=metrics.qps if metrics else None,
        p95_latency_ms=metrics.p95_latency_ms if metrics else None,
    )


def finished(comparison: Comparison) -> Sequence[Step]:
    """The runs that have completed, in their order."""
    return comparison.steps[: comparison.position]
