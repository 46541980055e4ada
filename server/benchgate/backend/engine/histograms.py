"""Latency histograms: recorded in bulk, merged exactly, never averaged.

Microseconds from 1 us to 1 h with three significant figures; what is longer counts as an hour.
A latency is that of an operation that was answered. An operation that failed is counted as an
error and is in no histogram: how fast a database refuses says nothing about how fast it works.

Recording one value at a time would cost a tenth of the throughput, so latencies are collected in
lists and folded in by value: about 0.1 us each, of which most is spent counting equal ones.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from hdrh.histogram import HdrHistogram  # pyright: ignore[reportMissingTypeStubs] - it has none

LOWEST_US = 1
HIGHEST_US = 3_600_000_000
SIGNIFICANT_FIGURES = 3
US_PER_MS = 1000


class LatencyHistogram:
    """How often each latency occurred."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_FIGURES)

    @property
    def count(self) -> int:
        """How many latencies are in it."""
        return cast("int", self._histogram.get_total_count())

    def record(self, latencies_us: Sequence[int]) -> None:
        """Take all of *latencies_us* in."""
        for latency_us, count in Counter(latencies_us).items():
            within = min(max(latency_us, LOWEST_US), HIGHEST_US)
            self._histogram.record_value(within, count)  # pyright: ignore[reportUnknownMemberType]

    def merge(self, other: "LatencyHistogram") -> None:
        """Add everything that is in *other*."""
        self._histogram.add(other._histogram)  # pyright: ignore[reportUnknownMemberType]

    def percentile_ms(self, percentile: float) -> float | None:
        """The latency that *percentile* percent did not exceed; None when there are none."""
        if not self.count:
            return None
        value_us = self._histogram.get_value_at_percentile(percentile)  # pyright: ignore[reportUnknownMemberType]
        return value_us / US_PER_MS

    def encode(self) -> str:
        """The histogram as text, in the format that all HDR libraries read."""
        return cast("bytes", self._histogram.encode()).decode("ascii")


def decode(text: str) -> LatencyHistogram:
    """The histogram that `encode` wrote."""
    histogram = LatencyHistogram()
    histogram._histogram.decode_and_add(text.encode("ascii"))  # pyright: ignore[reportUnknownMemberType, reportPrivateUsage] - same module
    return histogram


def merged(histograms: Sequence[LatencyHistogram]) -> LatencyHistogram:
    """A new histogram of everything in *histograms*."""
    whole = LatencyHistogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole
