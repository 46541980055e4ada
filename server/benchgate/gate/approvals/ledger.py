"""The ledger's own table: appends links to the chain and reads them; changes and removes none."""

from collections.abc import Iterator

import sqlalchemy as sa
from pydantic import ValidationError

from benchgate.domain.approvals import NOT_STARTED, Approval, ApprovalEvent
from benchgate.domain.ledger import GENESIS, Entry, Link, Moment, sealed
from benchgate.errors import StoreError
from benchgate.gate.store import LEDGER

LINKS_PER_READ = 1_000
# Made once, because every change of the record executes them.
INSERT = LEDGER.insert()
NEWEST = sa.select(LEDGER).order_by(LEDGER.c.seq.desc()).limit(1)
# Ours begin with 1. One that somebody put before them is read too, and breaks the chain.
NUMBER_MIN = -(2**31)

HINT = "Somebody has changed the record: `benchgate audit --verify` says what is broken."

# The moments that tell of the start of a run.
STARTS = frozenset({Moment.COVER, Moment.SETTLE})
ABOUT_RUN_MAX = 50

# Of these, what was shown and to whom is written out; later entries refer to it by the id.
INTRODUCTIONS = frozenset({Moment.ASK, Moment.REOPEN, Moment.JOIN, Moment.NOBODY})


def append(connection: sa.Connection, entry: Entry) -> Link:
    """*entry* at the end of the chain, whatever number and predecessor it came with.

    The connection is one that writes alone; else two links could have one predecessor.
    """
    last = newest(connection)
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    link = sealed(entry.model_copy(update={"seq": seq, "previous": previous}))
    connection.execute(INSERT, link.model_dump())
    return link


def newest(connection: sa.Connection) -> Link | None:
    """The last link, if there is any."""
    row = connection.execute(NEWEST).mappings().first()
    return _link(row) if row else None


def latest(
    connection: sa.Connection, number: int, *, event: Moment | None = None
) -> Iterator[Link]:
    """The last *number* links, of *event* alone if it is given; the newest first."""
    statement = sa.select(LEDGER).order_by(LEDGER.c.seq.desc()).limit(number)
    if event is not None:
        # A quote within what somebody wrote is escaped in the text, so that nobody can forge this.
        statement = statement.where(LEDGER.c.body.contains(f'"event":"{event}"', autoescape=True))
    for row in connection.execute(statement).mappings():
        yield _link(row)


def chain(connection: sa.Connection) -> Iterator[Link]:
    """Every link in order, read in parts."""
    after = NUMBER_MIN
    while True:
        part = sa.select(LEDGER).where(LEDGER.c.seq > after).order_by(LEDGER.c.seq)
        rows = connection.execute(part.limit(LINKS_PER_READ)).mappings().all()
        for row in rows:
            yield _link(row)
        if len(rows) < LINKS_PER_READ:
            return
        after = rows[-1]["seq"]


def about(connection: sa.Connection, approval_id: str, *, since: int) -> list[Entry]:
    """The entries about one approval that came after number *since*."""
    # The bodies are canonical; an id that stands in one elsewhere is sorted out by reading it.
    named = LEDGER.c.body.contains(f'"approval_id":"{approval_id}"', autoescape=True)
    part = sa.select(LEDGER).where(LEDGER.c.seq > since, named).order_by(LEDGER.c.seq)
    entries = [entry_in(_link(row)) for row in connection.execute(part).mappings()]
    return [entry for entry in entries if entry.approval_id == approval_id]


def covering(connection: sa.Connection, run_id: str) -> str | None:
    """The approval of a whole on which a run has started, as far as is known."""
    named = LEDGER.c.body.contains(f'"subject_id":"{run_id}"', autoescape=True)
    about = sa.select(LEDGER).where(named).order_by(LEDGER.c.seq.desc()).limit(ABOUT_RUN_MAX)
    entries = [entry_in(_link(row)) for row in connection.execute(about).mappings()]
    last = next((entry for entry in entries if entry.event in STARTS), None)
    if last is None or (last.result or "").startswith(NOT_STARTED):
        return None
    return last.approval_id


def entry_in(link: Link) -> Entry:
    """What *link* says.

    Raises:
        StoreError: nobody can read it.
    """
    try:
        return link.entry
    except ValidationError as exc:
        raise StoreError(f"Entry {link.seq} of the ledger cannot be read.", hint=HINT) from exc


def entry_of(approval: Approval, event: ApprovalEvent | Moment, **facts: object) -> Entry:
    """What happened to *approval*; its number and predecessor come when it is appended."""
    known: dict[str, object] = {
        "approval_id": approval.approval_id,
        "subject": approval.subject,
        "state": approval.state,
        "channel": approval.asked.channel,
        "digest": approval.digest,
    }
    if event in INTRODUCTIONS:
        known |= {
            "name": approval.name,
            "asked": approval.asked,
            "question_digest": approval.question_digest,
        }
    return Entry.model_validate(known | facts | {"event": event, "seq": 1, "previous": GENESIS})


def _link(row: sa.RowMapping) -> Link:
    """*row* as it is stored; what is no text was not written by us, and breaks the chain."""
    body, hash_ = (
        text if isinstance(text, str) else repr(text) for text in (row["body"], row["hash"])
    )
    return Link(seq=row["seq"], body=body, hash=hash_)
