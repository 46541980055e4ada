"""Latency histograms: filled in bulk, merged exactly, never averaged.

The places are those of an HDR histogram: tenths of a microsecond from 0.1 us to 1 h with three
significant figures; what is longer counts as an hour. Only places that were met are kept, some
hundreds of the 35,000 that there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, sqrt

NS_PER_UNIT = 100
UNITS_PER_MS = 10_000
NS_PER_MS = 1_000_000
HIGHEST_UNITS = 36_000_000_000
# Three figures need 2,048 places for the first octaves, and half as many for each further one.
PLACE_BITS = 11
PLACES_PER_OCTAVE = 1 << (PLACE_BITS - 1)
OWN_PLACES = 1 << PLACE_BITS
PERCENT = 100

# Places in ascending order, each with how often it was met: a histogram as it is sent.
Counts = tuple[tuple[int, int], ...]


def place_of(latency_ns: int) -> int:
    """Where the histogram counts *latency_ns*; the formula is that of every HDR histogram."""
    units = latency_ns // NS_PER_UNIT
    units = min(units, HIGHEST_UNITS)
    octave = units.bit_length() - PLACE_BITS
    return units if octave <= 0 else (octave << (PLACE_BITS - 1)) + (units >> octave)


class LatencyHistogram:
    """How often each latency occurred."""

    def __init__(self, counts: Iterable[tuple[int, int]] = ()) -> None:
        """Begin with *counts*, as `counts` gives them."""
        self._counts: dict[int, int] = defaultdict(int, counts)

    @property
    def count(self) -> int:
        """How many latencies are in it."""
        return sum(self._counts.values())

    @property
    def counts(self) -> Counts:
        """All that it knows, to be sent or compared."""
        return tuple(sorted(self._counts.items()))

    def record(self, latencies_ns: Iterable[int]) -> None:
        """Take all of *latencies_ns* in."""
        counts = self._counts
        for latency_ns in latencies_ns:
            units = latency_ns // NS_PER_UNIT
            # Most have a place of their own, and to call for it would cost twice as much again.
            counts[units if units < OWN_PLACES else place_of(latency_ns)] += 1

    def enter(self, counts: Iterable[tuple[int, int]]) -> None:
        """Take in how often places were met."""
        into = self._counts
        for place, count in counts:
            into[place] += count

    def merge(self, other: "LatencyHistogram") -> None:
        """Add everything that is in *other*."""
        self.enter(other._counts.items())

    def percentile_ms(self, percentile: float) -> float | None:
        """The latency that *percentile* percent did not exceed; None when there are none."""
        (found,) = self.percentiles_ms((percentile,))
        return found

    def percentiles_ms(self, percentiles: Sequence[float]) -> tuple[float | None, ...]:
        """The same for several ascending *percentiles*, in one walk through the histogram."""
        if not self._counts:
            return (None,) * len(percentiles)
        met = self.counts
        ranks = accumulate(count for _, count in met)
        walk = zip((place for place, _ in met), ranks, strict=True)
        total, (place, rank) = self.count, next(walk)
        found: list[float] = []
        for percentile in percentiles:
            # The nearest rank, without what floating point adds to a whole number.
            wanted = max(1, ceil(round(percentile * total / PERCENT, 6)))
            while rank < wanted:
                place, rank = next(walk)
            found.append(_highest_units(place) / UNITS_PER_MS)
        return tuple(found)

    def count_above(self, latency_ms: float) -> int:
        """How many latencies are longer than *latency_ms*, to three significant figures."""
        last = place_of(int(latency_ms * NS_PER_MS))
        return sum(count for place, count in self._counts.items() if place > last)

    def mean_ms(self) -> float | None:
        """The mean, each latency taken as the middle of its place; None when there are none."""
        if not self._counts:
            return None
        units = sum(_middle_units(place) * count for place, count in self._counts.items())
        return units / self.count / UNITS_PER_MS

    def std_error_ms(self) -> float | None:
        """The standard error of the mean; None when there are none."""
        mean_ms = self.mean_ms()
        if mean_ms is None:
            return None
        squares = sum(
            count * (_middle_units(place) / UNITS_PER_MS - mean_ms) ** 2
            for place, count in self._counts.items()
        )
        return sqrt(squares) / self.count


def merged(histograms: Iterable[LatencyHistogram]) -> LatencyHistogram:
    """A new histogram of everything in *histograms*."""
    whole = LatencyHistogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def _octave_of(place: int) -> int:
    return max(0, place // PLACES_PER_OCTAVE - 1)


def _lowest_units(place: int) -> int:
    octave = _octave_of(place)
    return (place - octave * PLACES_PER_OCTAVE) << octave


def _highest_units(place: int) -> int:
    return _lowest_units(place) + (1 << _octave_of(place)) - 1


def _middle_units(place: int) -> int:
    return _lowest_units(place) + ((1 << _octave_of(place)) >> 1)
