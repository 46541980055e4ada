"""Comparisons in the gate's record as tests fill it, and what is in a backend's lane."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import sqlalchemy as sa

from benchgate.database import reading, writing_alone
from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.comparisons import (
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Cover,
    StepState,
)
from benchgate.domain.lane import Entry, Lane
from benchgate.errors import Conflict
from benchgate.gate.comparisons.plans import (
    Plans,
    enter_lane,
)
from benchgate.gate.store import LANES
from tests.unit.comparing import COMPARISON_ID, at_step, told
from tests.unit.examples import NOON

Event = ComparisonEvent
BACKEND = "backend-1"
LATER = NOON + timedelta(seconds=1)


def running(comparison_id: str = COMPARISON_ID, **changes: object) -> Comparison:
    """A series whose first run, r1, is about to be prepared on the yes to the whole."""
    cover = Cover(approval_id="a-all", last=2)
    mode = ExecutionMode.SEQUENTIAL
    series = at_step(ComparisonState.RUNNING, StepState.PENDING, mode=mode, cover=cover)
    return series.model_copy(update={"comparison_id": comparison_id} | changes)


def starting(plans: Plans, owner: str = "me") -> Comparison:
    """The same with r1 on its way, driven by *owner* and in the lane."""
    plans.add(running())
    plans.claim(COMPARISON_ID, owner, at=NOON)
    plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    intent = told(Event.INTEND, approval_id="a-all", on_cover=True)
    return plans.record(COMPARISON_ID, intent, at=NOON)


def entry_of(
    run_id: str = "r1", owner: str = "me", *, at: datetime = NOON, idle_at: datetime = NOON
) -> Entry:
    """A run that *owner* wants to bring into the lane."""
    return Entry(run_id=run_id, owner=owner, at=at, idle_at=idle_at)


def enter(engine: sa.Engine, backend: str, entry: Entry) -> None:
    """Bring a run into the lane, in a transaction of its own."""
    with writing_alone(engine) as tx:
        enter_lane(tx, backend, entry)


def lane_in(engine: sa.Engine, backend: str = BACKEND) -> Lane | None:
    """What is in the lane of *backend*."""
    wanted = sa.select(LANES).where(LANES.c.backend == backend)
    with reading(engine) as tx:
        row = tx.execute(wanted).mappings().first()
    return Lane.model_validate(dict(row)) if row else None


def lease_in(engine: sa.Engine) -> datetime | None:
    """Until when what is in the lane has its lease."""
    lane = lane_in(engine)
    assert lane is not None
    return lane.until


def raced(*acts: Callable[[], object]) -> list[object]:
    """What each of *acts* came to, all begun at the same moment."""
    line = Barrier(len(acts), timeout=30)

    def act(one: Callable[[], object]) -> object:
        line.wait()
        try:
            return one()
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, acts))
