"""Latency histograms: filled in bulk, merged exactly, never averaged.

The places are those of an HDR histogram: tenths of a microsecond from 0.1 us to 1 h with three
significant figures; what is longer counts as an hour. Only places that were met are kept, some
hundreds of the 35,000 that there are.

To count, send and merge them takes time from the load, on a machine that has none left: latencies
are counted by the interpreter's own loops, and travel as one packed text.
"""

import struct
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil, sqrt

NS_PER_UNIT = 100
UNITS_PER_MS = 10_000
HIGHEST_UNITS = 36_000_000_000
# Three figures need 2,048 places for the first octaves, and half as many for each further one.
PLACE_BITS = 11
PLACES_PER_OCTAVE = 1 << (PLACE_BITS - 1)
OWN_PLACES = 1 << PLACE_BITS
PERCENT = 100

NUMBER = "I"  # of 32 bits without sign; packed with its smallest byte first
NUMBER_BYTES = 4


def units_of(latencies_ns: Iterable[int]) -> list[int]:
    """*latencies_ns* in the units of the histogram, a part of one as a whole one."""
    return [-(-latency_ns // NS_PER_UNIT) for latency_ns in latencies_ns]


def place_of(units: int) -> int:
    """Where so many *units* are counted; the formula is that of every HDR histogram."""
    units = min(units, HIGHEST_UNITS)
    octave = units.bit_length() - PLACE_BITS
    return units if octave <= 0 else (octave << (PLACE_BITS - 1)) + (units >> octave)


class LatencyHistogram:
    """How often each latency occurred."""

    def __init__(self, packed: str = "") -> None:
        """Begin with what is in *packed*."""
        self._counts: dict[int, int] = defaultdict(int, _unpacked(packed))

    @property
    def count(self) -> int:
        """How many latencies are in it."""
        return sum(self._counts.values())

    @property
    def counts(self) -> list[tuple[int, int]]:
        """The places that were met in ascending order, each with how often."""
        return sorted(self._counts.items())

    @property
    def packed(self) -> str:
        """All that it knows, to be sent; empty where that is nothing."""
        counts = self._counts
        numbers = struct.pack(f"<{2 * len(counts)}{NUMBER}", *counts.keys(), *counts.values())
        return b64encode(numbers).decode("ascii")

    def record(self, latencies_ns: Iterable[int]) -> None:
        """Take all of *latencies_ns* in."""
        self.enter_units(Counter(units_of(latencies_ns)))

    def enter_units(self, counts: Mapping[int, int]) -> None:
        """Take in how often latencies of so many units were met."""
        near, far = dict(counts), [units for units in counts if units >= OWN_PLACES]
        shared = [(place_of(units), near.pop(units)) for units in far]
        self._add(near)
        for place, count in shared:
            self._counts[place] += count

    def enter(self, packed: str) -> None:
        """Add everything that is in *packed*."""
        self._add(_unpacked(packed))

    def merge(self, other: "LatencyHistogram") -> None:
        """Add everything that is in *other*."""
        self._add(other._counts)

    def _add(self, counts: Mapping[int, int]) -> None:
        into = self._counts
        if not into:
            into.update(counts)
            return
        for place, count in counts.items():
            into[place] += count

    @property
    def longest_ms(self) -> float:
        """The longest latency; 0 where there is none."""
        return _highest_units(max(self._counts)) / UNITS_PER_MS if self._counts else 0.0

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
        last = place_of(ceil(latency_ms * UNITS_PER_MS))
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


def _unpacked(packed: str) -> dict[int, int]:
    """The places, and then how often each of them was met."""
    data = b64decode(packed)
    count = len(data) // NUMBER_BYTES
    numbers = struct.unpack(f"<{count}{NUMBER}", data)
    return dict(zip(numbers[: count // 2], numbers[count // 2 :], strict=True))


def _octave_of(place: int) -> int:
    return max(0, place // PLACES_PER_OCTAVE - 1)


def _lowest_units(place: int) -> int:
    octave = _octave_of(place)
    return (place - octave * PLACES_PER_OCTAVE) << octave


def _highest_units(place: int) -> int:
    return _lowest_units(place) + (1 << _octave_of(place)) - 1


def _middle_units(place: int) -> float:
    """Of the latencies that are counted there; the last part of a unit counts as a whole one."""
    return max(0, _lowest_units(place) - 1 + _highest_units(place)) / 2
