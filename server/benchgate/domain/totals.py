"""Sums of figures that may be unknown."""

from collections.abc import Iterable


def total(figures: Iterable[float | None]) -> float | None:
    """The sum of *figures*, 0 of none; None as soon as one of them is unknown."""
    given = list(figures)
    known = [one for one in given if one is not None]
    return sum(known) if len(known) == len(given) else None
