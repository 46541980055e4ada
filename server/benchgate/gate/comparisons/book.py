"""The record of comparisons for asynchronous callers, opened when it is first needed."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from benchgate.domain.comparisons import Comparison
from benchgate.domain.happenings import Happening
from benchgate.errors import BenchgateError, NotFound, StoreError
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.lane import Lane
from benchgate.gate.names import UNKNOWN_COMPARISON_HINT

if TYPE_CHECKING:
    from benchgate.gate.comparisons.plans import Claim, Plans

T = TypeVar("T")
logger = logging.getLogger(__name__)

RENEWAL_SECONDS = 2


class Book:
    """Where comparisons are written down, for the backend whose lane it is."""

    def __init__(self, desk: Desk, lane: Lane) -> None:
        """Write into the record of *desk*, as the owner of *lane*."""
        self._desk = desk
        self._lane = lane

    async def add(self, comparison: Comparison) -> None:
        """A new comparison."""
        await self._do(lambda plans: plans.add(comparison))

    async def get(self, comparison_id: str) -> Comparison:
        """One comparison; opens no record to see that there is none.

        Raises:
            NotFound: there is none of that id for this backend.
        """
        if not self._desk.has_record:
            raise NotFound(f"Comparison not found: {comparison_id}", hint=UNKNOWN_COMPARISON_HINT)
        return await self._do(lambda plans: plans.get(comparison_id))

    async def open(self, limit: int) -> list[Comparison]:
        """Those that have not ended, the newest first; opens no record to see that none are."""
        if not self._desk.has_record:
            return []
        return await self._do(lambda plans: plans.open(limit))

    async def with_run(self, run_id: str) -> Comparison | None:
        """The comparison that a run belongs to, if it does to one; opens no record to see it."""
        if not self._desk.has_record:
            return None
        return await self._do(lambda plans: plans.with_run(run_id))

    async def record(
        self, comparison_id: str, happening: Happening, *, as_driver: bool = False
    ) -> Comparison:
        """Write down what has happened; *as_driver* only while this process drives it.

        Raises:
            Conflict: it cannot happen to it now, or somebody else drives.
        """
        driver = self._lane.owner if as_driver else None
        return await self._do(
            lambda plans: plans.record(comparison_id, happening, at=utc_now(), driver=driver)
        )

    async def claim(self, comparison_id: str) -> "Claim":
        """Whether this process drives it for one more lease."""
        owner = self._lane.owner
        return await self._do(lambda plans: plans.claim(comparison_id, owner, at=utc_now()))

    @asynccontextmanager
    async def kept(self, comparison_id: str) -> AsyncGenerator[None]:
        """Renew the claim for as long as one turn takes."""
        failure: BenchgateError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew, comparison_id)
            try:
                yield
            except BenchgateError as exc:
                # Out of the group it would come as a group, which no caller looks for.
                failure = exc
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def is_being_started(self, run_id: str) -> bool:
        """Whether the start of a run may be on its way, from whichever process."""
        return await self._do(lambda plans: plans.is_being_started(run_id, at=utc_now()))

    async def release(self) -> None:
        """This process drives nothing any more."""
        await self._do(lambda plans: plans.release(self._lane.owner, at=utc_now()))

    async def to_drive(self) -> list[str]:
        """The running comparisons that nobody else drives; opens no record to see them."""
        if not self._desk.has_record:
            return []
        return await self._do(lambda plans: plans.to_drive(self._lane.owner, at=utc_now()))

    async def _renew(self, comparison_id: str) -> None:
        owner = self._lane.owner
        while True:
            await anyio.sleep(RENEWAL_SECONDS)
            try:
                await self._do(lambda plans: plans.keep_claim(comparison_id, owner, at=utc_now()))
            except StoreError:
                # A lease that lapses is somebody else's to take; the turn notices when it records.
                logger.exception("The claim on %s could not be renewed", comparison_id)

    async def _do(self, act: "Callable[[Plans], T]") -> T:
        # Late, because it imports SQLAlchemy, which a short-lived probe never needs.
        from benchgate.gate.comparisons.plans import Plans  # noqa: PLC0415

        return await self._desk.do(lambda record: act(Plans(record.engine, self._lane.backend)))
