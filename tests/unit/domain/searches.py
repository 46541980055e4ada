"""Searches as a test makes them: a plan, and what is measured at each level."""

from collections.abc import Callable

from benchgate.domain.search import Search, SearchPlan
from benchgate.domain.stability import Estimate, StepFigures

PLAN = SearchPlan(
    start_concurrency=5,
    increment=10,
    concurrency_max=105,
    steps_max=40,
    qps_stability_pct=5,
    latency_stability_pct=20,
    max_error_rate_pct=1,
)
Measure = Callable[[int], StepFigures]


def plan_with(**changes: object) -> SearchPlan:
    return SearchPlan.model_validate(PLAN.model_dump() | changes)


def exact(value: float) -> Estimate:
    return Estimate(value=value, std_error=0, n=27)


def figures_of(concurrency: int, *, error_rate: float = 0, answered: int = 1_000) -> StepFigures:
    return StepFigures(
        concurrency=concurrency,
        seconds=27,
        total_queries=answered,
        qps=exact(10 * concurrency),
        p50_latency_ms=exact(1),
        p95_latency_ms=exact(2),
        p99_latency_ms=exact(3),
        error_rate=error_rate,
    )


def searched(measure: Measure, plan: SearchPlan = PLAN, *, steps: int = 1_000) -> Search:
    search = Search(plan=plan)
    while len(search.steps) < steps and (level := search.next_concurrency) is not None:
        search = search.after(measure(level))
    return search
