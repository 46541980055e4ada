"""Looks after the run that benchgate started last on its backend, for as long as it goes on.

Every gate does so: it sees the run's end, and stops a search that has broken its bound. Which run
that is stands in the record, so when the process that started it is gone, any other that is alive
takes over, and when none is, the next one does. What others have started is left alone.
"""

import logging
import math
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from benchgate.domain.bounds import Bound
from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus, is_active
from benchgate.errors import BenchgateError, NotFound
from benchgate.gate.backend import Backend
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.lane import Lane
from benchgate.gate.live import Live
from benchgate.gate.sightings import Sightings

logger = logging.getLogger(__name__)

# Where there is nothing to look after, or it cannot be read, looks become that rare.
LOOK_SECONDS_MAX = 60
# The first news of a run come within a look of its watch.
NEWS_SECONDS_MAX = 10
# FlakeBench tells a run as not found, too, when one query of its own has failed.
MISSES_MAX = 3
# One that is missed again and again is looked for that rarely: FlakeBench may find it once more.
MISSED_SECONDS = 60
# Longer than a backend may take over a stop.
STOP_AGAIN_SECONDS = 150
STOPPABLE = frozenset({RunStatus.STARTING, RunStatus.RUNNING})


class Ward:
    """One run that is looked after."""

    def __init__(self, run_id: str, bound: Bound | None) -> None:
        """*bound* is None for a run that its backend ends by itself."""
        self.run_id = run_id
        self._bound = bound
        self._stopped_at: float | None = None

    def stop_due(self, snapshot: RunSnapshot) -> OwnStop | None:
        """The stop that has to be sent now, if one has."""
        if self._bound is None or snapshot.status not in STOPPABLE or self._is_on_its_way:
            return None
        return self._bound.broken_by(snapshot)

    def stopped(self) -> None:
        """The stop has been sent, and was not refused."""
        self._stopped_at = anyio.current_time()

    @property
    def has_waited(self) -> bool:
        """Whether a stop was on its way before, and has not been taken for too long."""
        return self._stopped_at is not None

    @property
    def _is_on_its_way(self) -> bool:
        sent_at = self._stopped_at
        return sent_at is not None and anyio.current_time() - sent_at < STOP_AGAIN_SECONDS


class Warden:
    """Looks after the run in the lane for as long as it is entered."""

    def __init__(
        self,
        backend: Backend,
        lane: Lane,
        *,
        live: Live,
        sightings: Sightings,
        pace: Pace | None = None,
    ) -> None:
        """Find the run in *lane*, see it in *live*, and stop it on *backend* if need be."""
        self._backend = backend
        self._lane = lane
        self._live = live
        self._sightings = sightings
        self._pace = pace or Pace()
        self._ward: Ward | None = None
        self._missed: str | None = None
        self._misses = 0
        self._missed_at = -math.inf
        self._trouble = ""
        self._wanted = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Ready to look; nothing is opened or asked yet."""
        self._sightings.listen(self._hear)
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._keep_looking)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the run: another process looks after it, or the next one will."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)

    def _hear(self, snapshot: RunSnapshot) -> None:
        """Look at once when a run begins, and when the one looked after is to be stopped."""
        ward = self._ward
        if snapshot.run_id == self._missed:
            self._missed = None
        if ward is None or ward.run_id != snapshot.run_id:
            is_wanted = snapshot.status == RunStatus.STARTING
        else:
            is_wanted = ward.stop_due(snapshot) is not None
        if is_wanted:
            self._wanted.set()

    async def _keep_looking(self) -> None:
        seconds, idle_seconds = self._pace.first_look_seconds, self._pace.look_seconds
        while True:
            with anyio.move_on_after(seconds):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            await self._look_safely()
            if self._ward is not None:
                seconds = idle_seconds = self._pace.look_seconds
            else:
                seconds = idle_seconds
                idle_seconds = min(2 * idle_seconds, LOOK_SECONDS_MAX)

    async def _look_safely(self) -> None:
        trouble = ""
        try:
            await self._look()
        except BenchgateError as exc:
            trouble = str(exc)
            if trouble != self._trouble:
                logger.warning("The run in the lane cannot be looked after now: %s", trouble)
        except Exception:  # this is a seam: one look may fail, and its host goes on
            logger.exception("Looking after the run in the lane has failed")
        self._trouble = trouble

    async def _look(self) -> None:
        run_id = await self._lane.occupant()
        if run_id is None or not await self._may_go_on(run_id):
            self._ward = None
            return
        self._live.keep(run_id)
        snapshot = await self._news(run_id)
        if snapshot is None or not is_active(snapshot.status):
            self._ward = None
            return
        ward = self._ward = await self._ward_of(run_id)
        own_stop = ward.stop_due(snapshot)
        if own_stop is not None:
            await self._stop(ward, own_stop)

    async def _may_go_on(self, run_id: str) -> bool:
        """Whether there is anything to ask about the run, and somebody to ask."""
        is_lost = run_id == self._missed and self._misses >= MISSES_MAX
        if is_lost and anyio.current_time() - self._missed_at < MISSED_SECONDS:
            return False
        last = (await self._sightings.recall(run_id)).snapshot
        return (last is None or not last.is_settled) and await self._backend.is_known_alive()

    async def _news(self, run_id: str) -> RunSnapshot | None:
        """What its watch knows of the run, which is asked for but once; None where it is gone."""
        try:
            async with self._live.watching(run_id) as watch:
                news = await watch.first(seconds_max=NEWS_SECONDS_MAX)
        except NotFound:
            self._misses = self._misses + 1 if run_id == self._missed else 1
            self._missed, self._missed_at = run_id, anyio.current_time()
            return None
        self._missed = None
        return news

    async def _ward_of(self, run_id: str) -> Ward:
        if self._ward is not None and self._ward.run_id == run_id:
            return self._ward
        config = (await self._backend.run(run_id)).config
        return Ward(run_id, await self._backend.bound(config))

    async def _stop(self, ward: Ward, own_stop: OwnStop) -> None:
        # Another process may have had a reason before us, and has sent its stop or does so now.
        known = await self._sightings.recall(ward.run_id, anew=True)
        if known.own_stop is None or ward.has_waited:
            await self._backend.stop(ward.run_id, own_stop=own_stop)
        ward.stopped()
