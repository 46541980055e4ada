"""Who may bring a run into a backend's lane: nobody, while another may be under way in it."""

from datetime import datetime, timedelta

import pytest

from benchgate.domain.lane import (
    DOUBT,
    LEASE,
    LOOK_AGE_MAX,
    SENDING_MAX,
    Entry,
    Lane,
    entered,
    is_stale,
    may_enter,
)
from benchgate.gate.transport.wire import REQUEST_TIMEOUT_SECONDS
from tests.unit.examples import NOON

TICK = timedelta(microseconds=1)
ENDED = NOON + LEASE
BEFORE, LATER = NOON - TICK, NOON + TICK


def lane_of(*, until: datetime | None = ENDED, run_id: str = "r1", owner: str = "me") -> Lane:
    return Lane(run_id=run_id, owner=owner, entered_at=NOON, until=until)


def entry_of(
    run_id: str = "r2",
    owner: str = "me",
    *,
    at: datetime = LATER,
    idle_at: datetime = LATER,
    after: str | None = None,
) -> Entry:
    return Entry(run_id=run_id, owner=owner, at=at, idle_at=idle_at, after=after)


def test_an_empty_lane_lets_everybody_in() -> None:
    assert may_enter(None, entry_of(idle_at=BEFORE))


@pytest.mark.parametrize(
    ("owner", "until", "at", "expected"),
    [
        ("me", ENDED, LATER, True),
        ("me", ENDED, ENDED, True),
        ("me", None, LATER, True),
        ("other", ENDED, LATER, False),
        ("other", ENDED, ENDED - TICK, False),
        ("other", ENDED, ENDED, True),
        ("other", None, LATER, True),
    ],
)
def test_the_run_in_the_lane_is_its_starters_own_while_the_lease_lasts(
    owner: str, until: datetime | None, at: datetime, *, expected: bool
) -> None:
    # The look before it does not matter: what would have been seen is this very run.
    entry = entry_of("r1", owner, at=at, idle_at=BEFORE)
    assert may_enter(lane_of(until=until), entry) is expected


@pytest.mark.parametrize("owner", ["me", "other"])
@pytest.mark.parametrize(
    ("until", "at", "idle_at", "expected"),
    [
        # Leased: its start is on the way, whatever was seen.
        (ENDED, LATER, LATER, False),
        (ENDED, ENDED - TICK, ENDED - TICK, False),
        # The lease has run out: idle since it came in, so it is over or never began.
        (ENDED, ENDED, LATER, True),
        (ENDED, ENDED, NOON, False),
        (ENDED, ENDED, BEFORE, False),
        # It is known to have started: idle since then, so it has ended.
        (None, LATER, LATER, True),
        (None, LATER, NOON, False),
        (None, LATER, BEFORE, False),
    ],
)
def test_another_run_comes_in_once_the_lane_was_seen_idle_and_nobody_is_starting(
    owner: str, until: datetime | None, at: datetime, idle_at: datetime, *, expected: bool
) -> None:
    entry = entry_of("r2", owner, at=at, idle_at=idle_at)
    assert may_enter(lane_of(until=until), entry) is expected


@pytest.mark.parametrize(
    ("owner", "after", "expected"),
    [("me", "r1", True), ("other", "r1", True), ("me", "r0", False), ("other", None, False)],
)
@pytest.mark.parametrize("until", [ENDED, None])
def test_a_run_follows_at_once_on_the_one_before_it_whoever_started_that(
    owner: str, after: str | None, until: datetime | None, *, expected: bool
) -> None:
    entry = entry_of("r2", owner, idle_at=BEFORE, after=after)
    assert may_enter(lane_of(until=until), entry) is expected


@pytest.mark.parametrize("after", [None, "r1"])
@pytest.mark.parametrize("lane", [None, lane_of(until=None), lane_of(run_id="r2", until=None)])
def test_nobody_comes_in_on_a_look_that_is_too_long_ago(
    lane: Lane | None, after: str | None
) -> None:
    oldest = entry_of(at=LATER + LOOK_AGE_MAX, idle_at=LATER, after=after)
    too_old = oldest.model_copy(update={"at": oldest.at + TICK})
    assert (is_stale(oldest), is_stale(too_old)) == (False, True)
    assert may_enter(lane, oldest)
    assert not may_enter(lane, too_old)


def test_what_is_nobodys_start_keeps_everybody_out_for_as_long_as_it_is_leased() -> None:
    doubted = lane_of(owner="", until=NOON + DOUBT)
    for run_id in ("r1", "r2"):
        before, end = NOON + DOUBT - TICK, NOON + DOUBT
        assert not may_enter(doubted, entry_of(run_id, at=before, idle_at=before))
        assert may_enter(doubted, entry_of(run_id, at=end, idle_at=end))


def test_the_times_of_a_start_leave_room_for_each_other() -> None:
    # A lease is renewed after a third of it, and the first time is after the latest sending.
    assert SENDING_MAX + LEASE / 3 < LEASE
    # Nobody waits for the answer any more when the doubt about it ends.
    assert timedelta(seconds=REQUEST_TIMEOUT_SECONDS) < DOUBT


def test_who_enters_has_the_lane_for_one_lease() -> None:
    expected = Lane(run_id="r2", owner="me", entered_at=LATER, until=LATER + LEASE)
    assert entered(entry_of()) == expected
    assert not may_enter(expected, entry_of("r3", "other", at=LATER + LEASE - TICK))
