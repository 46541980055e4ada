"""What is known of runs while they go on: one watch per run and process, however many look.

A watch goes on for as long as somebody looks, and a little longer, or to the run's end if it is
kept. Knows no tool and no text.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendError, Conflict
from benchgate.gate.backend import Backend
from benchgate.gate.watch import Watch

logger = logging.getLogger(__name__)

WATCHES_MAX = 100
TOO_MANY_HINT = "Look again when some of them have ended."
FAILED_HINT = "Call again; the cause is in the server's log."


class Live:
    """The runs of one backend, watched for as long as this is entered."""

    def __init__(self, backend: Backend) -> None:
        """Watch on *backend*."""
        self._backend = backend
        self._watches: dict[str, Watch] = {}
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Ready to watch; nothing is asked yet."""
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of every stream."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run: what its watch has heard, else a look.

        Raises:
            BenchgateError: it cannot be asked about.
        """
        return self._recent(run_id) or await self._backend.snapshot(run_id)

    async def last(self, run_id: str) -> RunSnapshot | None:
        """What was last known of a run, without asking."""
        return await self._backend.last(run_id)

    async def snapshot_or(self, told: RunSnapshot) -> RunSnapshot:
        """The newest known state, or *told* by an act that worked where only the look fails."""
        return self._recent(told.run_id) or await self._backend.snapshot_or(told)

    @asynccontextmanager
    async def watching(self, run_id: str) -> AsyncGenerator[Watch]:
        """The run's watch, shared with all who look at it now.

        Raises:
            Conflict: too many runs are being watched.
        """
        if run_id not in self._watches and len(self._watches) >= WATCHES_MAX:
            raise Conflict(f"{WATCHES_MAX} runs are watched already.", hint=TOO_MANY_HINT)
        watch = self._watch(run_id)
        watch.lookers += 1
        try:
            yield watch
        finally:
            watch.leave()

    def keep(self, run_id: str) -> None:
        """Watch a run to its end, whether anybody looks or not, and however many others there are.

        Whoever calls this keeps one run at a time.
        """
        self._watch(run_id).is_kept = True

    def _recent(self, run_id: str) -> RunSnapshot | None:
        watch = self._watches.get(run_id)
        return watch.recent if watch is not None else None

    def _watch(self, run_id: str) -> Watch:
        """The watch of a run, which is a new one where nobody watches it yet."""
        assert self._tasks is not None, "only who has entered can watch"
        watch = self._watches.get(run_id)
        if watch is None:
            watch = self._watches[run_id] = Watch(run_id, self._backend)
            self._tasks.start_soon(self._bring_news, watch)
        return watch

    async def _bring_news(self, watch: Watch) -> None:
        failure: BackendError | None = None
        try:
            await watch.bring_news()
        except Exception:  # this is a seam: one watch may fail, and its host goes on
            logger.exception("Watching run %s has failed", watch.run_id)
            failure = BackendError(f"Watching run {watch.run_id} has failed.", hint=FAILED_HINT)
        finally:
            del self._watches[watch.run_id]
            watch.close(failure)
