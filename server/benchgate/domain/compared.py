"""The figures of a comparison, and what each test's differ from the first's.

A test that ran several times has means over its runs, each with its number and its standard error.
Runs of different configurations are never pooled: the newest of a test counts, others stand alone.
"""

import math
from collections.abc import Callable, Sequence

from benchgate.domain import cost
from benchgate.domain.comparisons import Comparison, Step
from benchgate.domain.cost import CostBasis
from benchgate.domain.evidence import Evidence
from benchgate.domain.likeness import TELLERS, Caution
from benchgate.domain.progress import PENDING, ProgressLine, lines_of
from benchgate.domain.results import Figure, HandOver, RunResult, TestResult
from benchgate.domain.runs import RunSnapshot, RunStatus, Summary
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.totals import total
from benchgate.domain.values import Value

UNKNOWN = "not known"

METRICS: dict[str, Callable[[RunResult], float | None]] = {
    "average_qps": lambda result: _summary(result).average_qps,
    "p50_latency_ms": lambda result: _summary(result).p50_latency_ms,
    "p95_latency_ms": lambda result: _summary(result).p95_latency_ms,
    "p99_latency_ms": lambda result: _summary(result).p99_latency_ms,
    "error_rate": lambda result: _summary(result).error_rate,
    "best_concurrency": lambda result: _optional(result.best_concurrency),
    "best_qps": lambda result: result.best_qps,
    "total_queries": lambda result: float(_summary(result).total_queries),
    "duration_seconds": lambda result: result.duration_seconds,
    "estimated_cost": lambda result: result.estimated_cost,
}


def compared(
    comparison: Comparison,
    *,
    live: RunSnapshot | None = None,
    approvals: Sequence[Evidence] = (),
    ledger_head: str | None = None,
) -> HandOver:
    """What *comparison* has come to so far, with the evidence of its yeses.

    *live* is the newest of the run that is under way.
    """
    results = [step.result for step in comparison.steps if step.result is not None]
    # What was tried and ran again has cost something, too.
    spent = results + [result for step in comparison.steps for result in step.earlier_results]
    tests = _tests(comparison, live)
    lone = {run_id for test in tests for run_id in test.left_out}
    return HandOver(
        run_ids=tuple(r.run_id for r in results if r.status == RunStatus.COMPLETED),
        comparison_type=comparison.comparison_type,
        variants=tuple(test.variant for test in comparison.tests),
        comparison_id=comparison.comparison_id,
        status=comparison.state.value.upper(),
        tests=tuple(tests),
        results=tuple(result for result in results if result.run_id in lone) or None,
        cautions=tuple(caution.kind for caution in cautions_of(comparison)),
        duration_seconds=round(sum(result.duration_seconds or 0 for result in spent), 1),
        estimated_cost=total(result.estimated_cost for result in spent) if spent else None,
        approvals=tuple(approvals) or None,
        ledger_head=ledger_head,
    )


def cautions_of(comparison: Comparison) -> tuple[Caution, ...]:
    """In what the figures are not like with like, by what the runs behind them ran with.

    A test without such a run, or of which nobody knows it, stands as it was planned.
    """
    counted = [_counted(comparison, number) for number in range(len(comparison.tests))]
    configs = [runs[-1].config if runs else None for runs in counted]
    if all(config is None for config in configs):
        return comparison.cautions
    planned = {caution.kind: caution.values for caution in comparison.cautions}
    found: list[Caution] = []
    for kind, tell in TELLERS.items():
        as_planned = planned.get(kind, (UNKNOWN,) * len(configs))
        pairs = zip(configs, as_planned, strict=True)
        values = tuple(value if config is None else tell(config) for config, value in pairs)
        if len({*values} - {UNKNOWN}) > 1:
            found.append(Caution(kind=kind, values=values))
    return tuple(found)


def is_local(comparison: Comparison) -> bool:
    """Whether every test is known to have loaded a database of one's own, which costs nothing."""
    ran = [(step.test, step.config) for step in comparison.steps if step.config is not None]
    bases = {cost.spent(config, 0).basis for _, config in ran}
    is_whole = len({number for number, _ in ran}) == len(comparison.tests)
    return is_whole and bases == {CostBasis.LOCAL}


