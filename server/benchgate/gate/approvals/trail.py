"""Reads everything that the record has written down, and checks it against itself.

It changes nothing, not even what is overdue, and sees the ledger and the questions as they were
at one moment. Every method blocks: call it from a worker thread.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from benchgate.database import reading
from benchgate.domain.approvals import ApprovalState
from benchgate.domain.facts import Facts, digest_in
from benchgate.domain.ledger import Break, Link, Stored, drift, first_break
from benchgate.domain.text import digest_of
from benchgate.domain.values import Value
from benchgate.gate.approvals import ledger
from benchgate.gate.store import APPROVALS

# Elsewhere two reads of one transaction could see what somebody wrote between them.
ONE_MOMENT = sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

FACTS: TypeAdapter[Facts] = TypeAdapter(Facts)
COMPARED = ("approval_id", "state", "question", "facts", "answered_through", "note", "mode")
# The states in which a person's answer counts.
ANSWERED = frozenset(
    {
        ApprovalState.APPROVED.value,
        ApprovalState.DECLINED.value,
        ApprovalState.MODIFY_REQUESTED.value,
        ApprovalState.USED.value,
    }
)


class Finding(Value):
    """What a check of the whole record found: `entries` is how many links the ledger has."""

    entries: int
    head: str | None
    broken: Break | None
    drifted: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing speaks against the record."""
        return self.broken is None and not self.drifted


class Trail:
    """What was written down, from the first entry to the last."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read it from *engine*."""
        self._engine = engine

    def links(self) -> list[Link]:
        """The whole chain in order."""
        with self._one_moment() as tx:
            return list(ledger.chain(tx))

    def check(self, *, head: str | None = None) -> Finding:
        """What speaks against the record; *head* is one of the ledger's that was kept elsewhere."""
        with self._one_moment() as tx:
            links, stored = list(ledger.chain(tx)), _stored(tx)
        broken = first_break(links, head=head)
        return Finding(
            entries=len(links),
            head=links[-1].head if links else None,
            broken=broken,
            # A broken chain tells nothing that the questions could be held against.
            drifted=() if broken else drift(links, stored),
        )

    @contextmanager
    def _one_moment(self) -> Generator[sa.Connection]:
        with reading(self._engine) as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(ONE_MOMENT)
            yield tx


def _stored(tx: sa.Connection) -> dict[str, Stored]:
    """The digests are those of what stands there, not the ones that are stored beside it."""
    rows = tx.execute(sa.select(*(APPROVALS.c[name] for name in COMPARED))).mappings()
    return {row["approval_id"]: _as_stored(row) for row in rows}


def _as_stored(row: sa.RowMapping) -> Stored:
    answered = row["state"] in ANSWERED
    return Stored(
        state=row["state"],
        question_digest=digest_of(row["question"]),
        digest=_digest_in(row["facts"]),
        channel=row["answered_through"] if answered else None,
        note=(row["note"] or None) if answered else None,
        mode=row["mode"] if answered else None,
    )


def _digest_in(facts: str) -> str | None:
    """The digest of the facts that stand there, if they can be read."""
    try:
        FACTS.validate_json(facts)
        return digest_in(json.loads(facts))
    except ValidationError:
        return None
