import pytest

from benchgate.backend.engine.histograms import (
    HIGHEST_UNITS,
    NS_PER_UNIT,
    LatencyHistogram,
    decode,
    merged,
    place_of,
)
from tests.unit.engine.reports import MS_NS, histogram_of

HIGHEST_NS = HIGHEST_UNITS * NS_PER_UNIT


def test_merged_halves_are_the_whole() -> None:
    values = [value / 7 for value in range(1, 20_001, 7)]
    whole = histogram_of(values)
    halves = merged([histogram_of(values[::2]), histogram_of(values[1::2])])
    assert halves.encode() == whole.encode()
    assert decode(whole.encode()).percentile_ms(95) == whole.percentile_ms(95)


def test_a_percentile_is_exact_to_three_figures() -> None:
    histogram = histogram_of(range(1, 10_001))
    for percentile in (50, 95, 99, 99.9):
        assert histogram.percentile_ms(percentile) == pytest.approx(percentile * 100, rel=1e-3)
    assert histogram.percentiles_ms((50, 99)) == (
        histogram.percentile_ms(50),
        histogram.percentile_ms(99),
    )


def test_what_is_counted_by_place_is_what_is_recorded_one_by_one() -> None:
    latencies_ns = [1, 99, 100, 204_799, 204_800, 5 * MS_NS, 77 * MS_NS, 3_600_000 * MS_NS]
    recorded, entered = LatencyHistogram(), LatencyHistogram()
    recorded.record(latencies_ns)
    places = [max(1, place_of(latency_ns)) for latency_ns in latencies_ns]
    entered.enter({place: places.count(place) for place in places})
    assert entered.encode() == recorded.encode()
    for percentile in (1, 50, 100):
        assert entered.percentile_ms(percentile) == recorded.percentile_ms(percentile)
    # What was entered merges as what was recorded does.
    assert merged([entered, recorded]).count == 2 * len(latencies_ns)
    assert merged([LatencyHistogram(), entered]).percentile_ms(100) == recorded.percentile_ms(100)


def test_latencies_beyond_the_range_count_at_its_ends() -> None:
    histogram = LatencyHistogram()
    histogram.record([0, HIGHEST_NS * 10])
    assert histogram.count == 2
    assert histogram.percentile_ms(1) == 0.0001
    assert histogram.percentile_ms(99) == pytest.approx(HIGHEST_NS / MS_NS, rel=1e-3)
    assert place_of(HIGHEST_NS * 10) == place_of(HIGHEST_NS)


def test_an_empty_histogram_has_no_figures() -> None:
    empty = LatencyHistogram()
    assert empty.percentile_ms(50) is None
    assert empty.percentiles_ms((50, 99)) == (None, None)
    assert (empty.mean_ms(), empty.std_error_ms(), empty.count_above(0)) == (None, None, 0)
    empty.enter({})
    assert empty.count == 0


def test_a_mean_comes_with_its_standard_error() -> None:
    histogram = histogram_of([1.0] * 50 + [3.0] * 50)
    assert histogram.mean_ms() == pytest.approx(2, rel=1e-3)
    assert histogram.std_error_ms() == pytest.approx(0.1, rel=1e-3)


def test_what_is_longer_than_a_limit_is_counted() -> None:
    histogram = histogram_of([1, 9.9, 10, 10.2, 500])
    assert histogram.count_above(10) == 2
