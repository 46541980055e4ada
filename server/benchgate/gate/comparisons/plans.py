"""The durable record of comparisons, and of the lane of each backend; knows no backend.

Every change reads, asks the tables of the domain and writes in one transaction beside which nobody
else writes. Functions that take a transaction are recorded along with an approval's own move.
Every function and method blocks: call it from a worker thread.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from benchgate.database import reading, writing_alone
from benchgate.domain.approvals import Approval
from benchgate.domain.comparisons import (
    ENDED,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    PlannedTest,
    StepState,
)
from benchgate.domain.facts import ComparisonFacts, Facts
from benchgate.domain.happenings import Happening, after
from benchgate.domain.lane import DOUBT, LEASE, Entry, Lane, entered, is_stale, may_enter
from benchgate.domain.text import NAME_CHARACTERS_MAX, one_line
from benchgate.domain.values import Value
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.names import UNKNOWN_COMPARISON_HINT
from benchgate.gate.store import COMPARISON_RUNS, COMPARISONS, LANES

Transaction = sa.Connection

DRIVER_LEASE = timedelta(seconds=6)
DRIVEN_MAX = 20
# After these nobody is about to start the next run at once.
INTENTS = frozenset({ComparisonEvent.INTEND, ComparisonEvent.REPEAT})
LEAVES = frozenset(
    {
        ComparisonEvent.REST,
        ComparisonEvent.FINISH,
        ComparisonEvent.HOLD,
        ComparisonEvent.STOP,
        ComparisonEvent.LOSE,
        ComparisonEvent.MISS,
    }
)


class Claim(Value):
    """Whether somebody may drive a comparison now, and until when the last one did."""

    granted: bool
    rested_since: datetime | None = None


class Plans:
    """The comparisons of one backend."""

    def __init__(self, engine: sa.Engine, backend: str) -> None:
        """Keep those of *backend*, by its identity, in *engine*."""
        self._engine = engine
        self._backend = backend

    def add(self, comparison: Comparison) -> None:
        """A new comparison."""
        row = _columns(comparison) | {"comparison_id": comparison.comparison_id}
        with writing_alone(self._engine) as tx:
            tx.execute(COMPARISONS.insert(), row | {"backend": self._backend})

    def get(self, comparison_id: str) -> Comparison:
        """One comparison.

        Raises:
            NotFound: there is none of that id for this backend.
        """
        with reading(self._engine) as tx:
            return _comparison(self._row(tx, comparison_id))

    def open(self, limit: int) -> list[Comparison]:
        """Those that have not ended, the newest first."""
        wanted = sa.select(COMPARISONS).where(
            COMPARISONS.c.backend == self._backend, COMPARISONS.c.state.not_in(ENDED)
        )
        with reading(self._engine) as tx:
            found = [_comparison(row) for row in tx.execute(wanted).mappings()]
        return sorted(found, key=lambda one: one.created_at, reverse=True)[:limit]

    def with_run(self, run_id: str) -> Comparison | None:
        """The comparison that a run belongs to, if it does to one."""
        with reading(self._engine) as tx:
            return with_run(tx, run_id)

    def record(
        self,
        comparison_id: str,
        happening: Happening,
        *,
        at: datetime,
        driver: str | None = None,
    ) -> Comparison:
        """Write down what has happened; with *driver*, only while that one drives.

        Raises:
            Conflict: it cannot happen to it now, or somebody else drives.
        """
        with writing_alone(self._engine) as tx:
            row = self._row(tx, comparison_id)
            if driver is not None and not _drives(row, driver, at=at):
                raise Conflict("Another process drives this comparison now.")
            return _recorded(tx, _comparison(row), happening, at=at)

    def claim(self, comparison_id: str, driver: str, *, at: datetime) -> Claim:
        """Whether *driver* drives it for one more lease; it is in one hand at a time."""
        with writing_alone(self._engine) as tx:
            row = self._row(tx, comparison_id)
            until = row["driver_until"]
            if until is not None and until > at and row["driver"] != driver:
                return Claim(granted=False)
            _drive_on(tx, row, driver, at=at)
        return Claim(granted=True, rested_since=until)

    def keep_claim(self, comparison_id: str, driver: str, *, at: datetime) -> bool:
        """Whether *driver* still drives it, for one more lease; one that is over stays so."""
        with writing_alone(self._engine) as tx:
            row = self._row(tx, comparison_id)
            if not _drives(row, driver, at=at):
                return False
            _drive_on(tx, row, driver, at=at)
        return True

    def is_being_started(self, run_id: str, *, at: datetime) -> bool:
        """Whether somebody holds the lane for the start of a run: it may be on its way."""
        wanted = sa.select(LANES.c.until).where(
            LANES.c.backend == self._backend, LANES.c.run_id == run_id
        )
        with reading(self._engine) as tx:
            until = tx.scalar(wanted)
        return until is not None and until > at

    def release(self, driver: str, *, at: datetime) -> None:
        """*driver* drives nothing any more."""
        mine = COMPARISONS.update().where(COMPARISONS.c.driver == driver)
        with writing_alone(self._engine) as tx:
            tx.execute(mine.values(driver=None, driver_until=at))

    def to_drive(self, driver: str, *, at: datetime) -> list[str]:
        """The running comparisons that nobody else drives."""
        free = sa.or_(
            COMPARISONS.c.driver_until.is_(None),
            COMPARISONS.c.driver_until <= at,
            COMPARISONS.c.driver == driver,
        )
        running = COMPARISONS.c.state == ComparisonState.RUNNING.value
        mine = COMPARISONS.c.backend == self._backend
        wanted = sa.select(COMPARISONS.c.comparison_id).where(mine, running, free)
        wanted = wanted.order_by(COMPARISONS.c.driver_until)
        with reading(self._engine) as tx:
            return list(tx.scalars(wanted.limit(DRIVEN_MAX)))

    def _row(self, tx: sa.Connection, comparison_id: str) -> sa.RowMapping:
        wanted = sa.select(COMPARISONS).where(
            COMPARISONS.c.comparison_id == comparison_id, COMPARISONS.c.backend == self._backend
        )
        row = tx.execute(wanted).mappings().first()
        if row is None:
            raise NotFound(f"Comparison not found: {comparison_id}", hint=UNKNOWN_COMPARISON_HINT)
        return row


def keep_lane(engine: sa.Engine, run_id: str, owner: str, *, at: datetime) -> bool:
    """Whether *owner*'s start of a run is still in the lane, for one more lease."""
    with writing_alone(engine) as tx:
        return _keep_lane(tx, run_id, owner, at=at)


