"""The lane of a backend in the record: one run at a time comes in, whoever brings it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from benchgate.database import writing_alone
from benchgate.domain.comparisons import (
    ComparisonEvent,
    ComparisonState,
    Cover,
)
from benchgate.domain.lane import LEASE, Lane
from benchgate.errors import Conflict
from benchgate.gate.comparisons.plans import (
    DRIVER_LEASE,
    Plans,
    Transaction,
    enter_lane,
    keep_lane,
    leave_lease,
    note_of_run,
    with_run,
)
from benchgate.gate.store import COMPARISONS
from tests.integration.planned import (
    BACKEND,
    LATER,
    enter,
    entry_of,
    lane_in,
    lease_in,
    raced,
    running,
    starting,
)
from tests.unit.comparing import COMPARISON_ID, result_of_run, told
from tests.unit.examples import NOON

State = ComparisonState
Event = ComparisonEvent
TICK = timedelta(microseconds=1)
RACERS = 6
RACES = 5


@pytest.fixture
def plans(engine: sa.Engine) -> Plans:
    return Plans(engine, BACKEND)


def test_of_several_runs_that_enter_one_lane_at_once_one_comes_in(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    engines = [engine, other_engine]
    for race in range(RACES):
        backend = f"backend-{race}"

        def bring(number: int, backend: str = backend) -> Callable[[], object]:
            entry = entry_of(f"r{number}", f"p{number}")
            return lambda: enter(engines[number % 2], backend, entry)

        found = raced(*(bring(number) for number in range(RACERS)))
        assert found.count("conflict") == RACERS - 1
        lane = lane_in(engine, backend)
        assert lane is not None
        assert lane.run_id == f"r{found.index(None)}"


def test_each_backend_has_a_lane_of_its_own(engine: sa.Engine) -> None:
    enter(engine, BACKEND, entry_of("r1"))
    enter(engine, "backend-2", entry_of("r2", "other"))
    with pytest.raises(Conflict, match="Run r1 is being started on this backend"):
        enter(engine, BACKEND, entry_of("r2", "other"))
    lane = lane_in(engine)
    assert lane == Lane(run_id="r1", owner="me", entered_at=NOON, until=NOON + LEASE)


def test_a_lane_is_taken_over_when_its_lease_has_ended_and_nothing_is_active(
    engine: sa.Engine,
) -> None:
    enter(engine, BACKEND, entry_of("r1"))
    end = NOON + LEASE
    # Read after r1 came in, while its starter may still be at it; or before it came in.
    for at, idle_at in ((end - TICK, end - TICK), (end, NOON)):
        with pytest.raises(Conflict):
            enter(engine, BACKEND, entry_of("r2", "other", at=at, idle_at=idle_at))
    enter(engine, BACKEND, entry_of("r2", "other", at=end, idle_at=LATER))
    assert lane_in(engine) == Lane(run_id="r2", owner="other", entered_at=end, until=end + LEASE)


def test_a_lease_is_renewed_by_its_owner_alone_and_while_the_run_is_in_the_lane(
    engine: sa.Engine,
) -> None:
    assert not keep_lane(engine, "r1", "me", at=NOON)
    enter(engine, BACKEND, entry_of("r1"))
    assert not keep_lane(engine, "r1", "other", at=LATER)
    assert not keep_lane(engine, "r2", "me", at=LATER)
    assert lease_in(engine) == NOON + LEASE
    assert keep_lane(engine, "r1", "me", at=LATER)
    assert lease_in(engine) == LATER + LEASE


def test_a_start_of_which_all_is_known_has_no_lease(engine: sa.Engine) -> None:
    enter(engine, BACKEND, entry_of("r1"))
    with writing_alone(engine) as tx:
        leave_lease(tx, "r2")
    assert lease_in(engine) == NOON + LEASE
    with writing_alone(engine) as tx:
        leave_lease(tx, "r1")
    assert lease_in(engine) is None
    enter(engine, BACKEND, entry_of("r2", "other", at=LATER, idle_at=LATER))


def test_a_claim_keeps_the_lane_of_a_run_under_way(plans: Plans, engine: sa.Engine) -> None:
    starting(plans)
    enter(engine, BACKEND, entry_of("r1"))
    plans.claim(COMPARISON_ID, "me", at=LATER)
    # A start that is on its way is its sender's to keep there.
    assert lease_in(engine) == NOON + LEASE
    plans.record(COMPARISON_ID, told(Event.BEGIN, run_id="r1"), at=LATER)
    plans.claim(COMPARISON_ID, "me", at=LATER)
    assert lease_in(engine) == LATER + LEASE
    taken_over = LATER + DRIVER_LEASE
    assert plans.claim(COMPARISON_ID, "other", at=taken_over).granted
    # It is another's start, of which only its owner knows whether it is on its way.
    assert lease_in(engine) == LATER + LEASE


def test_a_claim_leaves_the_lane_alone_while_nothing_is_under_way(
    plans: Plans, engine: sa.Engine
) -> None:
    plans.add(running())
    plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    enter(engine, BACKEND, entry_of("r1"))
    plans.claim(COMPARISON_ID, "me", at=LATER)
    assert lease_in(engine) == NOON + LEASE


@pytest.mark.parametrize("event", [Event.REST, Event.HOLD, Event.STOP, Event.MISS])
def test_a_comparison_that_does_not_go_on_leaves_the_lane_to_others(
    plans: Plans, engine: sa.Engine, event: ComparisonEvent
) -> None:
    starting(plans)
    enter(engine, BACKEND, entry_of("r1"))
    plans.record(COMPARISON_ID, told(Event.BEGIN), at=NOON)
    if event is Event.REST:
        whole = plans.get(COMPARISON_ID)
        short = whole.model_copy(update={"cover": Cover(approval_id="a-all", last=0)})
        with writing_alone(engine) as tx:
            tx.execute(COMPARISONS.update().values(body=short.model_dump_json()))
    status = {Event.REST: "COMPLETED", Event.HOLD: "FAILED"}.get(event)
    result = result_of_run("r1", status) if status else None
    plans.record(COMPARISON_ID, told(event, result=result), at=LATER)
    assert lease_in(engine) is None


def test_a_series_that_goes_on_keeps_the_lane_for_its_next_run(
    plans: Plans, engine: sa.Engine
) -> None:
    starting(plans)
    enter(engine, BACKEND, entry_of("r1"))
    plans.record(COMPARISON_ID, told(Event.BEGIN), at=NOON)
    plans.record(COMPARISON_ID, told(Event.ADVANCE, result=result_of_run("r1")), at=LATER)
    assert lease_in(engine) == NOON + LEASE
    with pytest.raises(Conflict):
        enter(engine, BACKEND, entry_of("r9", "other", at=LATER, idle_at=LATER))
    following = entry_of("r2", at=LATER, idle_at=NOON).model_copy(update={"after": "r1"})
    enter(engine, BACKEND, following)


def test_an_intent_and_the_lane_are_recorded_together_or_not_at_all(
    plans: Plans, engine: sa.Engine
) -> None:
    plans.add(running())
    prepared = plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)

    def intend(tx: Transaction, approval_id: str) -> None:
        enter_lane(tx, BACKEND, entry_of("r1"))
        intent = told(Event.INTEND, approval_id=approval_id, on_cover=True)
        note_of_run(tx, intent, at=NOON)

    with pytest.raises(Conflict), writing_alone(engine) as tx:
        intend(tx, "a-other")
    assert (plans.get(COMPARISON_ID), lane_in(engine)) == (prepared, None)
    with writing_alone(engine) as tx:
        intend(tx, "a-all")
        found = with_run(tx, "r1")
    assert found is not None
    assert found.is_under_way
    assert lease_in(engine) == NOON + LEASE


def test_a_kill_before_the_end_of_the_transaction_leaves_no_intent(
    plans: Plans, engine: sa.Engine, other_engine: sa.Engine
) -> None:
    plans.add(running())
    prepared = plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    with writing_alone(other_engine) as tx:
        enter_lane(tx, BACKEND, entry_of("r1"))
        note_of_run(tx, told(Event.INTEND, approval_id="a-all", on_cover=True), at=NOON)
        # Nobody else sees it yet, and a rollback is all that is left of a killed process.
        assert plans.get(COMPARISON_ID) == prepared
        tx.rollback()
    assert (plans.get(COMPARISON_ID), lane_in(engine)) == (prepared, None)
