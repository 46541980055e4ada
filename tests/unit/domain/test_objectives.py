"""Objectives are read from a template and judged on what a user waits; no data is a fail."""

import pytest

from benchgate.domain.objectives import (
    JUDGED_KINDS,
    KindFigures,
    LatencyFigures,
    Metric,
    Objective,
    RateVerdict,
    Verdict,
    judge,
    objectives_of,
)
from benchgate.domain.templates import QueryKind
from tests.unit.examples import config_of

P95, P99, ERRORS = Metric
LOOKUP = QueryKind.POINT_LOOKUP
SERVICE = LatencyFigures(n=100, p95_ms=8, p99_ms=16)
RESPONSE = LatencyFigures(n=100, p95_ms=80, p99_ms=160)
MIXED = {
    "custom_point_lookup_pct": 25,
    "custom_range_scan_pct": 25,
    "custom_insert_pct": 25,
    "custom_update_pct": 25,
}


def figures_of(**changes: object) -> KindFigures:
    known = {"kind": LOOKUP, "total_queries": 99, "errors": 1, "qps": 10, "service": SERVICE}
    return KindFigures.model_validate(known | changes)


def verdict_on(
    metric: Metric, limit: float, *figures: KindFigures, kind: QueryKind = LOOKUP
) -> Verdict:
    (verdict,) = judge([Objective(kind=kind, metric=metric, limit=limit)], figures)
    assert (verdict.kind, verdict.metric, verdict.limit) == (kind, metric, limit)
    return verdict


@pytest.mark.parametrize("kind", JUDGED_KINDS)
@pytest.mark.parametrize("metric", Metric)
def test_every_key_of_a_template_is_an_objective(kind: QueryKind, metric: Metric) -> None:
    config = config_of(**MIXED, **{f"target_{kind.lower()}_{metric}": 12.5})
    assert objectives_of(config) == (Objective(kind=kind, metric=metric, limit=12.5),)


def test_a_template_without_objectives_has_none() -> None:
    assert objectives_of(config_of()) == ()


def test_an_error_rate_of_none_at_all_is_an_objective() -> None:
    config = config_of(target_point_lookup_error_rate_pct=0.0)
    assert objectives_of(config) == (Objective(kind=LOOKUP, metric=ERRORS, limit=0),)


def test_what_a_workload_does_not_run_has_no_objective() -> None:
    assert objectives_of(config_of(target_insert_p95_latency_ms=10.0)) == ()


def test_objectives_are_judged_in_their_order() -> None:
    wanted = [
        Objective(kind=kind, metric=metric, limit=10)
        for metric in Metric
        for kind in (QueryKind.INSERT, LOOKUP)
    ]
    verdicts = judge(wanted, [figures_of()])
    assert [(one.kind, one.metric) for one in verdicts] == [(o.kind, o.metric) for o in wanted]
    assert judge([], [figures_of()]) == ()


@pytest.mark.parametrize(
    ("metric", "limit", "response", "holds", "sentence"),
    [
        (P95, 10, None, True, "Point lookups: the p95 service time of 8 ms is within 10 ms."),
        (P95, 8, None, True, "Point lookups: the p95 service time of 8 ms is within 8 ms."),
        (P95, 7.995, None, False, "Point lookups: the p95 service time of 8 ms exceeds 7.995 ms."),
        (P99, 10, None, False, "Point lookups: the p99 service time of 16 ms exceeds 10 ms."),
        # Where a schedule makes users wait, their waiting is judged.
        (P95, 10, RESPONSE, False, "Point lookups: the p95 response time of 80 ms exceeds 10 ms."),
        (
            P99,
            1_200,
            RESPONSE,
            True,
            "Point lookups: the p99 response time of 160 ms is within 1,200 ms.",
        ),
        (ERRORS, 1, RESPONSE, True, "Point lookups: the error rate of 1% is within 1%."),
        (ERRORS, 0.5, None, False, "Point lookups: the error rate of 1% exceeds 0.5%."),
    ],
)
def test_a_verdict_says_what_was_held_against_what(
    *, metric: Metric, limit: float, response: LatencyFigures | None, holds: bool, sentence: str
) -> None:
    verdict = verdict_on(metric, limit, figures_of(response=response))
    assert (verdict.holds, verdict.sentence) == (holds, sentence)
    assert verdict.model_dump()["holds"] is holds


