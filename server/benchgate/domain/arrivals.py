"""When the operations of an open-loop load are to start; knows no clock and no database.

An open loop starts operations when its schedule says so, whether or not the earlier ones have been
answered. Evenly spaced starts may beat in time with something of the database's own; real users
come at random, each without regard to the others.

Free Poisson arrivals would make the delivered rate a matter of luck: at 2,000/s over 30 s they
miss the rate by more than 0.5 % in 22 % of all runs, though nothing is wrong with any of these.
Therefore every window has a fixed number of starts, placed in it as independent uniforms: that is
what a Poisson process looks like once its count is known. Over whole windows the count is exact,
within one it fluctuates as real arrivals do.

A window is cut in halves, and these again, until a slice holds few enough starts to be drawn and
sorted at once: how many of n independent uniforms lie in the left half is how many of n random
bits are set. Each slice has a generator of its own, so that a load generator is never held up for
long, and so that counting the starts up to some instant draws no more than one slice.
"""

import random
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import ceil, floor
from typing import Self

from pydantic import Field, model_validator

from benchgate.domain.templates import CONNECTIONS_MAX, QPS_MAX, Spacing
from benchgate.domain.values import Value

NS_PER_SECOND = 1_000_000_000
# With fewer, windows of a fixed count would come close to an even spacing.
WINDOW_STARTS_MIN = 10
# To draw and sort so many takes less time than passes between two ticks of an event loop.
SLICE_STARTS_MAX = 256
# A slice of the usual length is cut finer by this than a nanosecond, and Python multiplies and
# sorts such integers noticeably faster than those of 32 bits.
PLACE_BITS = 30
PLACE_MASK = ((1 << PLACE_BITS) - 1).to_bytes(4, "little")


class Arrivals(Value):
    """One worker's part of a load; `rate_per_s` and `seed` are those of the whole load.

    All parts together are the load: constant ones interleave evenly, and Poisson ones are
    independent of each other.
    """

    rate_per_s: float = Field(gt=0, le=QPS_MAX)
    spacing: Spacing
    seed: int
    part: int = Field(default=0, ge=0)
    parts: int = Field(default=1, ge=1, le=CONNECTIONS_MAX)

    @model_validator(mode="after")
    def _is_one_of_its_parts(self) -> Self:
        if self.part >= self.parts:
            raise ValueError(f"part {self.part} is none of 0 to {self.parts - 1}")
        return self


def starts_ns(arrivals: Arrivals) -> Iterator[int]:
    """When each operation is to start, in nanoseconds after the beginning; ascending, endless."""
    if arrivals.spacing is Spacing.CONSTANT:
        return _evenly_ns(arrivals)
    return _at_random_ns(arrivals)


def due(arrivals: Arrivals, elapsed_ns: int) -> int:
    """How many of `starts_ns` lie before *elapsed_ns*."""
    if elapsed_ns <= 0:
        return 0
    if arrivals.spacing is Spacing.CONSTANT:
        first, step, divisor = _even_steps(arrivals)
        return max(0, -((first - elapsed_ns * divisor) // step))
    number = elapsed_ns // _window_ns(arrivals)
    window = _window(arrivals, number)
    return _count_before(arrivals, window.begin_ns) + window.count_before(elapsed_ns)


def _exact_rate(arrivals: Arrivals) -> Fraction:
    """The rate per second as it was written: the float nearest to 0.3 is a little less."""
    return Fraction(str(arrivals.rate_per_s))


def _even_steps(arrivals: Arrivals) -> tuple[int, int, int]:
    """The first start of this part, its distance to the next, and what to divide both by for ns."""
    rate = _exact_rate(arrivals)
    spacing = rate.denominator * NS_PER_SECOND
    return arrivals.part * spacing, arrivals.parts * spacing, rate.numerator


def _evenly_ns(arrivals: Arrivals) -> Iterator[int]:
    at, step, divisor = _even_steps(arrivals)
    while True:
        yield at // divisor
        at += step


def _at_random_ns(arrivals: Arrivals) -> Iterator[int]:
    number = 0
    while True:
        window = _window(arrivals, number)
        for place in range(len(window.shares)):
            yield from window.slice_ns(place)
        number += 1


def _window_ns(arrivals: Arrivals) -> int:
    """The length of a window: a second, or as many as it takes to hold enough starts."""
    rate = _exact_rate(arrivals) / arrivals.parts
    return max(1, ceil(WINDOW_STARTS_MIN / rate)) * NS_PER_SECOND


def _count_before(arrivals: Arrivals, begin_ns: int) -> int:
    """The starts of this part in all windows before the one that begins at *begin_ns*.

    Parts round at different times, so that all together never miss a start of the whole load:
    the sum of floor(x + part / parts) over all parts is floor(parts * x).
    """
    whole = _exact_rate(arrivals) * begin_ns / NS_PER_SECOND
    return floor((whole + arrivals.part) / arrivals.parts)


@dataclass(frozen=True, slots=True)
class _Window:
    """One window of a Poisson load; `shares` has how many starts each of its slices holds."""

    seed: str
    begin_ns: int
    length_ns: int
    shares: list[int]

    def slice_ns(self, place: int) -> list[int]:
        """The starts in the slice at *place*, ascending."""
        begin_ns, end_ns = self._edge_ns(place), self._edge_ns(place + 1)
        width_ns = end_ns - begin_ns
        count = self.shares[place]
        # All of them at once, which takes a fraction of the time that as many draws would.
        words = _seeded(f"{self.seed}/{place}").getrandbits(count * 32)
        drawn = words & int.from_bytes(PLACE_MASK * count, "little")
        places = sorted(struct.unpack(f"<{count}I", drawn.to_bytes(count * 4, "little")))
        return [begin_ns + (at * width_ns >> PLACE_BITS) for at in places]

    def count_before(self, ns: int) -> int:
        """How many of its starts lie before *ns*, an instant within it."""
        place = (ns - self.begin_ns) * len(self.shares) // self.length_ns
        return sum(self.shares[:place]) + bisect_left(self.slice_ns(place), ns)

    def _edge_ns(self, place: int) -> int:
        # Rounded up, so that an instant's place and the edges of that place agree.
        return self.begin_ns - (-self.length_ns * place // len(self.shares))


def _window(arrivals: Arrivals, number: int) -> _Window:
    length_ns = _window_ns(arrivals)
    begin_ns = number * length_ns
    count = _count_before(arrivals, begin_ns + length_ns) - _count_before(arrivals, begin_ns)
    seed = f"arrivals/{arrivals.seed}/{arrivals.part}/{arrivals.parts}/{number}"
    return _Window(seed, begin_ns, length_ns, _shared_out(count, _seeded(seed)))


def _shared_out(count: int, generator: random.Random) -> list[int]:
    """How many of *count* starts fall into each of the slices of a window."""
    shares = [count]
    for _ in range((count // SLICE_STARTS_MAX).bit_length()):
        lefts = [generator.getrandbits(whole).bit_count() for whole in shares]
        halves = [(left, whole - left) for left, whole in zip(lefts, shares, strict=True)]
        shares = list(chain.from_iterable(halves))
    return shares


def _seeded(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable on purpose
