from collections.abc import Sequence
from statistics import mean
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram  # pyright: ignore[reportMissingTypeStubs] - it has none
from hypothesis import given
from hypothesis import strategies as some

from benchgate.backend.engine.histograms import (
    HIGHEST_UNITS,
    NS_PER_UNIT,
    UNITS_PER_MS,
    LatencyHistogram,
    merged,
    place_of,
)
from tests.unit.engine.reports import MS_NS, histogram_of

HIGHEST_NS = HIGHEST_UNITS * NS_PER_UNIT
PERCENTILES = (50, 90, 95, 99, 99.9, 100)
latencies = some.lists(some.integers(NS_PER_UNIT, HIGHEST_NS), min_size=1, max_size=300)


def of_the_library(latencies_ns: Sequence[int]) -> Any:
    histogram: Any = HdrHistogram(1, HIGHEST_UNITS, 3)
    for latency_ns in latencies_ns:
        histogram.record_value(-(-latency_ns // NS_PER_UNIT))
    return histogram


@given(latencies)
def test_latencies_are_counted_where_the_hdr_library_counts_them(latencies_ns: list[int]) -> None:
    ours, theirs = LatencyHistogram(), of_the_library(latencies_ns)
    ours.record(latencies_ns)
    assert ours.counts == [(place, count) for place, count in enumerate(theirs.counts) if count]
    assert ours.longest_ms == ours.percentile_ms(100) == theirs.get_max_value() / UNITS_PER_MS
    deviation_ms = theirs.get_stddev() / UNITS_PER_MS
    error_ms = deviation_ms / len(latencies_ns) ** 0.5
    assert ours.std_error_ms() == pytest.approx(error_ms, rel=1e-3, abs=1e-4)


@given(latencies)
def test_a_mean_is_that_of_the_latencies_to_half_a_place(latencies_ns: list[int]) -> None:
    histogram = LatencyHistogram()
    histogram.record(latencies_ns)
    exact_ms = mean(latencies_ns) / MS_NS
    assert histogram.mean_ms() == pytest.approx(exact_ms, rel=5e-4, abs=0.5 / UNITS_PER_MS)


@given(latencies)
def test_a_percentile_is_the_nearest_rank_to_three_figures(latencies_ns: list[int]) -> None:
    histogram = LatencyHistogram()
    histogram.record(latencies_ns)
    ordered = sorted(latencies_ns)
    for percentile, found_ms in zip(
        PERCENTILES, histogram.percentiles_ms(PERCENTILES), strict=True
    ):
        # So many of them are not longer; the rank before it would be too few.
        rank = -(-int(percentile * 10) * len(ordered) // 1000)
        exact_ns = ordered[rank - 1]
        assert found_ms is not None
        # It is never better than what was measured.
        assert exact_ns / NS_PER_UNIT <= found_ms * UNITS_PER_MS + 1e-6
        assert place_of(round(found_ms * UNITS_PER_MS)) == place_of(-(-exact_ns // NS_PER_UNIT))
        assert histogram.percentile_ms(percentile) == found_ms


def test_merged_halves_are_the_whole() -> None:
    values = [value / 7 for value in range(1, 20_001, 7)]
    whole = histogram_of(values)
    halves = merged([histogram_of(values[::2]), histogram_of(values[1::2])])
    assert halves.counts == whole.counts
    sent = LatencyHistogram(whole.packed)
    assert sent.counts == whole.counts
    sent.enter(whole.packed)
    assert sent.count == 2 * whole.count


def test_latencies_beyond_the_range_count_at_its_ends() -> None:
    histogram = LatencyHistogram()
    histogram.record([0, HIGHEST_NS * 10])
    assert histogram.count == 2
    assert histogram.percentile_ms(1) == 0
    assert histogram.percentile_ms(99) == pytest.approx(HIGHEST_NS / MS_NS, rel=1e-3)
    assert place_of(HIGHEST_UNITS * 10) == place_of(HIGHEST_UNITS)


def test_an_empty_histogram_has_no_figures() -> None:
    empty = LatencyHistogram()
    assert empty.percentile_ms(50) is None
    assert empty.percentiles_ms((50, 99)) == (None, None)
    assert (empty.mean_ms(), empty.std_error_ms(), empty.count_above(0)) == (None, None, 0)
    empty.enter("")
    assert (empty.count, empty.counts, empty.packed, empty.longest_ms) == (0, [], "", 0)


def test_a_mean_comes_with_its_standard_error() -> None:
    histogram = histogram_of([1.0] * 50 + [3.0] * 50)
    assert histogram.mean_ms() == pytest.approx(2, rel=1e-3)
    assert histogram.std_error_ms() == pytest.approx(0.1, rel=1e-3)


def test_what_is_longer_than_a_limit_is_counted() -> None:
    histogram = histogram_of([1, 9.9, 10, 10.2, 500])
    assert histogram.count_above(10) == 2
