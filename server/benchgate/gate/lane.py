"""One test at a time per backend: brings a run into the backend's lane along with its yes.

Shared by all processes over the gate's record. Knows nothing of questions; what it gives out is
recorded in the transaction in which a yes is used, so that there is never one without the other.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import anyio

from benchgate.domain.comparisons import ComparisonEvent
from benchgate.domain.facts import StartFacts
from benchgate.domain.happenings import Happening
from benchgate.domain.lane import LEASE, Entry
from benchgate.errors import StoreError
from benchgate.gate.approvals.desk import Desk, utc_now

if TYPE_CHECKING:
    from benchgate.gate.approvals.record import Along

logger = logging.getLogger(__name__)


class Lane:
    """The lane of one backend, as one process enters it."""

    def __init__(self, desk: Desk, *, backend: str, owner: str) -> None:
        """Enter the lane of *backend* as *owner*, an id that no other process life has."""
        self._desk = desk
        self.backend = backend
        self.owner = owner

    def entering(
        self,
        facts: StartFacts,
        approval_id: str,
        *,
        idle_at: datetime,
        after: str | None = None,
        on_cover: bool = False,
    ) -> "Along":
        """The run comes into the lane, and its comparison is told of the intent to start it.

        Args:
            facts: of the run that is about to start.
            approval_id: the yes on which it starts.
            idle_at: when the backend said that nothing is active.
            after: the run before it in its comparison, which is known to have ended.
            on_cover: whether it is the yes to a whole comparison.
        """
        from benchgate.gate.comparisons import plans  # noqa: PLC0415 - imports SQLAlchemy

        at = utc_now()
        entry = Entry(run_id=facts.run_id, owner=self.owner, at=at, idle_at=idle_at, after=after)
        intent = Happening(
            event=ComparisonEvent.INTEND,
            run_id=facts.run_id,
            approval_id=approval_id,
            config=facts.config,
            on_cover=on_cover,
        )

        def enter(tx: "plans.Transaction", _: object) -> None:
            plans.enter_lane(tx, self.backend, entry)
            plans.note_of_run(tx, intent, at=at)

        return enter

    async def enter_again(self, run_id: str, approval_id: str, *, idle_at: datetime) -> None:
        """The run comes into the lane once more; its start was intended before.

        Raises:
            Conflict: it is not intended any more, another run is in the lane, or the start may
                still be on its way.
        """
        from benchgate.gate.comparisons import plans  # noqa: PLC0415 - imports SQLAlchemy

        entry = Entry(run_id=run_id, owner=self.owner, at=utc_now(), idle_at=idle_at)
        intent = Happening(
            event=ComparisonEvent.REPEAT, run_id=run_id, approval_id=approval_id, on_cover=True
        )
        await self._desk.do(
            lambda record: plans.enter_again(record.engine, self.backend, entry, intent)
        )

    async def occupant(self) -> str | None:
        """The run that came in last, whether or not it has ended; opens no record to see it."""
        if not self._desk.has_record:
            return None
        from benchgate.gate.comparisons import plans  # noqa: PLC0415 - imports SQLAlchemy

        return await self._desk.do(lambda record: plans.occupant(record.engine, self.backend))

    def settling(self, happening: Happening, *, in_doubt: bool = False) -> "Along":
        """What became of a start is known, or *in_doubt*, and its comparison is told of it."""
        from benchgate.gate.comparisons import plans  # noqa: PLC0415 - imports SQLAlchemy

        at = utc_now()

        def settle(tx: "plans.Transaction", _: object) -> None:
            assert happening.run_id is not None, "it is told of a run"
            if in_doubt:
                plans.doubt_start(tx, happening.run_id, at=at)
            else:
                plans.leave_lease(tx, happening.run_id)
            plans.note_of_run(tx, happening, at=at)

        return settle

    @asynccontextmanager
    async def kept(self, run_id: str) -> AsyncGenerator[None]:
        """Renew the lease of the run for as long as its start is on the way."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew, run_id)
            yield
            tasks.cancel_scope.cancel()

    async def _renew(self, run_id: str) -> None:
        from benchgate.gate.comparisons.plans import keep_lane  # noqa: PLC0415

        while True:
            await anyio.sleep(LEASE.total_seconds() / 3)
            try:
                await self._desk.do(
                    lambda record: keep_lane(record.engine, run_id, self.owner, at=utc_now())
                )
            except StoreError:
                # A start that is on its way is not given up for that.
                logger.exception("The lease of run %s could not be renewed", run_id)