def with_run(tx: sa.Connection, run_id: str) -> Comparison | None:
    """The comparison that a run belongs to, if it does to one."""
    found = (
        sa.select(COMPARISONS)
        .join(COMPARISON_RUNS, COMPARISON_RUNS.c.comparison_id == COMPARISONS.c.comparison_id)
        .where(COMPARISON_RUNS.c.run_id == run_id)
    )
    row = tx.execute(found).mappings().first()
    return _comparison(row) if row else None


def choose(tx: sa.Connection, approval: Approval, *, at: datetime) -> None:
    """The used *approval* is a yes to what is left of its comparison.

    Raises:
        Conflict: the comparison takes none now.
    """
    chosen = Happening(
        event=ComparisonEvent.CHOOSE,
        approval_id=approval.approval_id,
        mode=approval.mode,
        tests=_planned(approval.facts),
    )
    wanted = sa.select(COMPARISONS).where(
        COMPARISONS.c.comparison_id == approval.subject.subject_id
    )
    row = tx.execute(wanted).mappings().first()
    if row is None:
        raise Conflict("The comparison does not exist any more.")
    _recorded(tx, _comparison(row), chosen, at=at)


def _planned(facts: Facts) -> tuple[PlannedTest, ...]:
    """The tests as a person has been shown them."""
    assert isinstance(facts, ComparisonFacts), "a whole is chosen on the facts of a whole"
    return tuple(
        PlannedTest(
            variant=test.variant,
            template_id=test.template_id,
            template_name=one_line(test.template_name, NAME_CHARACTERS_MAX),
            expected_seconds=test.config.expected_seconds,
        )
        for test in facts.tests
    )


def note_of_run(tx: sa.Connection, happening: Happening, *, at: datetime) -> None:
    """Tell the comparison of *happening*'s run, if there is one whose turn that run is.

    Raises:
        Conflict: it cannot happen to it now.
    """
    assert happening.run_id is not None, "it is told of a run"
    comparison = with_run(tx, happening.run_id)
    if comparison is None:
        return
    step = comparison.step
    if step is not None and step.run_id == happening.run_id:
        # A run that fails at once may be known to have ended before its start is known to be made.
        has_ended = step.state is StepState.ENDED
        if not (has_ended and happening.event is ComparisonEvent.BEGIN):
            _recorded(tx, comparison, happening, at=at)
    elif happening.event in INTENTS:
        raise Conflict("It is not this run's turn any more in its comparison.")


