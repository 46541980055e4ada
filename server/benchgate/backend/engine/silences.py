"""For how long nothing was answered although somebody waited for an answer.

Knows of each second what was due, answered and failed; what such a silence means is for others.
"""

from typing import NamedTuple

SILENCE_S_MIN = 2  # a shorter one is nothing to tell of
MS_PER_S = 1_000


class Heard(NamedTuple):
    """What one second had of operations; *due* is None where no schedule wants any."""

    answered: int
    failed: int
    longest_ms: float
    due: int | None = None


class Silences:
    """The silences of a load, of which the last one may not be over."""

    def __init__(self) -> None:
        self.ending_s = 0  # of the one that is not over
        self._longest_ms = 0.0
        self._waiting = 0  # starts that were due and have come to no end

    def hear(self, heard: Heard) -> None:
        """Count one second more."""
        if heard.due is not None:
            self._waiting += heard.due - heard.answered - heard.failed
        # Between two starts of a slow schedule there is nothing to answer.
        is_wanted = heard.due is None or self._waiting > 0
        self.ending_s = 0 if heard.answered or not is_wanted else self.ending_s + 1
        self._longest_ms = max(self._longest_ms, heard.longest_ms)

    def is_ending(self, *, think_time_ms: int) -> bool:
        """Whether the last one is longer than any answer took, and any thought after it."""
        usual_ms = self._longest_ms + think_time_ms
        return self.ending_s > SILENCE_S_MIN + usual_ms / MS_PER_S
