"""What was last known of each run of a backend, and which stops were ours; outlives the process.

Whoever asks is answered from memory, and from the record what a process before this one knew.
What is new is written there by a task of its own, so that nobody waits for it; only a stop of
ours is written before it is acted on. Knows no backend: it is told what was read.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from benchgate.domain.runs import OwnStop, RunSnapshot, Sighting
from benchgate.errors import StoreError
from benchgate.gate.approvals.desk import Desk, utc_now

logger = logging.getLogger(__name__)

REMEMBERED_RUNS_MAX = 1_000
# Figures change every second; of a second's figures none is worth a write of its own.
WRITE_INTERVAL_SECONDS = 5
CLOSE_SECONDS_MAX = 3
# A record that hangs must not keep a run from being stopped.
STOP_SECONDS_MAX = 3

Hear = Callable[[RunSnapshot], None]


class Sightings:
    """The sightings of one backend's runs."""

    def __init__(self, desk: Desk | None = None, *, backend: str = "") -> None:
        """Keep them in the record of *desk*, under *backend*; without one, for this process."""
        self._desk = desk
        self._backend = backend
        self._known: OrderedDict[str, Sighting] = OrderedDict()
        self._unwritten: dict[str, tuple[RunSnapshot, datetime]] = {}
        self._listeners: list[Hear] = []
        self._is_urgent = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Write from now on what is noted; opens nothing."""
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._keep_writing)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what is left, if that can be done soon."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)
        with anyio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
            await self._write()

    def listen(self, hear: Hear) -> None:
        """Let *hear* know of all that is noted; it must not wait, nor raise."""
        self._listeners.append(hear)

    async def recall(self, run_id: str, *, anew: bool = False) -> Sighting:
        """What is remembered of a run; what the record cannot tell is not remembered.

        *anew*: another process may have stopped it since it was last asked about here.
        """
        known = self._known.get(run_id)
        if self._desk is None or not self._desk.has_record or (known and not anew):
            return known or Sighting()
        # Late, because it imports SQLAlchemy, which a short-lived probe never needs.
        from benchgate.gate.sighting_rows import read  # noqa: PLC0415

        try:
            found = await self._desk.do(
                lambda record: read(record.engine, self._backend, run_id), may_be_left=True
            )
        except StoreError:
            logger.exception("What was last known of run %s cannot be read", run_id)
            return known or Sighting()
        # Something newer may have been noted here meanwhile.
        known = self._known.get(run_id, Sighting())
        is_last_word = found.snapshot is not None and found.snapshot.is_settled
        return self._remember(
            run_id,
            Sighting(
                snapshot=found.snapshot if is_last_word else known.snapshot or found.snapshot,
                own_stop=known.own_stop or found.own_stop,
            ),
        )

    async def note(self, snapshot: RunSnapshot) -> RunSnapshot:
        """*snapshot* is what was told of its run; what is known of it now.

        An end is known for good, whoever has not heard of it yet, and so is its last word.
        """
        run_id = snapshot.run_id
        before = await self.recall(run_id)
        last = before.snapshot
        if last is not None and _is_late(snapshot, last):
            return last
        self._remember(run_id, before.model_copy(update={"snapshot": snapshot}))
        if last != snapshot and self._desk is not None:
            self._unwritten[run_id] = (snapshot, utc_now())
            self._drop_oldest()
        if last is None or _matters(last) != _matters(snapshot):
            self._is_urgent.set()
        for hear in self._listeners:
            hear(snapshot)
        return snapshot

    async def note_stop(self, run_id: str, own_stop: OwnStop) -> bool:
        """We are about to stop a run; whether that is news.

        One that has ended did so before, and not by us; the first stop is why a run ends.

        What cannot be written is remembered here alone, and so is the stop of a run that nobody
        started here: stopping is always possible, and makes no record.
        """
        with anyio.move_on_after(STOP_SECONDS_MAX):
            await self.recall(run_id, anew=True)
        # Something newer may have been noted while the record did not answer.
        before = self._known.get(run_id, Sighting())
        is_over = before.snapshot is not None and before.snapshot.is_terminal
        is_news = not is_over and before.own_stop is None
        if is_news:
            await self._note_stop(run_id, before, own_stop)
        return is_news

    async def forget_stop(self, run_id: str) -> None:
        """A run was not stopped by us: it had ended before, or the stop cannot have arrived."""
        await self._note_stop(run_id, self._known.get(run_id, Sighting()), None)

    async def _note_stop(self, run_id: str, before: Sighting, own_stop: OwnStop | None) -> None:
        self._remember(run_id, before.model_copy(update={"own_stop": own_stop}))
        if self._desk is None or not self._desk.has_record:
            return
        from benchgate.gate.sighting_rows import write_stop  # noqa: PLC0415

        at = utc_now()
        try:
            with anyio.move_on_after(STOP_SECONDS_MAX):
                await self._desk.do(
                    lambda record: write_stop(
                        record.engine, self._backend, run_id, own_stop=own_stop, at=at
                    ),
                    may_be_left=True,
                )
        except StoreError:
            logger.exception("That run %s is being stopped could not be written", run_id)

    def _remember(self, run_id: str, sighting: Sighting) -> Sighting:
        self._known[run_id] = sighting
        self._known.move_to_end(run_id)
        while len(self._known) > REMEMBERED_RUNS_MAX:
            self._known.popitem(last=False)
        return sighting

    def _drop_oldest(self) -> None:
        """Without a record to write to, what is unwritten must not grow for ever."""
        while len(self._unwritten) > REMEMBERED_RUNS_MAX:
            self._unwritten.pop(next(iter(self._unwritten)))

    async def _keep_writing(self) -> None:
        while True:
            with anyio.move_on_after(WRITE_INTERVAL_SECONDS):
                await self._is_urgent.wait()
            self._is_urgent = anyio.Event()
            await self._write()

    async def _write(self) -> None:
        # What nobody has asked a person about is not worth a record of its own.
        if not self._unwritten or self._desk is None or not self._desk.has_record:
            return
        from benchgate.gate.sighting_rows import write  # noqa: PLC0415 - imports SQLAlchemy

        unwritten = dict(self._unwritten)
        try:
            await self._desk.do(
                lambda record: write(record.engine, self._backend, unwritten), may_be_left=True
            )
        except StoreError:
            # It is tried again with the next news, or at the end.
            logger.exception("What is known of %d runs could not be written", len(unwritten))
            return
        for run_id, written in unwritten.items():
            if self._unwritten.get(run_id) is written:
                del self._unwritten[run_id]


def _is_late(snapshot: RunSnapshot, last: RunSnapshot) -> bool:
    """Whether *snapshot* is of a time before what *last* tells."""
    if last.is_settled:
        return not snapshot.is_settled
    return last.is_terminal and not snapshot.is_terminal


def _matters(snapshot: RunSnapshot) -> tuple[object, ...]:
    """What of a snapshot must not be lost with the process."""
    return snapshot.status, snapshot.phase, snapshot.reason, snapshot.is_settled
