"""What the page of one approval is about, read from the record in one go. Blocks."""

from datetime import datetime, timedelta

from benchgate.domain.approvals import Approval, Channel
from benchgate.domain.values import Value
from benchgate.gate.approvals.counter import Counter
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.approvals.record import Record


class Look(Value):
    """One approval, and what else waits for the person."""

    approval: Approval
    others: tuple[Approval, ...]
    closed: tuple[Approval, ...]
    can_reopen: bool
    asks_for_pin: bool
    at: datetime
    until: datetime
    yes_lasts: timedelta


def look_at(record: Record, pin: Pin, approval_id: str, *, at: datetime) -> Look:
    """How *approval_id* stands at that time.

    Raises:
        NotFound: there is no such question.
    """
    counter = Counter(record, pin, Channel.PAGE)
    waiting = counter.waiting(at=at)  # this expires what is overdue, so it comes first
    approval = record.get(approval_id)
    closed = counter.closed(at=at)
    return Look(
        approval=approval,
        others=tuple(one for one in waiting if one.approval_id != approval_id),
        closed=tuple(one for one in closed if one.approval_id != approval_id),
        can_reopen=approval_id in {one.approval_id for one in closed},
        asks_for_pin=counter.asks_for_pin,
        at=at,
        until=approval.expires_at(record.lifetimes),
        yes_lasts=record.lifetimes.answer,
    )
