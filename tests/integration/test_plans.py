"""Comparisons as they are recorded on each database: each in one hand at a time."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from benchgate.database import writing_alone
from benchgate.domain.approvals import Approval, ApprovalState, ExecutionMode
from benchgate.domain.comparisons import (
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Cover,
    StepState,
)
from benchgate.domain.happenings import Happening
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.comparisons.plans import (
    DRIVEN_MAX,
    DRIVER_LEASE,
    Claim,
    Plans,
    choose,
    note_of_run,
)
from benchgate.gate.store import COMPARISONS
from tests.integration.planned import BACKEND, LATER, raced, running, starting
from tests.unit.comparing import COMPARISON_ID, at_step, comparison_of, result_of_run, told
from tests.unit.examples import NOON, approval_of, comparison_facts_of

State = ComparisonState
Event = ComparisonEvent
TICK = timedelta(microseconds=1)
RACERS = 6
RACES = 5


@pytest.fixture
def plans(engine: sa.Engine) -> Plans:
    return Plans(engine, BACKEND)


def used(**changes: object) -> Approval:
    """A yes to the comparison, taken."""
    facts = comparison_facts_of()
    about = {"state": ApprovalState.USED, "mode": ExecutionMode.SEQUENTIAL}
    return approval_of(facts, **about | changes)


def test_a_comparison_is_read_as_it_was_written(plans: Plans, other_engine: sa.Engine) -> None:
    comparison = comparison_of(tests=3, repeats=2)
    plans.add(comparison)
    assert plans.get(COMPARISON_ID) == comparison
    assert Plans(other_engine, BACKEND).get(COMPARISON_ID) == comparison


def test_a_comparison_is_found_on_its_own_backend_alone(plans: Plans, engine: sa.Engine) -> None:
    plans.add(running())
    elsewhere = Plans(engine, "backend-2")
    with pytest.raises(NotFound, match=COMPARISON_ID):
        elsewhere.get(COMPARISON_ID)
    with pytest.raises(NotFound):
        elsewhere.record(COMPARISON_ID, told(Event.STOP), at=NOON)
    with pytest.raises(NotFound):
        elsewhere.claim(COMPARISON_ID, "me", at=NOON)
    assert elsewhere.to_drive("me", at=NOON) == []


def test_what_nobody_can_read_is_told_and_does_not_pass(plans: Plans, engine: sa.Engine) -> None:
    plans.add(running())
    with writing_alone(engine) as tx:
        tx.execute(COMPARISONS.update().values(body="{}"))
    with pytest.raises(StoreError, match=f"recorded of {COMPARISON_ID} cannot be read"):
        plans.get(COMPARISON_ID)


def test_what_happens_is_written_down(plans: Plans) -> None:
    plans.add(comparison_of())
    asked = plans.record(COMPARISON_ID, Happening(event=Event.ASK), at=LATER)
    assert (asked.state, asked.updated_at) == (State.AWAITING_CHOICE, LATER)
    assert plans.get(COMPARISON_ID) == asked


def test_what_cannot_happen_leaves_nothing_behind(plans: Plans) -> None:
    comparison = comparison_of()
    plans.add(comparison)
    with pytest.raises(Conflict):
        plans.record(COMPARISON_ID, told(Event.PREPARE), at=LATER)
    assert plans.get(COMPARISON_ID) == comparison
    assert plans.with_run("r1") is None


def test_a_run_is_known_by_its_comparison_once_it_is_prepared(plans: Plans) -> None:
    plans.add(running())
    assert plans.with_run("r1") is None
    prepared = plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    assert plans.with_run("r1") == prepared
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    again = plans.record(COMPARISON_ID, anew, at=NOON)
    assert plans.with_run("r1") == plans.with_run("r2") == again


def test_a_run_belongs_to_one_comparison(plans: Plans) -> None:
    plans.add(running("cmp-1"))
    plans.add(running("cmp-2"))
    plans.record("cmp-1", told(Event.PREPARE), at=NOON)
    with pytest.raises(StoreError):
        plans.record("cmp-2", told(Event.PREPARE), at=NOON)
    assert plans.get("cmp-2") == running("cmp-2")


def test_a_comparison_is_in_one_hand_at_a_time(plans: Plans) -> None:
    plans.add(running())
    assert plans.claim(COMPARISON_ID, "me", at=NOON) == Claim(granted=True)
    assert plans.claim(COMPARISON_ID, "other", at=LATER) == Claim(granted=False)
    mine = plans.claim(COMPARISON_ID, "me", at=LATER)
    assert mine == Claim(granted=True, rested_since=NOON + DRIVER_LEASE)


def test_a_lease_that_is_not_renewed_is_taken_over(plans: Plans) -> None:
    plans.add(running())
    plans.claim(COMPARISON_ID, "me", at=NOON)
    end = NOON + DRIVER_LEASE
    assert not plans.claim(COMPARISON_ID, "other", at=end - TICK).granted
    assert plans.claim(COMPARISON_ID, "other", at=end) == Claim(granted=True, rested_since=end)
    assert not plans.claim(COMPARISON_ID, "me", at=end).granted


def test_what_is_let_go_of_is_free_at_once(plans: Plans) -> None:
    for number in (1, 2, 3):
        plans.add(running(f"cmp-{number}"))
        plans.claim(f"cmp-{number}", "me" if number < 3 else "other", at=NOON)
    plans.release("me", at=LATER)
    for number in (1, 2):
        found = plans.claim(f"cmp-{number}", "third", at=LATER)
        assert found == Claim(granted=True, rested_since=LATER)
    assert not plans.claim("cmp-3", "third", at=LATER).granted


def test_a_driver_writes_only_while_it_drives(plans: Plans) -> None:
    plans.add(running())
    prepare = told(Event.PREPARE)
    with pytest.raises(Conflict, match="Another process drives"):
        plans.record(COMPARISON_ID, prepare, at=NOON, driver="me")
    plans.claim(COMPARISON_ID, "me", at=NOON)
    for driver, at in (("other", LATER), ("me", NOON + DRIVER_LEASE)):
        with pytest.raises(Conflict, match="Another process drives"):
            plans.record(COMPARISON_ID, prepare, at=at, driver=driver)
    assert plans.get(COMPARISON_ID) == running()
    assert plans.record(COMPARISON_ID, prepare, at=LATER, driver="me").step


def test_who_was_held_up_finds_that_another_has_gone_on(plans: Plans) -> None:
    plans.add(running())
    plans.claim(COMPARISON_ID, "me", at=NOON)
    taken_over = NOON + DRIVER_LEASE
    plans.claim(COMPARISON_ID, "other", at=taken_over)
    with pytest.raises(Conflict, match="Another process drives"):
        plans.record(COMPARISON_ID, told(Event.PREPARE), at=taken_over, driver="me")
    plans.record(COMPARISON_ID, told(Event.PREPARE, run_id="r2"), at=taken_over, driver="other")
    step = plans.get(COMPARISON_ID).step
    assert step is not None
    assert step.run_id == "r2"


def test_what_is_to_be_driven_is_what_runs_and_is_in_nobody_elses_hand(plans: Plans) -> None:
    for state in ComparisonState:
        plans.add(running(f"cmp-{state}", state=state))
    plans.add(running("cmp-mine"))
    plans.add(running("cmp-others"))
    plans.claim("cmp-mine", "me", at=NOON)
    plans.claim("cmp-others", "other", at=NOON)
    free, lapsed = {"cmp-running", "cmp-mine"}, NOON + DRIVER_LEASE
    assert set(plans.to_drive("me", at=NOON)) == free
    assert set(plans.to_drive("me", at=lapsed - TICK)) == free
    assert set(plans.to_drive("me", at=lapsed)) == free | {"cmp-others"}


def test_not_more_is_driven_at_once_than_can_be(plans: Plans) -> None:
    for number in range(DRIVEN_MAX + 1):
        plans.add(running(f"cmp-{number}"))
    assert len(plans.to_drive("me", at=NOON)) == DRIVEN_MAX


def test_of_several_processes_that_claim_at_once_exactly_one_drives(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    both = [Plans(engine, BACKEND), Plans(other_engine, BACKEND)]
    for race in range(RACES):
        comparison_id = f"cmp-{race}"
        both[0].add(running(comparison_id))

        def claim(number: int, comparison_id: str = comparison_id) -> Callable[[], bool]:
            plans = both[number % 2]
            return lambda: plans.claim(comparison_id, f"p{number}", at=NOON).granted

        assert raced(*(claim(number) for number in range(RACERS))).count(True) == 1


def test_of_several_that_prepare_the_same_test_at_once_one_counts(
    engine: sa.Engine, other_engine: sa.Engine
) -> None:
    both = [Plans(engine, BACKEND), Plans(other_engine, BACKEND)]
    both[0].add(running())

    def prepare(number: int) -> Callable[[], Comparison]:
        happening = told(Event.PREPARE, run_id=f"r{number}")
        return lambda: both[number % 2].record(COMPARISON_ID, happening, at=NOON)

    found = raced(*(prepare(number) for number in range(RACERS)))
    assert found.count("conflict") == RACERS - 1
    step = both[1].get(COMPARISON_ID).step
    assert step is not None
    assert step.earlier_run_ids == ()


def test_a_taken_yes_to_the_whole_sets_its_comparison_going(
    plans: Plans, engine: sa.Engine
) -> None:
    plans.add(comparison_of(state=State.AWAITING_CHOICE))
    with writing_alone(engine) as tx:
        choose(tx, used(), at=LATER)
    chosen = plans.get(COMPARISON_ID)
    assert (chosen.state, chosen.mode) == (State.RUNNING, ExecutionMode.SEQUENTIAL)
    assert chosen.cover == Cover(approval_id="a1", last=2)
    assert plans.to_drive("me", at=LATER) == [COMPARISON_ID]


def test_a_yes_without_a_mode_is_one_to_the_next_test_alone(
    plans: Plans, engine: sa.Engine
) -> None:
    plans.add(comparison_of(state=State.AWAITING_CHOICE))
    with writing_alone(engine) as tx:
        choose(tx, used(mode=None), at=LATER)
    chosen = plans.get(COMPARISON_ID)
    assert (chosen.mode, chosen.cover) == (
        ExecutionMode.PAUSE,
        Cover(approval_id="a1", last=0),
    )


def test_a_yes_keeps_each_listed_test_as_it_was_shown(plans: Plans, engine: sa.Engine) -> None:
    shown, outdated = comparison_of().tests, {"template_name": "Old name", "expected_seconds": 1}
    old = tuple(test.model_copy(update=outdated) for test in shown)
    asked = comparison_of(state=State.AWAITING_CHOICE)
    plans.add(asked.model_copy(update={"tests": old}))
    with writing_alone(engine) as tx:
        choose(tx, used(), at=LATER)
    # The third test was not in the list.
    assert plans.get(COMPARISON_ID).tests == (*shown[:2], old[2])


def test_a_yes_to_what_takes_none_is_not_taken(plans: Plans, engine: sa.Engine) -> None:
    with writing_alone(engine) as tx, pytest.raises(Conflict, match="does not exist"):
        choose(tx, used(), at=LATER)
    plans.add(running())
    with writing_alone(engine) as tx, pytest.raises(Conflict, match="cannot choose"):
        choose(tx, used(), at=LATER)
    assert plans.get(COMPARISON_ID) == running()


def noting(engine: sa.Engine, happening: Happening) -> None:
    with writing_alone(engine) as tx:
        note_of_run(tx, happening, at=LATER)


def test_what_is_told_of_a_run_is_told_to_the_comparison_whose_turn_it_is(
    plans: Plans, engine: sa.Engine
) -> None:
    starting(plans)
    noting(engine, told(Event.BEGIN))
    step = plans.get(COMPARISON_ID).step
    assert step is not None
    assert step.state is StepState.ACTIVE


def test_what_is_told_of_another_run_changes_nothing(plans: Plans, engine: sa.Engine) -> None:
    starting(plans)
    held = plans.record(COMPARISON_ID, told(Event.HOLD), at=NOON)
    noting(engine, told(Event.BEGIN, run_id="r-of-nobody"))
    assert plans.get(COMPARISON_ID) == held
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    after = plans.record(COMPARISON_ID, anew, at=NOON)
    noting(engine, told(Event.BEGIN))
    assert plans.get(COMPARISON_ID) == after


def test_a_run_whose_turn_is_over_is_not_to_start(plans: Plans, engine: sa.Engine) -> None:
    plans.add(running())
    plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    anew = told(Event.PREPARE, run_id="r2", replaces="r1")
    after = plans.record(COMPARISON_ID, anew, at=NOON)
    with pytest.raises(Conflict, match="not this run's turn"):
        noting(engine, told(Event.INTEND, approval_id="a-own"))
    assert plans.get(COMPARISON_ID) == after


def test_nothing_is_told_to_a_comparison_that_has_completed(
    plans: Plans, engine: sa.Engine
) -> None:
    last = at_step(State.RUNNING, StepState.PENDING, position=2)
    plans.add(last)
    plans.record(COMPARISON_ID, told(Event.PREPARE), at=NOON)
    cover = Cover(approval_id="a-all", last=2)
    body = plans.get(COMPARISON_ID).model_copy(update={"cover": cover}).model_dump_json()
    with writing_alone(engine) as tx:
        tx.execute(COMPARISONS.update().values(body=body))
    plans.record(COMPARISON_ID, told(Event.INTEND, approval_id="a-all", on_cover=True), at=NOON)
    done = plans.record(COMPARISON_ID, told(Event.FINISH, result=result_of_run("r1")), at=NOON)
    noting(engine, told(Event.BEGIN))
    assert plans.get(COMPARISON_ID) == done
