"""Watches a run or a comparison for a bounded time and tells when there is something to tell.

Knows nothing of tools or texts: snapshots come from a feed, and go to a listener.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from benchgate.domain.approvals import Approval, ApprovalState
from benchgate.domain.comparisons import ComparisonState
from benchgate.domain.runs import RunSnapshot, is_active
from benchgate.gate.comparisons.service import View

POLL_INTERVAL_SECONDS = 1
ANSWER_INTERVAL_SECONDS = 0.5
# The backend's own limit for a request ends the look before, with the reason.
FIRST_LOOK_SECONDS_MAX = 25
WAIT_SECONDS_MAX = 25
LATE_SECONDS_MAX = 1.5

Listen = Callable[[RunSnapshot], Awaitable[None]]


class Feed(Protocol):
    """What is known of one run, as it becomes known."""

    async def first(self, *, seconds_max: float) -> RunSnapshot:
        """What is known now.

        Raises:
            BenchgateError: it cannot be read.
        """
        ...

    async def newer(self, than: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What is known as soon as more is known than *than*, or after *seconds_max*.

        Raises:
            BenchgateError: nothing could be read when the time was over.
        """
        ...


async def watch(feed: Feed, listen: Listen, *, wait_seconds: float) -> RunSnapshot:
    """The newest snapshot after at most *wait_seconds*, earlier if the run needs attention.

    A status that nobody knows is news when it comes; one that is there from the first look is
    waited out like any other, so that a caller who asks again does not ask in a circle.
    A backend that is gone for a moment is asked again until the wait is over.

    Raises:
        BackendUnavailable: it could not be reached at the first look, or at the last.
    """
    deadline = anyio.current_time() + min(wait_seconds, WAIT_SECONDS_MAX)
    first = snapshot = await feed.first(seconds_max=FIRST_LOOK_SECONDS_MAX)
    while True:
        left_seconds = deadline - anyio.current_time()
        is_news = not snapshot.is_known and snapshot.status != first.status
        if left_seconds <= 0 or is_news or _is_last_word(snapshot):
            return snapshot
        await listen(snapshot)
        newest = await feed.newer(snapshot, seconds_max=left_seconds)
        if newest is snapshot:
            # Nothing more comes in time.
            return snapshot
        snapshot = newest


def _is_last_word(snapshot: RunSnapshot) -> bool:
    """Whether waiting brings nothing more: figures of an end may come after it."""
    if snapshot.is_terminal:
        return snapshot.is_settled
    return not is_active(snapshot.status)


async def watch_comparison(
    look: Callable[[], Awaitable[View]],
    listen: Callable[[View], Awaitable[None]],
    *,
    wait_seconds: float,
) -> View:
    """How a comparison stands after at most *wait_seconds*, earlier if it has moved on or rests.

    What waits for a person's answer is no news that could be waited for here.
    """
    deadline = anyio.current_time() + min(wait_seconds, WAIT_SECONDS_MAX)
    first = view = await look()
    while True:
        left_seconds = deadline - anyio.current_time()
        has_moved = _place(view) != _place(first)
        if left_seconds <= 0 or has_moved or not _is_moving(view):
            return view
        await listen(view)
        await anyio.sleep(min(POLL_INTERVAL_SECONDS, left_seconds))
        # A look that takes long must not outlast the caller's patience: then the last one is told.
        with anyio.move_on_after(deadline + LATE_SECONDS_MAX - anyio.current_time()):
            view = await look()


async def until_answered(
    read: Callable[[], Awaitable[Approval | None]], *, wait_seconds: float
) -> Approval | None:
    """The newest question about a run after at most *wait_seconds*, earlier if it is answered."""
    deadline = anyio.current_time() + min(wait_seconds, WAIT_SECONDS_MAX)
    while True:
        approval = await read()
        left_seconds = deadline - anyio.current_time()
        if approval is None or approval.state is not ApprovalState.ASKED or left_seconds <= 0:
            return approval
        await anyio.sleep(min(ANSWER_INTERVAL_SECONDS, left_seconds))


def next_look_seconds(view: View, approval: ApprovalState | None) -> int | None:
    """How long the next wait for a comparison should be; None where waiting brings nothing."""
    return WAIT_SECONDS_MAX if approval is ApprovalState.ASKED or _is_moving(view) else None


def _place(view: View) -> tuple[int, bool]:
    return view.comparison.position, view.comparison.is_under_way


def _is_moving(view: View) -> bool:
    comparison = view.comparison
    return comparison.state is ComparisonState.RUNNING or comparison.is_under_way


def next_check_seconds(snapshot: RunSnapshot, approval: ApprovalState | None = None) -> int | None:
    """How long the next wait should be; None where waiting brings nothing.

    It is the longest one, because a wait is over by itself as soon as the run is: when that will
    be is known to a backend only roughly, and a short wait for it would be one call more.
    """
    is_open = approval is ApprovalState.ASKED or is_active(snapshot.status)
    return WAIT_SECONDS_MAX if is_open else None