class _Completed(Value):
    """A run that has completed, and what it ran with as far as that is recorded."""

    result: RunResult
    config: TemplateConfig | None


def _completed(comparison: Comparison, number: int) -> list[_Completed]:
    return [
        _Completed(result=step.result, config=step.config)
        for step in comparison.steps
        if step.test == number and step.result and step.result.status == RunStatus.COMPLETED
    ]


def _counted(comparison: Comparison, number: int) -> list[_Completed]:
    """Of the runs of one test those of its newest configuration: others are another test."""
    completed = _completed(comparison, number)
    return [run for run in completed if run.config == completed[-1].config]


def _tests(comparison: Comparison, live: RunSnapshot | None) -> list[TestResult]:
    lines = lines_of(comparison, live)
    tests: list[TestResult] = []
    for number, planned in enumerate(comparison.tests):
        completed, counted = _completed(comparison, number), _counted(comparison, number)
        steps = zip(comparison.steps, lines, strict=True)
        tests.append(
            TestResult(
                variant=planned.variant,
                template_name=planned.template_name,
                status=_status([_status_of(*one) for one in steps if one[0].test == number]),
                run_ids=tuple(run.result.run_id for run in counted),
                figures=_figures(
                    [run.result for run in counted], tests[0].figures if tests else ()
                ),
                left_out=tuple(run.result.run_id for run in completed if run not in counted),
                notes=_notes([run.result for run in counted]) or None,
            )
        )
    return tests


def _notes(results: Sequence[RunResult]) -> tuple[str, ...]:
    """What has to be known beside the figures of *results*, by run where there are several."""
    is_only = len(results) == 1
    return tuple(
        result.reason if is_only else f"{result.run_id}: {result.reason}"
        for result in results
        if result.reason
    )


def _status_of(step: Step, line: ProgressLine) -> str:
    """A run without a recorded end is not complete yet: its figures do not count yet."""
    is_counted = step.result is not None or line.status != RunStatus.COMPLETED
    return line.status if is_counted else RunStatus.STOPPING.value


def _status(statuses: Sequence[str]) -> str:
    """COMPLETED only when every repetition is; else that of the first that has begun and is not."""
    open_ = [status for status in statuses if status != RunStatus.COMPLETED]
    begun = [status for status in open_ if status != PENDING]
    return next(iter(begun + open_), RunStatus.COMPLETED.value)


def _summary(result: RunResult) -> Summary:
    assert result.summary_metrics is not None, "only completed runs with figures are asked"
    return result.summary_metrics


def _optional(count: int | None) -> float | None:
    return None if count is None else float(count)


def _figures(results: Sequence[RunResult], first: Sequence[Figure]) -> tuple[Figure, ...]:
    counted = [result for result in results if result.summary_metrics is not None]
    base = {figure.metric: figure.value for figure in first}
    figures: list[Figure] = []
    for metric, read in METRICS.items():
        values = [value for value in map(read, counted) if value is not None]
        if values:
            figures.append(_figure(metric, values, base=base.get(metric)))
    return tuple(figures)


def _figure(metric: str, values: Sequence[float], *, base: float | None) -> Figure:
    mean = sum(values) / len(values)
    delta = None if base is None else mean - base
    return Figure(
        metric=metric,
        value=_rounded(mean),
        runs=len(values),
        std_error=_std_error(values, mean),
        delta=None if delta is None else _rounded(delta),
        delta_pct=round(100 * delta / base, 2) if delta is not None and base else None,
    )


def _std_error(values: Sequence[float], mean: float) -> float | None:
    """The sample's standard deviation over the root of its size; of one value there is none."""
    number = len(values)
    if number == 1:
        return None
    variance = sum((value - mean) ** 2 for value in values) / (number - 1)
    return _rounded(math.sqrt(variance / number))


def _rounded(value: float) -> float:
    return round(value, 6)
