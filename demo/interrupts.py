"""Ctrl-C and its relatives, made into an orderly end. Knows not what is being ended.

The first one ends only the part that is under way, where one says that it can end by itself: a
question is then dismissed and a test stopped, and the server hears of it. Without such a part, or
when it comes again, an interrupt ends the work as a whole.
"""

from collections.abc import Generator
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGTERM

import anyio
from anyio.abc import TaskStatus


class Interrupts:
    """Whether the demo was told to end, and what that ends."""

    def __init__(self) -> None:
        self.happened = False
        self.work = anyio.CancelScope()
        self._part: anyio.CancelScope | None = None

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        """Wait for signals until cancelled."""
        with anyio.open_signal_receiver(SIGINT, SIGTERM, SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                self._interrupt()

    @contextmanager
    def part(self) -> Generator[anyio.CancelScope]:
        """What the first interrupt ends; whoever opened the part goes on behind it."""
        with anyio.CancelScope() as scope:
            self._part = scope
            try:
                yield scope
            finally:
                self._part = None

    def end(self) -> None:
        """End the work as a whole: there is nobody left whom a part of it could serve."""
        self.happened = True
        self.work.cancel()

    def _interrupt(self) -> None:
        scope = self.work if self.happened else (self._part or self.work)
        self.happened = True
        scope.cancel()
