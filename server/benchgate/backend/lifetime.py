"""How long the backend lives: until it is told to end, or nobody has needed it for a while."""

import time
from collections.abc import Callable

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

IDLE_SECONDS = 15 * 60


class Lifetime:
    """Remembers when something last happened, and says when it is time to end."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """End after *idle_seconds* in which nothing happened."""
        self._idle_seconds = idle_seconds
        self._last = time.monotonic()
        self._over = anyio.Event()

    def touch(self) -> None:
        """Something happened."""
        self._last = time.monotonic()

    def end(self) -> None:
        """It is time to end."""
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether it is time to end."""
        return self._over.is_set()

    async def watch(self, busy: Callable[[], bool]) -> None:
        """End once nothing has happened for long enough; being *busy* is something happening."""
        while not self.is_over:
            if busy():
                self.touch()
            idle = time.monotonic() - self._last
            if idle >= self._idle_seconds:
                self.end()
                return
            # While busy, the look is at least once an idle period; a run's end restarts it.
            with anyio.move_on_after(min(self._idle_seconds - idle, self._idle_seconds / 10)):
                await self._over.wait()


class Touch:
    """Counts every request as something that happens; an open WebSocket counts once."""

    def __init__(self, app: ASGIApp, *, lifetime: Lifetime) -> None:
        """Stand in front of *app*, behind whatever refuses strangers."""
        self._app = app
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the lifetime, then pass on."""
        self._lifetime.touch()
        await self._app(scope, receive, send)
