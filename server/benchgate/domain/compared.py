"""The figures of a comparison, and what each test's differ from the first's.

A test that ran several times has means over its runs, each with its number and its standard error.
"""

import math
from collections.abc import Callable, Sequence

from benchgate.domain.comparisons import Comparison
from benchgate.domain.evidence import Evidence
from benchgate.domain.results import Figure, HandOver, RunResult, TestResult
from benchgate.domain.runs import RunStatus, Summary

PENDING = "PENDING"


METRICS: dict[str, Callable[[RunResult], float | None]] = {
    "average_qps": lambda result: _summary(result).average_qps,
    "p50_latency_ms": lambda result: _summary(result).p50_latency_ms,
    "p95_latency_ms": lambda result: _summary(result).p95_latency_ms,
    "p99_latency_ms": lambda result: _summary(result).p99_latency_ms,
    "error_rate": lambda result: _summary(result).error_rate,
    "total_queries": lambda result: float(_summary(result).total_queries),
    "duration_seconds": lambda result: result.duration_seconds,
    "estimated_cost": lambda result: result.estimated_cost,
}


def compared(
    comparison: Comparison,
    *,
    approvals: Sequence[Evidence] = (),
    ledger_head: str | None = None,
) -> HandOver:
    """What *comparison* has come to so far, with the evidence of its yeses."""
    steps = [step for step in comparison.steps if step.result is not None]
    results = [step.result for step in steps if step.result is not None]
    # What was tried and ran again has cost something, too.
    spent = results + [result for step in comparison.steps for result in step.earlier_results]
    tests: list[TestResult] = []
    for number, planned in enumerate(comparison.tests):
        mine = [step.result for step in steps if step.test == number and step.result is not None]
        complete = [result for result in mine if result.status == RunStatus.COMPLETED]
        first = tests[0].figures if tests else ()
        tests.append(
            TestResult(
                variant=planned.variant,
                template_name=planned.template_name,
                status=_status(mine, repeats=comparison.repeats),
                run_ids=tuple(result.run_id for result in complete),
                figures=_figures(complete, first),
            )
        )
    costs = [result.estimated_cost for result in spent]
    known = [cost for cost in costs if cost is not None]
    return HandOver(
        run_ids=tuple(r.run_id for r in results if r.status == RunStatus.COMPLETED),
        comparison_type=comparison.comparison_type,
        variants=tuple(test.variant for test in comparison.tests),
        comparison_id=comparison.comparison_id,
        status=comparison.state.value.upper(),
        tests=tuple(tests),
        duration_seconds=round(sum(result.duration_seconds or 0 for result in spent), 1),
        estimated_cost=sum(known) if len(known) == len(costs) else None,
        approvals=tuple(approvals) or None,
        ledger_head=ledger_head,
    )


def _summary(result: RunResult) -> Summary:
    assert result.summary_metrics is not None, "only completed runs with figures are asked"
    return result.summary_metrics


def _status(results: Sequence[RunResult], *, repeats: int) -> str:
    """COMPLETED only when every repetition is; else that of the first that is not."""
    open_ = [result.status for result in results if result.status != RunStatus.COMPLETED]
    if open_:
        return open_[0]
    return RunStatus.COMPLETED.value if len(results) == repeats else PENDING


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
