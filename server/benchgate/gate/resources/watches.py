"""Which runs are kept watched because somebody subscribed to them, and until when.

Knows neither subscribers nor how a run is watched: the first are any objects, the second is a
context that is entered. A backend that is not alive is not asked, and so not started.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
from anyio.abc import TaskGroup

from benchgate.errors import BenchgateError, NotFound

logger = logging.getLogger(__name__)

# As long as a long test runs. Whoever wants to hear more subscribes again.
WATCH_SECONDS_MAX = 21_600
WATCHED_MAX = 16
# A watch may end by itself, as that of a run does that has not been started yet: it is renewed.
RENEW_SECONDS = 30
RETRY_SECONDS = 15

Watching = Callable[[str], AbstractAsyncContextManager[object]]


class Watches:
    """Runs that are watched as long as somebody wants them to be."""

    def __init__(
        self,
        watching: Watching,
        *,
        is_known_alive: Callable[[], Awaitable[bool]],
        watch_seconds_max: float = WATCH_SECONDS_MAX,
        renew_seconds: float = RENEW_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Watch a run by entering *watching*, if *is_known_alive*."""
        self._watching = watching
        self._is_known_alive = is_known_alive
        self._watch_seconds_max = watch_seconds_max
        self._renew_seconds = renew_seconds
        self._retry_seconds = retry_seconds
        self._holders: dict[str, set[object]] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        # Those too that are being let go of, so that the bound holds whatever a client does.
        self._entered: set[anyio.CancelScope] = set()
        # Those that were not there: nobody asks for them again before something is heard of them.
        self._absent: set[str] = set()
        self._tasks: TaskGroup | None = None

    def hold(self, run_id: str, holder: object, *, tasks: TaskGroup) -> None:
        """*holder* wants the run watched; it is, from now on for `watch_seconds_max` at most."""
        self._holders.setdefault(run_id, set()).add(holder)
        if run_id in self._scopes:
            self._scopes[run_id].deadline = self._deadline
        self._tasks = tasks
        self.resume(run_id, tasks=tasks)

    def resume(self, run_id: str, *, tasks: TaskGroup) -> None:
        """Watch the run if somebody wants it and it is not watched: it is known to be alive."""
        is_wanted = run_id in self._holders and run_id not in self._scopes
        self._absent.discard(run_id)
        if is_wanted and len(self._entered) < WATCHED_MAX:
            scope = anyio.CancelScope(deadline=self._deadline)
            self._scopes[run_id] = scope
            self._entered.add(scope)
            tasks.start_soon(self._keep, run_id, scope)

    def release(self, run_id: str, holder: object) -> None:
        """*holder* does not want it any more; the last one to say so ends it."""
        holders = self._holders.get(run_id, set())
        holders.discard(holder)
        if not holders:
            self.end(run_id)

    def end(self, run_id: str) -> None:
        """There is nothing more to watch."""
        self._holders.pop(run_id, None)
        self._absent.discard(run_id)
        scope = self._scopes.pop(run_id, None)
        if scope is not None:
            scope.cancel()

    @property
    def _deadline(self) -> float:
        return anyio.current_time() + self._watch_seconds_max

    async def _keep(self, run_id: str, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._watch(run_id)
                self._absent.add(run_id)
        finally:
            self._entered.discard(scope)
            if self._scopes.get(run_id) is scope:
                del self._scopes[run_id]
                if scope.cancelled_caught:
                    # Its time is over: nobody holds it any more, until somebody subscribes anew.
                    self._holders.pop(run_id, None)
            self._resume_waiting()

    def _resume_waiting(self) -> None:
        """There is room again: for the run that has been wanted and not watched for longest."""
        seen = self._scopes.keys() | self._absent
        waiting = next((one for one in self._holders if one not in seen), None)
        tasks = self._tasks
        if waiting is not None and tasks is not None and not tasks.cancel_scope.cancel_called:
            self.resume(waiting, tasks=tasks)

    async def _watch(self, run_id: str) -> None:
        """Until the scope around it ends, or there is no such run."""
        while True:
            try:
                if await self._is_known_alive():
                    async with self._watching(run_id):
                        await anyio.sleep(self._renew_seconds)
                    continue
            except NotFound:
                return
            except BenchgateError as exc:
                logger.info("Run %s cannot be watched now: %s", run_id, exc)
            await anyio.sleep(self._retry_seconds)
