"""Reads a run for those who want to see it: once, or again and again until it has ended."""

from collections.abc import AsyncGenerator

import anyio
import anyio.to_thread

from benchgate.backend import views
from benchgate.backend.clock import Clock
from benchgate.backend.dashboard.keys import DashboardKeys
from benchgate.backend.engine.board import Board
from benchgate.backend.engine.targets import Targets
from benchgate.backend.runs import Run, RunTable
from benchgate.domain.contract import MetricsFrame, RunDetail, TestStatus
from benchgate.domain.runs import is_terminal

FRAME_SECONDS = 1.0
# A second under load brings its own notice; only one that fails to come is waited out.
SILENCE_SECONDS = 1.5


class Watch:
    """The views of a run, as of now."""

    def __init__(
        self,
        runs: RunTable,
        board: Board,
        *,
        targets: Targets,
        keys: DashboardKeys,
        clock: Clock,
    ) -> None:
        """Look at *runs* and at *board*; make links with *keys*."""
        self._runs = runs
        self._targets = targets
        self._board = board
        self._keys = keys
        self._clock = clock

    def detail(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created. Blocks."""
        return self.detail_of(self._runs.get(run_id))

    def detail_of(self, run: Run) -> RunDetail:
        """The same of a run that has just been read. Blocks."""
        return views.detail(
            run,
            connection=self._targets.described(run.config),
            dashboard_url=self._keys.link(run.run_id),
        )

    def status(self, run_id: str) -> TestStatus:
        """Where the run stands. Blocks."""
        # In this order: a run that ends in between is then seen as ended.
        live = self._board.of(run_id)
        run = self._runs.get(run_id)
        return views.status(run, live, dashboard_url=self._keys.link(run_id))

    def frame(self, run_id: str) -> MetricsFrame:
        """The run's second. Blocks."""
        live = self._board.of(run_id)
        return views.frame(self._runs.get(run_id), live, now=self._clock())

    async def frames(self, run_id: str) -> AsyncGenerator[MetricsFrame]:
        """A frame at once, one a second and at every change, and a last one at the run's end."""
        while True:
            change = self._board.change
            frame = await anyio.to_thread.run_sync(self.frame, run_id)
            yield frame
            if is_terminal(frame.status):
                return
            ticking = self._board.of(run_id) is not None
            with anyio.move_on_after(SILENCE_SECONDS if ticking else FRAME_SECONDS):
                await change.wait()
