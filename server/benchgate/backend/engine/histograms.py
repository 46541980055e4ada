"""Latency histograms: filled in bulk, merged exactly, never averaged.

Tenths of a microsecond from 0.1 us to 1 h with three significant figures; what is longer counts
as an hour. Recording one value at a time would cost a tenth of the throughput, so a worker counts
latencies by their place in the histogram (`place_of`) and enters each place once a second.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, cast

from hdrh.histogram import HdrHistogram  # pyright: ignore[reportMissingTypeStubs] - it has none

NS_PER_UNIT = 100
UNITS_PER_MS = 10_000
NS_PER_MS = 1_000_000
HIGHEST_UNITS = 36_000_000_000
SIGNIFICANT_FIGURES = 3
# Three figures need 2,048 places for the first octaves, and half as many for each further one.
PLACE_BITS = 11


def place_of(latency_ns: int) -> int:
    """Where the histogram counts *latency_ns*; the formula is that of every HDR histogram."""
    units = latency_ns // NS_PER_UNIT
    units = min(units, HIGHEST_UNITS)
    octave = units.bit_length() - PLACE_BITS
    return units if octave <= 0 else (octave << (PLACE_BITS - 1)) + (units >> octave)


class LatencyHistogram:
    """How often each latency occurred."""

    def __init__(self) -> None:
        # The library has no types.
        self._histogram: Any = HdrHistogram(1, HIGHEST_UNITS, SIGNIFICANT_FIGURES)

    @property
    def count(self) -> int:
        """How many latencies are in it."""
        return cast("int", self._histogram.get_total_count())

    def record(self, latencies_ns: Sequence[int]) -> None:
        """Take all of *latencies_ns* in, one by one."""
        for latency_ns in latencies_ns:
            self._record(min(max(1, latency_ns // NS_PER_UNIT), HIGHEST_UNITS), 1)

    def enter(self, counts: Mapping[int, int]) -> None:
        """Take in how often each place of the histogram was met."""
        if not counts:
            return
        into = self._histogram.counts
        for place, count in counts.items():
            into[place] += count
        # The library keeps these beside the counts, and brings them along when it adds two.
        self._histogram.total_count += sum(counts.values())
        self._histogram.min_value = min(self._histogram.min_value, self._value_at(min(counts)) or 1)
        self._histogram.max_value = max(self._histogram.max_value, self._value_at(max(counts)))

    def merge(self, other: "LatencyHistogram") -> None:
        """Add everything that is in *other*."""
        self._histogram.add(other._histogram)

    def percentile_ms(self, percentile: float) -> float | None:
        """The latency that *percentile* percent did not exceed; None when there are none."""
        if not self.count:
            return None
        units = cast("int", self._histogram.get_value_at_percentile(percentile))
        return units / UNITS_PER_MS

    def percentiles_ms(self, percentiles: Sequence[float]) -> tuple[float | None, ...]:
        """The same for several ascending *percentiles*, in one walk through the histogram."""
        if not self.count:
            return (None,) * len(percentiles)
        found = cast(
            "dict[float, int]",
            self._histogram.get_percentile_to_value_dict(list(percentiles)),
        )
        return tuple(found[percentile] / UNITS_PER_MS for percentile in percentiles)

    def count_above(self, latency_ms: float) -> int:
        """How many latencies are longer than *latency_ms*, to three significant figures."""
        first = place_of(int(latency_ms * NS_PER_MS)) + 1
        counts = self._histogram.counts
        return sum(counts[first:]) if self.count else 0

    def mean_ms(self) -> float | None:
        """The mean, each latency taken as the middle of its place; None when there are none."""
        if not self.count:
            return None
        return cast("float", self._histogram.get_mean_value()) / UNITS_PER_MS

    def std_error_ms(self) -> float | None:
        """The standard error of the mean; None when there are none."""
        if not self.count:
            return None
        deviation = cast("float", self._histogram.get_stddev())
        return deviation / UNITS_PER_MS / sqrt(self.count)

    def add_encoded(self, text: str) -> None:
        """Add everything that is in a histogram that `encode` wrote."""
        self._histogram.decode_and_add(text.encode("ascii"))

    def encode(self) -> str:
        """The histogram as text, in the format that all HDR libraries read."""
        return cast("bytes", self._histogram.encode()).decode("ascii")

    def _value_at(self, place: int) -> int:
        return cast("int", self._histogram.get_value_from_index(place))

    def _record(self, units: int, count: int) -> None:
        self._histogram.record_value(units, count)


def decode(text: str) -> LatencyHistogram:
    """The histogram that `encode` wrote."""
    histogram = LatencyHistogram()
    histogram.add_encoded(text)
    return histogram


def merged(histograms: Sequence[LatencyHistogram]) -> LatencyHistogram:
    """A new histogram of everything in *histograms*."""
    whole = LatencyHistogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole
