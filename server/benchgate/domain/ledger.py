"""The chain of everything that happened to questions, and what its hashes prove.

Each entry carries the hash of the one before it, so that an entry that was changed, removed or
put in between breaks the chain at its place. Whoever can rewrite the whole record can also forge
a whole new chain, or cut its end off: that shows only against a head that was kept elsewhere,
which is why one travels with every hand-over.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import Field, ValidationError

from benchgate.domain.approvals import (
    ApprovalEvent,
    ApprovalState,
    Asked,
    Channel,
    ExecutionMode,
    Subject,
)
from benchgate.domain.text import digest_of
from benchgate.domain.values import Value

GENESIS = "0" * 64
HEAD_PATTERN = r"^[1-9][0-9]{0,11}:[0-9a-f]{64}$"


class Moment(StrEnum):
    """What is written down besides the events that move a question."""

    ASK = "ask"  # a question was recorded, before it went out
    JOIN = "join"  # the same question was put again to a client
    WITHDRAW = "withdraw"  # a dialog was taken away unanswered: its time or its call was over
    REOPEN = "reopen"  # a person opened a closed question again
    CODE = "code"  # a one-time code was given out for the chat
    COVER = "cover"  # a run of a comparison is to start on the yes to the whole
    SETTLE = "settle"  # what became of the start is known
    NOBODY = "nobody"  # there was no channel by which a person could have been asked
    STRAY = "stray"  # an answer came to a question that took none
    WRONG_PIN = "wrong_pin"
    PIN_SET = "pin_set"
    PIN_REMOVED = "pin_removed"


# The events by which a person answers, and those that leave a question without an answer.
ANSWERS = frozenset({ApprovalEvent.APPROVE, ApprovalEvent.DECLINE, ApprovalEvent.MODIFY})
ENDS = frozenset(
    {ApprovalEvent.CANCEL, ApprovalEvent.DOUBT, ApprovalEvent.EXPIRE, ApprovalEvent.SUPERSEDE}
)


class Entry(Value):
    """One line of the ledger; what does not apply to it is None."""

    seq: int = Field(ge=1)
    at: datetime
    event: ApprovalEvent | Moment
    approval_id: str | None = None
    subject: Subject | None = None
    name: str | None = None
    state: ApprovalState | None = None
    channel: Channel | None = None
    asked: Asked | None = None
    digest: str | None = None
    question_digest: str | None = None
    note: str | None = None
    mode: ExecutionMode | None = None
    result: str | None = None
    previous: str


class Link(Value):
    """An entry as it is stored: its canonical text, and the hash of that."""

    seq: int
    body: str
    hash: str

    @property
    def head(self) -> str:
        """This link as the head of the chain, to be kept elsewhere."""
        return f"{self.seq}:{self.hash}"

    @property
    def entry(self) -> Entry:
        """What it says."""
        return Entry.model_validate_json(self.body)


class Break(Value):
    """The first place where the record is not what it was."""

    seq: int
    reason: str


def sealed(entry: Entry) -> Link:
    """*entry* as it is stored."""
    facts = entry.model_dump(mode="json", exclude_none=True)
    body = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Link(seq=entry.seq, body=body, hash=digest_of(body))


def first_break(links: Iterable[Link], *, head: str | None = None) -> Break | None:
    """The first broken entry of the chain *links*, in order; None when it is whole.

    Args:
        links: everything that is stored, by number.
        head: the head of the chain at some earlier time, which must still be in it.
    """
    previous, seq = GENESIS, 0
    known_seq, _, known_hash = (head or "0:").partition(":")
    for link in links:
        seq += 1
        if reason := _flaw(link, seq=seq, previous=previous):
            return Break(seq=seq, reason=reason)
        if seq == int(known_seq) and link.hash != known_hash:
            return Break(seq=seq, reason="it is not the entry that the given head names")
        previous = link.hash
    if seq < int(known_seq):
        return Break(seq=seq + 1, reason="it is missing: the given head is of a longer chain")
    return None


class Stored(Value):
    """What both the record and the ledger have of a question, to hold one against the other.

    `channel`, `note` and `mode` are those of a person's answer, where one counts.
    """

    state: str
    question_digest: str | None = None
    digest: str | None = None
    channel: str | None = None
    note: str | None = None
    mode: str | None = None


def drift(links: Sequence[Link], stored: Mapping[str, Stored]) -> tuple[str, ...]:
    """The approvals that are not stored as the ledger tells of them.

    Args:
        links: the whole chain, unbroken.
        stored: each approval as it is stored, by id; its digests are those of what stands there.
    """
    told: dict[str, Stored] = {}
    for entry in (link.entry for link in links):
        if entry.approval_id is not None:
            before = told.get(entry.approval_id, Stored(state=""))
            told[entry.approval_id] = before.model_copy(update=_told_by(entry))
    missing = told.keys() - stored.keys()
    changed = {name for name, one in stored.items() if told.get(name) != one}
    return tuple(sorted(missing | changed))


def _told_by(entry: Entry) -> dict[str, str | None]:
    """What *entry* tells anew of its question."""
    news = {
        "state": entry.state and entry.state.value,
        "question_digest": entry.question_digest,
        "digest": entry.digest,
    }
    told = {name: value for name, value in news.items() if value is not None}
    if entry.event in ANSWERS:
        channel = entry.channel.value if entry.channel else None
        mode = entry.mode.value if entry.mode else None
        return told | {"channel": channel, "note": entry.note, "mode": mode}
    # What ended without a person's answer has none.
    return told | ({"channel": None, "note": None, "mode": None} if entry.event in ENDS else {})


def _flaw(link: Link, *, seq: int, previous: str) -> str | None:
    if link.seq != seq:
        return f"it is missing: the next one is number {link.seq}"
    if link.hash != digest_of(link.body):
        return "its text is not the one that was written"
    try:
        entry = link.entry
    except ValidationError:
        return "its text cannot be read"
    if entry.seq != seq:
        return "its text belongs to another number"
    if entry.previous != previous:
        return "it does not follow the entry before it"
    return None
