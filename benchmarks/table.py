"""What a measurement hands to the table that is printed; measures nothing itself."""

from collections.abc import Sequence
from math import ceil

from pydantic import BaseModel


class Row(BaseModel, frozen=True):
    """One figure, with the bar that it is held to; without one it is there for comparison."""

    name: str
    measured: float
    bar: float | None
    unit: str
    is_floor: bool = False  # whether the figure has to reach the bar, instead of staying below it
    decimals: int | None = None  # None: those that are usual for the unit

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar."""
        if self.bar is None:
            return True
        return self.measured >= self.bar if self.is_floor else self.measured <= self.bar


def percentile(figures: Sequence[float], pct: float) -> float:
    """The least of *figures* that *pct* percent of them do not exceed."""
    place = max(1, ceil(len(figures) * pct / 100))
    return sorted(figures)[place - 1]