@pytest.mark.parametrize(
    ("metric", "figures", "sentence"),
    [
        (P95, [], "Point lookups: there is no p95 service time to hold against 10 ms."),
        (
            P99,
            [figures_of(service=LatencyFigures(n=0))],
            "Point lookups: there is no p99 service time to hold against 10 ms.",
        ),
        # That of those that were sent is no answer to how long users waited.
        (
            P95,
            [figures_of(response=LatencyFigures(n=0))],
            "Point lookups: there is no p95 response time to hold against 10 ms.",
        ),
        (
            ERRORS,
            [figures_of(total_queries=0, errors=0)],
            "Point lookups: there is no error rate to hold against 10%.",
        ),
    ],
)
def test_where_nothing_was_measured_no_objective_holds(
    metric: Metric, figures: list[KindFigures], sentence: str
) -> None:
    verdict = verdict_on(metric, 10, *figures)
    assert (verdict.value, verdict.holds, verdict.sentence) == (None, False, sentence)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (LOOKUP, "Point lookups"),
        (QueryKind.RANGE_SCAN, "Range scans"),
        (QueryKind.INSERT, "Inserts"),
        (QueryKind.UPDATE, "Updates"),
    ],
)
def test_a_kind_is_named_as_a_person_would(kind: QueryKind, named: str) -> None:
    told = verdict_on(P95, 10, figures_of(kind=kind), kind=kind).sentence
    assert told == f"{named}: the p95 service time of 8 ms is within 10 ms."


@pytest.mark.parametrize(
    ("answered", "errors", "rate"), [(0, 0, None), (0, 5, 100), (99, 1, 1), (100, 0, 0)]
)
def test_the_error_rate_is_of_all_that_was_tried(
    answered: int, errors: int, rate: float | None
) -> None:
    assert figures_of(total_queries=answered, errors=errors).error_rate == rate


@pytest.mark.parametrize(("limit", "verdict"), [(5, "is within"), (0.5, "exceeds")])
def test_no_error_rate_holds_where_nothing_was_answered_for_a_while(
    limit: float, verdict: str
) -> None:
    wanted = [Objective(kind=LOOKUP, metric=metric, limit=limit) for metric in (ERRORS, P95)]
    errors, latency = judge(wanted, [figures_of()], unanswered_s=10)
    assert not errors.holds
    assert errors.sentence == (
        f"Point lookups: the error rate of 1% {verdict} {limit:g}%, "
        "but nothing was answered for 10 s."
    )
    assert latency == judge(wanted, [figures_of()])[1]


def test_a_rate_is_held_against_what_was_due_and_not_against_a_part_of_a_window() -> None:
    verdict = RateVerdict(target_qps=10, qps=9.1, scheduled=91, answered=91)
    assert verdict.holds


@pytest.mark.parametrize(
    ("target", "qps", "holds", "sentence"),
    [
        (2_000, 2_000, True, "The target of 2,000 QPS was met: 2,000 QPS."),
        (2_000, 1_980, True, "The target of 2,000 QPS was met: 1,980 QPS."),
        (2_000, 1_979.5, False, "The target of 2,000 QPS was not met: 1,979.5 QPS."),
        (0.5, 0.35, False, "The target of 0.5 QPS was not met: 0.35 QPS."),
        # One start in a hundred seconds, and its answer just after them.
        (0.01, 0, True, "The target of 0.01 QPS was met: 0 QPS."),
        # What was late is sent afterwards, and then a second holds more than its rate.
        (100, 130, True, "The target of 100 QPS was met: 130 QPS."),
    ],
)
def test_a_rate_is_met_but_for_what_the_end_of_a_run_explains(
    *, target: float, qps: float, holds: bool, sentence: str
) -> None:
    verdict = RateVerdict(
        target_qps=target, qps=qps, scheduled=round(target * 100), answered=round(qps * 100)
    )
    assert (verdict.holds, verdict.sentence) == (holds, sentence)
    assert verdict.model_dump()["holds"] is holds


def test_what_the_warmup_has_left_makes_up_for_nothing_that_is_open_at_the_end() -> None:
    verdict = RateVerdict(
        target_qps=1_000, qps=1_000, scheduled=30_000, answered=30_000, backlog=10_000
    )
    assert not verdict.holds
    assert verdict.sentence == (
        "The target of 1,000 QPS was not met: 1,000 QPS, "
        "after a backlog of 10,000 from the warm-up."
    )
    assert verdict.model_copy(update={"answered": 39_900}).holds


def test_what_is_under_way_at_any_moment_may_be_open_at_the_end() -> None:
    """Operations of five seconds, one each second: five are under way before, and five after."""
    held = {"target_qps": 1, "qps": 1, "scheduled": 100, "answered": 100, "backlog": 5}
    assert not RateVerdict.model_validate(held).holds
    assert RateVerdict.model_validate(held | {"under_way": 5}).holds
    assert not RateVerdict.model_validate(held | {"under_way": 5, "answered": 97}).holds
