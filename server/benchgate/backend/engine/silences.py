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
    is_measured: bool = True


class Silences:
    """The silences of a measurement, of which the last one may not be over."""

    def __init__(self, *, think_time_ms: int = 0) -> None:
        self.ending_s = 0  # of the one that is not over
        self._over_s = 0  # of all that are, and were longer than any answer took
        self._think_time_ms = think_time_ms
        self._longest_ms = 0.0
        self._waiting = 0  # starts that were due and have come to no end

    def hear(self, heard: Heard) -> None:
        """Count one second more."""
        if heard.due is not None:
            self._waiting += heard.due - heard.answered - heard.failed
        # Between two starts of a slow schedule there is nothing to answer.
        is_wanted = heard.due is None or self._waiting > 0
        self._longest_ms = max(self._longest_ms, heard.longest_ms)
        if heard.is_measured and is_wanted and not heard.answered:
            self.ending_s += 1
            return
        # An answer that was under way all the time is in the figures, with the time that it took.
        self._over_s = self.unanswered_s
        self.ending_s = 0

    @property
    def is_ending(self) -> bool:
        """Whether the last one is longer than any answer took, and any thought after it."""
        usual_ms = self._longest_ms + self._think_time_ms
        return self.ending_s > SILENCE_S_MIN + usual_ms / MS_PER_S

    @property
    def unanswered_s(self) -> int:
        """The seconds of all silences that were longer than that."""
        return self._over_s + (self.ending_s if self.is_ending else 0)
