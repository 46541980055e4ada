"""Drives this process's share of the running comparisons in the background.

Every gate looks for comparisons that nobody drives: at its first tool call about one, a few
seconds after its start, and then again and again. So when the process that drove one is killed,
any other that is alive goes on; when none is, the next one does.
"""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from benchgate.domain.comparisons import Comparison, ComparisonState
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError, Conflict
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.comparisons.book import Book
from benchgate.gate.comparisons.driver import Driver

logger = logging.getLogger(__name__)

TURN_WAIT_SECONDS_MAX = 5
BEING_DRIVEN = "This server is bringing the comparison on right now: read its state."


class Pace(Value):
    """How often is looked, and for how long a backend may be out of reach; all in seconds."""

    first_look_seconds: float = 3
    look_seconds: float = 5
    turn_seconds: float = 1
    unreachable_seconds_max: float = 600


class Autopilot:
    """Drives for as long as it is entered."""

    def __init__(self, book: Book, driver: Driver, *, pace: Pace | None = None) -> None:
        """Find in *book* what is to be driven, and let *driver* take the turns."""
        self._book = book
        self._driver = driver
        self._pace = pace or Pace()
        self._turns: dict[str, anyio.Lock] = {}
        self._at: set[str] = set()
        self._has_taken_turns = False
        self._driven: set[str] = set()
        self._tasks: TaskGroup | None = None
        self._wanted = anyio.Event()

    async def __aenter__(self) -> Self:
        """Ready to drive; the record is not opened yet."""
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._watch)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of everything: another process may go on at once, and else when leases end."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)
        if self._has_taken_turns:
            with anyio.CancelScope(shield=True):
                try:
                    await self._book.release()
                except BenchgateError:
                    logger.exception("What this process drove is free when its leases end")

    def wake(self) -> None:
        """Look now: something has begun to run."""
        self._wanted.set()

    def is_at(self, comparison_id: str) -> bool:
        """Whether it is being brought on in this process; to find that it rests is no turn."""
        return comparison_id in self._at

    @asynccontextmanager
    async def alone(self, comparison_id: str) -> AsyncGenerator[None]:
        """Within this process, one takes a comparison's turns at a time.

        Raises:
            Conflict: another one does, and may go on for as long as the comparison runs.
        """
        turns, is_mine = self._turns_of(comparison_id), False
        with anyio.move_on_after(TURN_WAIT_SECONDS_MAX):
            await turns.acquire()
            is_mine = True
        if not is_mine:
            raise Conflict(BEING_DRIVEN)
        try:
            with self._taking(comparison_id):
                yield
        finally:
            self._let_go(comparison_id, turns)

    @contextmanager
    def _taking(self, comparison_id: str) -> Generator[None]:
        self._at.add(comparison_id)
        try:
            yield
        finally:
            self._at.discard(comparison_id)

    def _turns_of(self, comparison_id: str) -> anyio.Lock:
        self._has_taken_turns = True
        return self._turns.setdefault(comparison_id, anyio.Lock())

    def _let_go(self, comparison_id: str, turns: anyio.Lock) -> None:
        turns.release()
        # Released, it is the next one's at once, if somebody waits.
        if not turns.locked():
            self._turns.pop(comparison_id, None)

    async def _watch(self) -> None:
        seconds = self._pace.first_look_seconds
        while True:
            with anyio.move_on_after(seconds):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            seconds = self._pace.look_seconds
            try:
                found = await self._book.to_drive()
            except BenchgateError:
                logger.exception("The comparisons that are to be driven cannot be read")
                continue
            for comparison_id in found:
                if comparison_id not in self._driven and self._tasks is not None:
                    self._driven.add(comparison_id)
                    self._tasks.start_soon(self._drive, comparison_id)

    async def _drive(self, comparison_id: str) -> None:
        try:
            turns = self._turns_of(comparison_id)
            await turns.acquire()
            try:
                await self._drive_to_rest(comparison_id)
            finally:
                self._let_go(comparison_id, turns)
        except BenchgateError:
            logger.exception("Comparison %s cannot be driven now", comparison_id)
        except Exception:  # this is a seam: one comparison may fail, and its host goes on
            logger.exception("Driving comparison %s has failed", comparison_id)
        finally:
            self._driven.discard(comparison_id)

    async def _drive_to_rest(self, comparison_id: str) -> None:
        """Take turns until it does not run any more, or another process drives it."""
        reached_at = anyio.current_time()
        while (comparison := await self._claimed(comparison_id)) is not None:
            try:
                async with self._book.kept(comparison_id):
                    with self._taking(comparison_id):
                        after = await self._driver.turn(comparison)
                reached_at = anyio.current_time()
            except Conflict as exc:
                logger.info("Comparison %s was brought on by somebody else: %s", comparison_id, exc)
                after = comparison
            except BenchgateError as exc:
                after = comparison
                if anyio.current_time() - reached_at > self._pace.unreachable_seconds_max:
                    reason = f"The backend could not be asked for too long: {one_line(str(exc))}"
                    after = await self._driver.lose(comparison, reason)
            if after == comparison:
                await anyio.sleep(self._pace.turn_seconds)

    async def _claimed(self, comparison_id: str) -> Comparison | None:
        """The comparison while it runs and is in our hand, else None."""
        claim = await self._book.claim(comparison_id)
        if not claim.granted:
            return None
        comparison = await self._book.get(comparison_id)
        if claim.rested_since is not None:
            # A person's yes may have brought it on meanwhile, without anybody driving it.
            rest = utc_now() - max(claim.rested_since, comparison.updated_at)
            comparison = await self._driver.rested(comparison, rest)
        return comparison if comparison.state is ComparisonState.RUNNING else None
