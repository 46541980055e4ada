"""Time as the emulated backend tells it: faster than the wall's, or moved by hand.

All figures are seconds of the backend since it came up.
"""

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

# So often everyone else in the loop gets a turn before time moves on.
TURNS = 100

BIRTH = datetime(2026, 2, 13, 12, tzinfo=UTC)


async def _settled() -> None:
    # Not `wait_all_tasks_blocked`: it looks every 0.1 s, as uvicorn's own loop wakes up, and where
    # the two fall into step it waits for ever.
    for _ in range(TURNS):
        await checkpoint()


class Clock(Protocol):
    """What the backend reads the time from and waits by."""

    def now(self) -> float:
        """Seconds since the backend came up."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of the backend."""
        ...


def moment(at_s: float) -> datetime:
    """The date and time *at_s* seconds after the backend came up."""
    return BIRTH + timedelta(seconds=at_s)


class ScaledClock:
    """Runs by itself, *speed* times as fast as the wall's."""

    def __init__(self, speed: float = 20) -> None:
        self._speed = speed
        self._born_s = time.monotonic()

    def now(self) -> float:
        """Seconds of the backend, *speed* to one of the wall's."""
        return (time.monotonic() - self._born_s) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of the backend."""
        await anyio.sleep(seconds / self._speed)


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._sleepers: list[tuple[float, anyio.Event]] = []

    @property
    def sleepers(self) -> int:
        """How many wait for the time to pass."""
        return len(self._sleepers)

    def now(self) -> float:
        """Seconds that the clock has been moved."""
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved by *seconds*."""
        sleeper = (self._now_s + seconds, anyio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        """Move on at once; who sleeps through it wakes up at its end."""
        self._move_to(self._now_s + seconds)

    async def elapse(self, seconds: float) -> None:
        """Move on from sleeper to sleeper: each is awake at its own time."""
        end_s = self._now_s + seconds
        while self._now_s < end_s:
            await _settled()
            due_s = min((due for due, _ in self._sleepers), default=math.inf)
            self._move_to(max(self._now_s, min(due_s, end_s)))
        await _settled()

    def _move_to(self, at_s: float) -> None:
        # Never by a difference: rounding could leave the clock just short of who waits for it.
        self._now_s = at_s
        for due_s, event in self._sleepers:
            if due_s <= at_s:
                event.set()
