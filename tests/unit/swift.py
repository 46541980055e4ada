"""An event loop that never waits: its time jumps to what comes next.

So limits of seconds and minutes are tested as they are, at once and to the second. It is for what
waits for nothing but time: a thread or a socket would be overtaken.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _Jumping(selectors.DefaultSelector):
    """Tells how long it would have waited, and has not."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout is not None:
            self._jump(timeout)
        return ready


class SwiftLoop(asyncio.SelectorEventLoop):
    """Time passes only while everybody waits for it."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Jumping(self._jump))

    def time(self) -> float:
        return self._now_s

    def _jump(self, seconds: float) -> None:
        self._now_s += seconds


SWIFT: tuple[str, dict[str, Any]] = ("asyncio", {"loop_factory": SwiftLoop})
