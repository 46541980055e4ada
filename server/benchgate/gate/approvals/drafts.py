"""A question that somebody wants to put, and the approval that it becomes; records nothing."""

from collections.abc import Callable
from datetime import datetime

from benchgate.domain.approvals import (
    Approval,
    ApprovalState,
    Asked,
    Channel,
    Standing,
    subject_of,
)
from benchgate.domain.facts import Difference, Facts
from benchgate.domain.text import NAME_CHARACTERS_MAX, digest_of, one_line
from benchgate.domain.values import Value

Wording = Callable[[tuple[Difference, ...]], str]


class Draft(Value):
    """A question that somebody wants to put.

    `facts_at` is when the facts were read; `fallback` is the channel on which it waits when
    dialogs have had their chance, if there is one; `before` are the facts of the question that
    this one follows, if it follows one.
    """

    approval_id: str
    facts: Facts
    facts_at: datetime
    asked: Asked
    fallback: Channel | None = None
    before: Facts | None = None


def drafted(draft: Draft, standing: Standing, *, question: str, at: datetime) -> Approval:
    """A new approval, on the fallback channel where dialogs have had their chance."""
    withheld = {"channel": draft.fallback} if standing is Standing.WITHHELD else {}
    return Approval(
        approval_id=draft.approval_id,
        subject=subject_of(draft.facts),
        # PostgreSQL keeps no text that holds a NUL.
        name=one_line(draft.facts.name, NAME_CHARACTERS_MAX),
        facts=draft.facts,
        digest=draft.facts.digest,
        question=question,
        question_digest=digest_of(question),
        state=ApprovalState.ASKED,
        asked=draft.asked.model_copy(update=withheld),
        asked_at=at,
    )
