"""What a measurement hands to the table that is printed; measures nothing itself."""

from pydantic import BaseModel


class Row(BaseModel, frozen=True):
    """One figure, with the bar that it is held to; without one it is there for comparison."""

    name: str
    measured: float
    bar: float | None
    unit: str
    is_floor: bool = False  # whether the figure has to reach the bar, instead of staying below it

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar."""
        if self.bar is None:
            return True
        return self.measured >= self.bar if self.is_floor else self.measured <= self.bar