def enter_lane(tx: sa.Connection, backend: str, entry: Entry) -> None:
    """Bring a run into the lane of *backend*.

    Raises:
        Conflict: another one is in it, and not known to have ended.
    """
    wanted = sa.select(LANES).where(LANES.c.backend == backend)
    row = tx.execute(wanted).mappings().first()
    lane = Lane.model_validate(dict(row)) if row else None
    if not may_enter(lane, entry):
        raise Conflict(_in_the_way(lane, entry))
    columns = dict(entered(entry))
    if lane is None:
        tx.execute(LANES.insert(), columns | {"backend": backend})
    else:
        tx.execute(LANES.update().where(LANES.c.backend == backend).values(columns))


def enter_again(engine: sa.Engine, backend: str, entry: Entry, intent: Happening) -> None:
    """Bring a run into the lane whose start was intended before, if it still is.

    Raises:
        Conflict: it is not, or another one is in the lane, or its starter may still be at it.
    """
    with writing_alone(engine) as tx:
        enter_lane(tx, backend, entry)
        note_of_run(tx, intent, at=entry.at)


def occupant(engine: sa.Engine, backend: str) -> str | None:
    """The run that came into the lane of *backend* last, whether or not it has ended."""
    wanted = sa.select(LANES.c.run_id).where(LANES.c.backend == backend)
    with reading(engine) as tx:
        return tx.scalar(wanted)


def doubt_start(tx: sa.Connection, run_id: str, *, at: datetime) -> None:
    """Nobody knows what became of the run's start: until it must have arrived nobody comes in."""
    nobodys = {"owner": "", "until": at + DOUBT}
    tx.execute(LANES.update().where(LANES.c.run_id == run_id).values(nobodys))


def leave_lease(tx: sa.Connection, run_id: str) -> None:
    """What became of the run's start is known: from now on its end alone counts."""
    tx.execute(LANES.update().where(LANES.c.run_id == run_id).values(until=None))


def _keep_lane(tx: sa.Connection, run_id: str, owner: str, *, at: datetime) -> bool:
    mine = LANES.update().where(LANES.c.run_id == run_id, LANES.c.owner == owner)
    return tx.execute(mine.values(until=at + LEASE)).rowcount == 1


def _drive_on(tx: sa.Connection, row: sa.RowMapping, driver: str, *, at: datetime) -> None:
    one = COMPARISONS.c.comparison_id == row["comparison_id"]
    lease = {"driver": driver, "driver_until": at + DRIVER_LEASE}
    tx.execute(COMPARISONS.update().where(one).values(lease))
    step = _comparison(row).step
    # A start that is on its way is kept there by its sender alone.
    active = step if step is not None and step.state is StepState.ACTIVE else None
    if active is not None and active.run_id is not None:
        _keep_lane(tx, active.run_id, driver, at=at)


def _recorded(
    tx: sa.Connection, comparison: Comparison, happening: Happening, *, at: datetime
) -> Comparison:
    changed = after(comparison, happening, at=at)
    one = COMPARISONS.c.comparison_id == comparison.comparison_id
    tx.execute(COMPARISONS.update().where(one).values(_columns(changed)))
    if happening.event is ComparisonEvent.PREPARE:
        mine = {"run_id": happening.run_id, "comparison_id": comparison.comparison_id}
        tx.execute(COMPARISON_RUNS.insert(), mine)
    if happening.event in LEAVES:
        # The run before, too: it has kept the lane for the one that now does not start.
        for step in comparison.steps[max(0, comparison.position - 1) : comparison.position + 1]:
            # A start that may be on its way keeps its lease: its sender ends it, or time does.
            if step.run_id is not None and step.state is not StepState.STARTING:
                leave_lease(tx, step.run_id)
    return changed


def _in_the_way(lane: Lane | None, entry: Entry) -> str:
    if lane is None or is_stale(entry):
        return "It is too long ago that this server looked at the backend: look again."
    if lane.run_id == entry.run_id and lane.until is not None:
        seconds = math.ceil((lane.until - entry.at).total_seconds())
        return (
            "A start of this run may still be on its way. "
            f"Try again in {seconds} seconds; the yes stays good."
        )
    return f"Run {lane.run_id} is being started on this backend, and tests run one at a time."


def _drives(row: sa.RowMapping, driver: str, *, at: datetime) -> bool:
    until = row["driver_until"]
    return row["driver"] == driver and until is not None and until > at


def _columns(comparison: Comparison) -> dict[str, object]:
    return {"state": comparison.state.value, "body": comparison.model_dump_json()}


def _comparison(row: Mapping[str, Any] | sa.RowMapping) -> Comparison:
    try:
        return Comparison.model_validate_json(row["body"])
    except ValidationError as exc:
        raise StoreError(f"What is recorded of {row['comparison_id']} cannot be read.") from exc
