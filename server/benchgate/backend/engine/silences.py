"""For how long nothing was answered although somebody waited for an answer.

Knows of each second what was due, answered and failed; what such a silence means is for others.
"""

from typing import NamedTuple

SILENCE_S_MIN = 2  # what is shorter in all is nothing to tell of
# Seconds are cut, and thoughts end, a little late.
JITTER_S = 0.1
MS_PER_S = 1_000


class Heard(NamedTuple):
    """What one second had of operations; *due* is None where no schedule wants any.

    A second is as long as it took to report it: one that came late was longer, and those that
    make up for it are next to nothing.
    """

    answered: int
    failed: int
    longest_ms: float
    due: int | None = None
    is_measured: bool = True
    span_s: float = 1.0


class Silences:
    """The silences of a measurement, of which the last one may not be over."""

    def __init__(self, *, think_time_ms: int = 0) -> None:
        self._think_time_ms = think_time_ms
        self._ending_s = 0.0  # of the one that is not over
        self._long_s = self._short_s = 0.0  # of those that are, and that no answer explains
        self._longest_ms = 0.0
        self._waiting = 0  # starts that were due and have come to no end

    def hear(self, heard: Heard) -> None:
        """Count one second more."""
        is_wanted = self._is_wanted(heard)
        self._longest_ms = max(self._longest_ms, heard.longest_ms)
        if heard.is_measured and is_wanted and not heard.answered:
            self._ending_s += heard.span_s
        else:
            self._end(heard.longest_ms)

    def _is_wanted(self, heard: Heard) -> bool:
        """Whether somebody waits all through a second; between two starts of a schedule nobody."""
        if heard.due is None:
            return True
        # A start that is due at the end of a second is often answered in the next one.
        was_waiting = self._waiting > 0
        self._waiting += heard.due - heard.answered - heard.failed
        return was_waiting and self._waiting > 0

    def _end(self, longest_ms: float) -> None:
        """An answer that was under way all the time is in the figures, with its own time."""
        if self._ending_s > self._explained_s(longest_ms):
            if self._ending_s > SILENCE_S_MIN + JITTER_S:
                self._long_s += self._ending_s
            else:
                self._short_s += self._ending_s
        self._ending_s = 0.0

    def _explained_s(self, longest_ms: float) -> float:
        """How long nothing is heard of somebody who waits so long, and then thinks."""
        return (longest_ms + self._think_time_ms) / MS_PER_S + JITTER_S

    @property
    def ending_s(self) -> int:
        """How long the last one has lasted; 0 where it is over."""
        return round(self._ending_s)

    @property
    def is_ending(self) -> bool:
        """Whether the last one is longer than any answer took, and any thought after it.

        What is under way in it may be such an answer, since none has come that says how long.
        """
        return self._ending_s > SILENCE_S_MIN + self._explained_s(self._longest_ms)

    @property
    def unanswered_s(self) -> int:
        """The seconds of all silences that no answer explains, but for a few short ones."""
        short_s = self._short_s if self._short_s > SILENCE_S_MIN + JITTER_S else 0.0
        return round(self._long_s + short_s + (self._ending_s if self.is_ending else 0.0))
