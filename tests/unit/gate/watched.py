"""A backend of which a test says what looks and streams tell, and when."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendError, BackendUnavailable
from benchgate.gate.backend import Backend
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from benchgate.gate.watch import Watch
from tests.unit.examples import METRICS, SUMMARY

URL = "http://backend.test"
AWAY = BackendUnavailable("The backend could not be reached.")
NO_STREAM = BackendError("The backend opened no stream.")
# Long past every limit there is.
LONG_SECONDS = 300

Look = RunSnapshot | Exception


def run(status: str = "RUNNING", **changes: Any) -> RunSnapshot:
    """Run r1 as its state tells of it."""
    told = {"run_id": "r1", "status": status, "expected_seconds": 60, "source": "rest"} | changes
    return RunSnapshot.model_validate(told)


def frame(second: int, status: str = "RUNNING") -> RunSnapshot:
    """Run r1 as its stream tells of it."""
    return run(status, elapsed_seconds=second, metrics=METRICS, source="stream")


DONE = run("COMPLETED", summary=SUMMARY, elapsed_seconds=60, is_settled=True)


@dataclass
class Streamed:
    """A stream that tells one of *frames* a second, and then drops or is silent."""

    frames: Iterable[RunSnapshot] = ()
    is_silent: bool = False


class Muttering(Streamed):
    """A stream whose every frame adds nothing to what is known."""


class Listening:
    """One connection to such a stream."""

    def __init__(self, streamed: Streamed) -> None:
        self._frames: Iterator[RunSnapshot] = iter(streamed.frames)
        self._is_silent = streamed.is_silent
        self._mutters = isinstance(streamed, Muttering)

    async def next(self, last: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        with anyio.move_on_after(seconds_max):
            if self._mutters:
                await anyio.sleep(1)
                return last
            frame = next(self._frames, None)
            if frame is not None:
                await anyio.sleep(1)
                return frame
            if not self._is_silent:
                raise BackendUnavailable("The backend has dropped its stream.")
            await anyio.sleep_forever()
        raise BackendUnavailable("The backend told nothing.")


class Scripted(Backend):
    """Tells of a run these looks in turn and opens these streams, the last of each for ever."""

    def __init__(
        self, *looks: Look, streams: Sequence[Streamed | Exception] = (NO_STREAM,)
    ) -> None:
        super().__init__(Configured(Address(url=URL, dashboard_url=URL)), httpx.AsyncClient())
        self._looks = [*looks]
        self._streams = [*streams]
        self.looked_at: list[float] = []
        self.opened_at: list[float] = []
        self.open_streams = 0

    async def snapshot(self, run_id: str) -> RunSnapshot:
        self.looked_at.append(anyio.current_time())
        await anyio.lowlevel.checkpoint()
        told = self._looks.pop(0) if self._looks[1:] else self._looks[0]
        if isinstance(told, Exception):
            raise told
        return told.model_copy(update={"run_id": run_id})

    @asynccontextmanager
    async def stream(self, run_id: str) -> AsyncGenerator[Listening]:
        self.opened_at.append(anyio.current_time())
        script = self._streams.pop(0) if self._streams[1:] else self._streams[0]
        if isinstance(script, Exception):
            raise script
        self.open_streams += 1
        try:
            yield Listening(script)
        finally:
            self.open_streams -= 1


def ticking() -> Streamed:
    """A stream that tells of a running run without end."""
    return Streamed(frame(second) for second in count(1))


def gaps_of(times: Sequence[float]) -> list[float]:
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


async def told_until(watch: Watch, status: str) -> list[RunSnapshot]:
    """All that is told of a run until it is in that status."""
    told = [await watch.first(seconds_max=LONG_SECONDS)]
    while told[-1].status != status:
        told.append(await watch.newer(told[-1], seconds_max=LONG_SECONDS))
    return told
