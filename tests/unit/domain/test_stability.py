"""A step is unstable for what exceeds both its limit and its noise, and it says so."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.stability import (
    STUDENT_T,
    Change,
    Counted,
    Estimate,
    Limits,
    StepFigures,
    connections,
    estimate,
    objections,
    rate,
)

LIMITS = Limits(qps_stability_pct=5, latency_stability_pct=20, max_error_rate_pct=1)
UNKNOWN = Estimate(value=None, std_error=0, n=0)


def about(value: float, std_error: float = 0.1, n: int = 31) -> Estimate:
    return Estimate(value=value, std_error=std_error, n=n)


def figures_of(**changes: object) -> StepFigures:
    known = {
        "concurrency": 30,
        "seconds": 31,
        "total_queries": 3_100,
        "qps": about(100),
        "p50_latency_ms": about(5),
        "p95_latency_ms": about(10),
        "p99_latency_ms": about(20),
        "error_rate": 0,
    }
    return StepFigures.model_validate(known | changes)


def objected(before: StepFigures | None = None, **changes: object) -> tuple[str, ...]:
    return objections(figures_of(**changes), LIMITS, baseline=before, best=before)


def test_an_estimate_is_a_mean_with_how_far_it_may_be_off() -> None:
    assert estimate([2, 2, 6, 6]) == Estimate(value=4, std_error=(16 / 3) ** 0.5 / 2, n=4)


def test_what_one_second_has_shown_is_known_and_how_it_scatters_is_not() -> None:
    assert estimate([7]) == Estimate(value=7, std_error=0, n=1)
    assert estimate([]) == UNKNOWN


def test_a_rate_of_parts_that_are_equally_long_is_their_mean() -> None:
    counts = [7, 9, 12, 8]
    told, mean = rate([Counted(count, 1) for count in counts]), estimate(counts)
    assert (told.value, told.n) == (mean.value, mean.n)
    assert told.std_error == pytest.approx(mean.std_error)


def test_a_part_that_is_next_to_nothing_is_no_peak_and_no_noise() -> None:
    even = [Counted(20, 1)] * 8
    hasty = Counted(1, 0.000_1)
    assert rate([*even, hasty]).value == pytest.approx(20, rel=0.01)
    assert rate([*even, hasty]).std_error < 0.2
    assert rate([Counted(80, 4), *even]) == Estimate(value=20, std_error=0, n=9)


@pytest.mark.parametrize("parts", [[], [Counted(0, 0)]])
def test_a_rate_over_no_time_is_none(parts: list[Counted]) -> None:
    assert rate(parts) == UNKNOWN


def test_a_rate_of_one_part_does_not_scatter() -> None:
    assert rate([Counted(30, 2)]) == Estimate(value=15, std_error=0, n=1)


def test_figures_that_are_as_before_are_no_reason() -> None:
    assert objected(figures_of()) == ()


@pytest.mark.parametrize(
    ("before", "changes", "reasons"),
    [
        (None, {"total_queries": 0}, ("no operation was answered",)),
        # What was measured on fewer connections says nothing of this level.
        (None, {"connections_missing": 3}, ("3 of 30 connections could not be opened",)),
        (None, {"error_rate": 1}, ()),
        (None, {"error_rate": 2.5}, ("2.5% of the operations failed (limit 1%)",)),
        (
            None,
            {"error_rate": 100, "total_queries": 0},
            ("no operation was answered", "100% of the operations failed (limit 1%)"),
        ),
        # What exceeds the limit has to exceed the noise too, and the other way round.
        ({}, {"qps": about(95)}, ()),
        (
            {},
            {"qps": about(94)},
            ("QPS fell 6.0% against 30 connections (limit 5%, noise ±0.4%)",),
        ),
        ({}, {"qps": about(94, 3)}, ()),
        ({}, {"qps": about(97, 0.01)}, ()),
        ({}, {"qps": about(200)}, ()),
        ({"concurrency": 1}, {"qps": about(50)}, ("QPS fell 50.0% against 1 connection",)),
        ({}, {"p50_latency_ms": about(50)}, ()),
        ({}, {"p95_latency_ms": about(12)}, ()),
        (
            {},
            {"p95_latency_ms": about(14.82)},
            ("p95 rose 48.2% against the first stable step (limit 20%, noise ±3.8%)",),
        ),
        ({}, {"p95_latency_ms": about(13, 2)}, ()),
        ({}, {"p95_latency_ms": about(1)}, ()),
        (
            {},
            {"p99_latency_ms": about(25)},
            ("p99 rose 25.0% against the first stable step (limit 20%, noise ±1.9%)",),
        ),
        (
            {},
            {
                "error_rate": 3,
                "qps": about(10),
                "p95_latency_ms": about(99),
                "p99_latency_ms": about(99),
            },
            ("3% of the", "QPS fell 90.0%", "p95 rose 890.0%", "p99 rose 395.0%"),
        ),
    ],
)
def test_a_step_is_told_by_each_limit_that_it_broke(
    before: dict[str, object] | None, changes: dict[str, object], reasons: tuple[str, ...]
) -> None:
    told = objected(None if before is None else figures_of(**before), **changes)
    assert len(told) == len(reasons)
    assert all(text.startswith(reason) for text, reason in zip(told, reasons, strict=True))


@pytest.mark.parametrize("figure", ["qps", "p95_latency_ms", "p99_latency_ms"])
@pytest.mark.parametrize(
    ("before", "after"), [(UNKNOWN, about(1)), (about(0), about(1)), (about(50), UNKNOWN)]
)
def test_a_figure_that_one_side_lacks_compares_nothing(
    figure: str, before: Estimate, after: Estimate
) -> None:
    assert objected(figures_of(**{figure: before}), **{figure: after}) == ()


@pytest.mark.parametrize(
    ("before", "after", "is_unstable"),
    [
        # Of one second on each side nobody knows the noise.
        (about(10, 0, 1), about(12.1, 0, 1), True),
        (about(10, 0, 1), about(11.9, 0, 1), False),
        # One side's scatter has to do for both, and with few seconds it says little.
        (about(10, 0, 1), about(20, 0.5, 3), True),
        (about(10, 0, 1), about(14, 0.5, 3), False),
        (about(10, 0.5, 3), about(14, 0, 1), False),
        (about(10, 0.5, 300), about(14, 0.5, 300), True),
        (about(10, 0.5, 2), about(14, 0.5, 2), False),
    ],
)
def test_the_fewer_seconds_there_are_the_more_may_be_noise(
    before: Estimate, after: Estimate, is_unstable: bool
) -> None:
    told = objected(figures_of(p95_latency_ms=before), p95_latency_ms=after)
    assert bool(told) is is_unstable


def test_the_interval_narrows_with_each_line_of_the_table() -> None:
    assert sorted(STUDENT_T) == list(STUDENT_T)
    assert sorted(STUDENT_T, key=lambda line: -line[1]) == list(STUDENT_T)


@given(st.integers(0, 2**32), st.integers(2, 60))
def test_an_estimate_is_seldom_off_by_more_than_its_errors(seed: int, n: int) -> None:
    generator = random.Random(seed)
    found = estimate([generator.gauss(100, 10) for _ in range(n)])
    assert found.value is not None
    # Ten of the true errors, so that no seed of all that may be drawn comes near.
    assert abs(found.value - 100) < 10 * 10 / n**0.5
    assert found.n == n


@pytest.mark.parametrize(
    ("change", "exceeds"),
    [
        (Change(21, 5), True),
        (Change(20, 5), False),
        (Change(21, 21), False),
        (Change(-30, 1), False),
    ],
)
def test_only_a_rise_beyond_limit_and_noise_exceeds(change: Change, exceeds: bool) -> None:
    assert change.exceeds(20) is exceeds


def test_connections_are_counted_in_words_that_fit() -> None:
    assert (connections(1), connections(40)) == ("1 connection", "40 connections")
