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
from benchgate.domain.happenings import Happening
from benchgate.domain.lane import DOUBT, LEASE, LOOK_AGE_MAX, Lane
from benchgate.errors import Conflict
from benchgate.gate.comparisons.plans import (
    DRIVER_LEASE,
    Plans,
    Transaction,
    doubt_start,
    enter_again,
    enter_lane,
    keep_lane,
    leave_lease,
    note_of_run,
    occupant,
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
REPEATED = told(Event.REPEAT, approval_id="a-all", on_cover=True)


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


def test_a_start_that_was_intended_comes_into_the_lane_again_when_its_lease_has_ended(
    plans: Plans, engine: sa.Engine
) -> None:
    intended = starting(plans)
    enter(engine, BACKEND, entry_of("r1", "killed"))
    end = NOON + LEASE
    early = entry_of("r1", "other", at=end - TICK, idle_at=LATER)
    with pytest.raises(Conflict, match=r"still be on its way\. Try again in 1 seconds"):
        enter_again(engine, BACKEND, early, REPEATED)
    assert plans.get(COMPARISON_ID) == intended
    enter_again(engine, BACKEND, entry_of("r1", "other", at=end, idle_at=LATER), REPEATED)
    assert plans.get(COMPARISON_ID) == intended.model_copy(update={"updated_at": end})
    lane = lane_in(engine)
    assert lane == Lane(run_id="r1", owner="other", entered_at=end, until=end + LEASE)


@pytest.mark.parametrize(
    ("event", "intent"),
    [
        (None, REPEATED.model_copy(update={"approval_id": "a-other"})),
        (Event.HOLD, REPEATED),
        (Event.STOP, REPEATED),
        (Event.LOSE, REPEATED),
        (Event.BEGIN, REPEATED),
    ],
    ids=["another yes", "held", "stopped", "lost", "begun"],
)
def test_what_is_not_intended_any_more_leaves_the_lane_as_it_is(
    plans: Plans, engine: sa.Engine, event: ComparisonEvent | None, intent: Happening
) -> None:
    present = starting(plans)
    enter(engine, BACKEND, entry_of("r1", "killed"))
    if event is not None:
        present = plans.record(COMPARISON_ID, told(event, reason="So."), at=LATER)
    before, end = lane_in(engine), NOON + LEASE
    with pytest.raises(Conflict):
        enter_again(engine, BACKEND, entry_of("r1", "other", at=end, idle_at=LATER), intent)
    assert (plans.get(COMPARISON_ID), lane_in(engine)) == (present, before)


def test_a_run_that_another_one_has_replaced_is_not_started_again(
    plans: Plans, engine: sa.Engine
) -> None:
    starting(plans)
    plans.record(COMPARISON_ID, told(Event.HOLD), at=NOON)
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    present = plans.record(COMPARISON_ID, anew, at=NOON)
    with pytest.raises(Conflict, match="not this run's turn"):
        enter_again(engine, BACKEND, entry_of("r1"), REPEATED)
    assert (plans.get(COMPARISON_ID), lane_in(engine)) == (present, None)


def test_a_start_in_doubt_keeps_everybody_out_even_who_sent_it(
    plans: Plans, engine: sa.Engine
) -> None:
    starting(plans)
    enter(engine, BACKEND, entry_of("r1"))
    with writing_alone(engine) as tx:
        doubt_start(tx, "r1", at=NOON)
        note_of_run(tx, told(Event.LOSE, reason="Not known."), at=NOON)
    end = NOON + DOUBT
    assert lane_in(engine) == Lane(run_id="r1", owner="", entered_at=NOON, until=end)
    assert not keep_lane(engine, "r1", "me", at=LATER)
    assert plans.is_being_started("r1", at=end - TICK)
    for run_id, message in (("r1", "Try again in 60 seconds"), ("r2", "Run r1 is being started")):
        with pytest.raises(Conflict, match=message):
            enter(engine, BACKEND, entry_of(run_id, at=NOON, idle_at=NOON))
    assert not plans.is_being_started("r1", at=end)
    enter(engine, BACKEND, entry_of("r2", at=end, idle_at=LATER + LEASE * 4))


def test_a_look_that_is_too_old_is_told_as_that(engine: sa.Engine) -> None:
    now = NOON + LOOK_AGE_MAX + TICK
    stale = entry_of("r1", at=now, idle_at=NOON)
    with pytest.raises(Conflict, match="too long ago that this server looked"):
        enter(engine, BACKEND, stale)
    assert lane_in(engine) is None
    enter(engine, BACKEND, entry_of("r1", at=now, idle_at=now))
    with pytest.raises(Conflict, match="too long ago that this server looked"):
        enter(engine, BACKEND, entry_of("r2", at=now, idle_at=NOON))


def test_the_run_that_came_in_last_is_known_whether_or_not_it_has_ended(
    engine: sa.Engine,
) -> None:
    assert occupant(engine, BACKEND) is None
    enter(engine, BACKEND, entry_of("r1"))
    assert (occupant(engine, BACKEND), occupant(engine, "backend-2")) == ("r1", None)
    with writing_alone(engine) as tx:
        leave_lease(tx, "r1")
    assert occupant(engine, BACKEND) == "r1"
