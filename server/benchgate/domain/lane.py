"""The one lane of a backend: which run is in it, and who may bring another one in.

Tests on one backend run one at a time, whichever process starts them. A run is in the lane from
the moment before its start. The lease says that its starter is still at it; the end of the lease,
or of the run, frees the lane, and nobody's clean-up is needed.
"""

from datetime import datetime, timedelta

from benchgate.domain.values import Value

# Renewed while a start is on its way; long enough for a stall, short enough for whoever follows.
LEASE = timedelta(seconds=10)
# Between coming in and sending; what is left of the lease is renewed before it ends.
SENDING_MAX = LEASE / 2
# A start whose answer was lost may still be on its way for so long, to a backend that is slow.
DOUBT = timedelta(seconds=60)
# A look at the backend that is older than this says nothing about now; it may itself take 25 s.
LOOK_AGE_MAX = timedelta(seconds=30)


class Lane(Value):
    """What is in the lane: `until` is the lease, None once the start is known to have happened."""

    run_id: str
    owner: str
    entered_at: datetime
    until: datetime | None


class Entry(Value):
    """A run that somebody wants to bring in.

    `idle_at` is when the backend said that nothing is active; `after` is the run before it in the
    same comparison, which is known to have ended.
    """

    run_id: str
    owner: str
    at: datetime
    idle_at: datetime
    after: str | None = None


def may_enter(lane: Lane | None, entry: Entry) -> bool:
    """Whether *entry* may come in: what is in the lane is known not to be under way."""
    if is_stale(entry):
        return False
    if lane is None:
        return True
    is_leased = lane.until is not None and lane.until > entry.at
    if lane.run_id == entry.run_id:
        return lane.owner == entry.owner or not is_leased
    if lane.run_id == entry.after:
        return True
    # What came in after the look may have been started since.
    return not is_leased and lane.entered_at < entry.idle_at


def is_stale(entry: Entry) -> bool:
    """Whether what was seen before *entry* is too long ago."""
    return entry.at - entry.idle_at > LOOK_AGE_MAX


def entered(entry: Entry) -> Lane:
    """The lane with *entry* in it."""
    return Lane(run_id=entry.run_id, owner=entry.owner, entered_at=entry.at, until=entry.at + LEASE)
