"""Findings that tests start from: of a rate that was missed by its generator, and of a search."""

from collections.abc import Iterable

from benchgate.domain.findings import (
    Findings,
    ScheduleFigures,
    SearchFindings,
    SessionsProof,
)
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.objectives import (
    KindFigures,
    LatencyFigures,
    Metric,
    RateVerdict,
    Verdict,
)
from benchgate.domain.search import SearchEnd, SearchOutcome, SearchStep, StepPurpose
from benchgate.domain.stability import Estimate, StepFigures
from benchgate.domain.templates import QueryKind

SERVICE = LatencyFigures(
    n=14_970,
    mean_ms=1.94,
    std_error_ms=0.011,
    p50_ms=1.8,
    p90_ms=2.4,
    p95_ms=2.9,
    p99_ms=4.71,
    p999_ms=9.3,
    p9999_ms=14.2,
    max_ms=21.7,
)
RESPONSE = LatencyFigures(
    n=14_970,
    mean_ms=58.3,
    std_error_ms=1.42,
    p50_ms=1.9,
    p90_ms=210,
    p95_ms=611,
    p99_ms=922,
    p999_ms=1_004,
    p9999_ms=1_021,
    max_ms=1_024.5,
)
LOOKUPS = KindFigures(
    kind=QueryKind.POINT_LOOKUP,
    total_queries=14_970,
    errors=0,
    qps=499,
    service=SERVICE,
    response=RESPONSE,
    rows_read=14_970,
)
UPDATES = KindFigures(
    kind=QueryKind.UPDATE,
    total_queries=1_480,
    errors=12,
    qps=49.3,
    service=SERVICE.model_copy(update={"n": 1_480, "p9999_ms": None}),
    response=RESPONSE.model_copy(update={"n": 1_480, "p9999_ms": None}),
    rows_written=1_480,
)
BUSY = GeneratorHealth(
    workers=2,
    cores=4,
    busiest_worker_cpu_pct=97.4,
    workers_cpu_pct=189,
    machine_cpu_pct=71,
    loop_lag_max_ms=12.4,
    oversleep_p99_ms=0.21,
    real_time_pct=87.5,
    response_p99_ms=922,
)
CALM = GeneratorHealth(
    workers=2,
    cores=4,
    busiest_worker_cpu_pct=41,
    workers_cpu_pct=80,
    machine_cpu_pct=64,
    loop_lag_max_ms=0.9,
)
OPEN_LOOP = Findings(
    kinds=(LOOKUPS, UPDATES),
    schedule=ScheduleFigures(
        scheduled=18_000,
        sent=16_462,
        late=1_204,
        missed=1_538,
        lag_p50_ms=0.05,
        lag_p99_ms=870,
        lag_max_ms=1_001.2,
    ),
    rate=RateVerdict(target_qps=600, qps=548.3, scheduled=18_000, answered=16_449),
    verdicts=(
        Verdict(
            kind=QueryKind.POINT_LOOKUP,
            metric=Metric.P95_LATENCY_MS,
            limit=50,
            value=611,
            is_response=True,
        ),
        Verdict(kind=QueryKind.POINT_LOOKUP, metric=Metric.ERROR_RATE_PCT, limit=1, value=0),
        Verdict(kind=QueryKind.UPDATE, metric=Metric.P99_LATENCY_MS, limit=80),
    ),
    generator=BUSY,
    sessions=SessionsProof(found=3, left=0),
    remarks=("Worker 2 of 3 was lost after 21 s; the others took over its load.",),
)


def step_of(
    number: int, purpose: StepPurpose, concurrency: int, reasons: Iterable[str] = ()
) -> SearchStep:
    """A step that is stable unless there are *reasons*."""
    reasons = tuple(reasons)
    slowness = 3 if reasons else 1
    figures = StepFigures(
        concurrency=concurrency,
        seconds=10,
        total_queries=8_125,
        qps=Estimate(value=30.5 * concurrency / slowness, std_error=6.2, n=10),
        p50_latency_ms=Estimate(value=12 * slowness, std_error=0.4, n=10),
        p95_latency_ms=Estimate(value=31 * slowness, std_error=0.9, n=10),
        p99_latency_ms=Estimate(value=44 * slowness, std_error=2.1, n=10),
        error_rate=0,
    )
    return SearchStep(
        number=number,
        purpose=purpose,
        figures=figures,
        is_stable=not reasons,
        reasons=reasons,
    )


ROSE = "p95 rose 187.4% against the first stable step (limit 20%, noise ±9.2%)"
FELL = "QPS fell 61.2% against 25 connections (limit 5%, noise ±3.1%)"
STEPS = (
    step_of(1, StepPurpose.RAMP, 5),
    step_of(2, StepPurpose.RAMP, 15),
    step_of(3, StepPurpose.RAMP, 25),
    step_of(4, StepPurpose.RAMP, 35, (FELL, ROSE)),
    step_of(5, StepPurpose.BACKOFF, 25),
    step_of(6, StepPurpose.BISECTION, 30, (ROSE,)),
)
SEARCHED = Findings(
    kinds=(LOOKUPS.model_copy(update={"response": None}),),
    search=SearchFindings(
        outcome=SearchOutcome(
            best_concurrency=25,
            best_qps=762.5,
            reason=f"25 connections were stable and 30 were not: {ROSE}",
            end=SearchEnd.GAP_CLOSED,
        ),
        steps=STEPS,
    ),
    generator=CALM,
    sessions=SessionsProof(found=0, left=0),
)
