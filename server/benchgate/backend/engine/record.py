"""The tables of runs and seconds, for the event loop: each call is one transaction in a thread.

It has threads of its own, so that a crowd of readers cannot keep a second from being recorded.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from benchgate.backend.clock import Clock
from benchgate.backend.runs import Ending, Leftover, Run, RunTable, Scratch
from benchgate.backend.series import SeriesTable
from benchgate.domain.contract import SeriesPoint
from benchgate.domain.runs import RunEvent
from benchgate.errors import StoreError

THREADS = 2
ATTEMPTS_MAX = 60
RETRY_SECONDS = 1

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class Record:
    """What is known of runs, read and written without holding up the event loop."""

    def __init__(self, runs: RunTable, series: SeriesTable, clock: Clock) -> None:
        """Write to *runs* and *series*, at the times that *clock* tells."""
        self._runs = runs
        self._series = series
        self._clock = clock
        self._threads = anyio.CapacityLimiter(THREADS)

    async def get(self, run_id: str) -> Run:
        """The run of that id."""
        return await self._call(self._runs.get, run_id)

    async def begin(self, run_id: str) -> Run:
        """Start a prepared run; see `RunTable.begin`."""
        return await self._call(self._runs.begin, run_id, at=self._clock())

    async def move(self, run_id: str, event: RunEvent) -> Run:
        """Tell the run that *event* happened; see `RunTable.move`."""
        return await self._call(self._runs.move, run_id, event, at=self._clock())

    async def add_second(self, run_id: str, number: int, point: SeriesPoint) -> None:
        """Record one second of the run."""
        await self._call(self._series.add, run_id, number, point)

    async def forget_oldest_seconds(self) -> None:
        """Keep what is recorded of old runs from growing for ever."""
        await self._call(self._series.forget_oldest)

    async def end(self, run_id: str, ending: Ending) -> None:
        """Write the end. While it cannot be written, the run has not ended: it is tried again."""
        for _ in range(ATTEMPTS_MAX):
            try:
                await self._call(self._runs.end, run_id, ending, at=self._clock())
            except StoreError:
                log.exception("The end of run %s could not be recorded", run_id)
                await anyio.sleep(RETRY_SECONDS)
            else:
                return

    async def note_scratch(self, run_id: str, scratch: Scratch | None) -> None:
        """Keep where the run's scratch copy lies; see `RunTable.note_scratch`."""
        await self._call(self._runs.note_scratch, run_id, scratch)

    async def leftovers(self) -> list[Leftover]:
        """The scratch copies to remove at this start; see `RunTable.leftovers`."""
        return await self._call(self._runs.leftovers)

    async def give_up_scratch(self) -> list[Leftover]:
        """Forget the oldest of too many scratch copies, and say which they were."""
        return await self._call(self._runs.give_up_scratch)

    async def remark(self, run_id: str, text: str) -> None:
        """Add to what is told of a run that has ended; see `RunTable.remark`."""
        await self._call(self._runs.remark, run_id, text)

    async def fail_active(self, reason: str) -> None:
        """End what is recorded as active; the caller knows that nobody drives it."""
        for run_id in await self._call(self._runs.fail_active, reason, at=self._clock()):
            log.warning("Run %s is FAILED: %s", run_id, reason)

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        call = partial(function, *args, **kwargs)
        return await anyio.to_thread.run_sync(call, limiter=self._threads)
