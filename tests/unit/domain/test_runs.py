"""Runs move only along their table, and a snapshot tells no more than is known."""

import itertools

import pytest

from benchgate.domain.runs import (
    ACTIVE,
    TERMINAL,
    TRANSITIONS,
    RunEvent,
    RunSnapshot,
    RunStatus,
    is_active,
    is_terminal,
    next_status,
)
from benchgate.errors import Conflict


@pytest.mark.parametrize(("status", "event"), list(itertools.product(RunStatus, RunEvent)))
def test_a_run_moves_only_along_the_table(status: RunStatus, event: RunEvent) -> None:
    allowed = TRANSITIONS[status]
    if event in allowed:
        assert next_status(status, event) is allowed[event]
        return
    before = {key: dict(moves) for key, moves in TRANSITIONS.items()}
    with pytest.raises(Conflict, match=f"A run that is {status} cannot {event}"):
        next_status(status, event)
    assert before == TRANSITIONS


@pytest.mark.parametrize("status", RunStatus)
def test_every_status_is_prepared_active_or_an_end_and_only_one_of_them(status: RunStatus) -> None:
    claims = [status is RunStatus.PREPARED, status in ACTIVE, status in TERMINAL]
    assert claims.count(True) == 1


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_leaves_an_end(status: RunStatus) -> None:
    assert TRANSITIONS[status] == {}


@pytest.mark.parametrize("status", sorted({*RunStatus} - TERMINAL))
def test_whatever_has_not_ended_can_be_stopped(status: RunStatus) -> None:
    assert next_status(status, RunEvent.STOP) in {RunStatus.CANCELLING, RunStatus.CANCELLED}


def test_every_status_is_reachable_from_prepared() -> None:
    reached, new = {RunStatus.PREPARED}, {RunStatus.PREPARED}
    while new:
        new = {after for status in new for after in TRANSITIONS[status].values()} - reached
        reached |= new
    assert reached == {*RunStatus}


def test_only_a_start_leads_from_prepared_into_load() -> None:
    into_load = [event for event, to in TRANSITIONS[RunStatus.PREPARED].items() if to in ACTIVE]
    assert into_load == [RunEvent.START]


@pytest.mark.parametrize("status", RunStatus)
def test_a_known_status_is_active_as_the_table_says(status: RunStatus) -> None:
    assert is_active(status) is (status in ACTIVE)
    assert is_terminal(status) is (status in TERMINAL)


@pytest.mark.parametrize("status", ["PROCESSING", "", "completed", "CANCELED"])
def test_a_status_that_nobody_knows_counts_as_active(status: str) -> None:
    snapshot = RunSnapshot(run_id="r", status=status)
    assert is_active(status)
    assert not snapshot.is_terminal
    assert not snapshot.is_known


@pytest.mark.parametrize(
    ("elapsed", "expected", "shown"),
    [
        (150, 300, 50.0),
        (0, 300, 0.0),
        (400, 300, 100.0),
        (100, 3, 100.0),
        (10, None, None),
        (10, 0, None),
    ],
)
def test_progress_is_a_share_of_the_expected_time_and_never_more_than_all_of_it(
    elapsed: float, expected: float | None, shown: float | None
) -> None:
    snapshot = RunSnapshot(
        run_id="r", status="RUNNING", elapsed_seconds=elapsed, expected_seconds=expected
    )
    assert snapshot.is_known
    assert snapshot.progress_pct == shown
