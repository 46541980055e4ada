"""What a call that wanted to start a run comes to, and the words for why it did not."""

from datetime import datetime

from benchgate.domain.answers import StartOutcome, outcome_of
from benchgate.domain.approvals import Approval, ApprovalState, SubjectKind, subject_of
from benchgate.domain.facts import Facts
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.values import Value
from benchgate.gate.facts import Obstacle


class Offer(Value):
    """What a person can do without a dialog: open a page, use a terminal, or answer in the chat.

    `question` is shown where the chat is offered, since nothing else would show it there.
    """

    page_url: str | None = None
    terminal: bool = False
    code: str | None = None
    question: str | None = None


class Started(Value):
    """A run has been started by this call."""

    snapshot: RunSnapshot


class NotStarted(Value):
    """Nothing is known to have been started by this call; `subject_id` is a run, or a comparison.

    Where that is `in_doubt`, a start has been sent and nobody knows what became of it.
    """

    subject_id: str
    outcome: StartOutcome
    reason: str
    name: str = ""
    note: str = ""
    offer: Offer = Offer()
    in_doubt: bool = False


class Changed(Value):
    """The facts, read at `read_at`, are not what was asked about: the person is asked again."""

    facts: Facts
    read_at: datetime
    before: Facts


Ending = Started | NotStarted

REASONS: dict[ApprovalState, str] = {
    ApprovalState.ASKED: "The person has not answered yet.",
    ApprovalState.APPROVED: "The yes to this question is another call's.",
    ApprovalState.DECLINED: "The person said no.",
    ApprovalState.CANCELLED: "The dialog was closed without an answer.",
    ApprovalState.MODIFY_REQUESTED: "The person wants something changed first.",
    ApprovalState.NOT_CREDIBLE: "What came back was not one of the answers that were offered, or "
    "came sooner than a person answers.",
    ApprovalState.EXPIRED: "The question, or the yes to it, had expired.",
    ApprovalState.SUPERSEDED: "What was asked about has changed since; another question counts.",
    ApprovalState.USED: "The yes to this question has been used, and starts what it names once.",
}
NAME_MISSING = (
    "The preflight says that this run should not go ahead, and what came back was no yes with the "
    "name of the test. If the person wants it all the same, the next start asks them again."
)


def not_approved(approval: Approval, *, offer: Offer | None = None) -> NotStarted:
    """How *approval* ended, or that it still waits."""
    doubted = approval.state is ApprovalState.NOT_CREDIBLE
    unnamed = doubted and approval.subject.kind is SubjectKind.OVERRIDE
    return NotStarted(
        subject_id=approval.subject.subject_id,
        outcome=outcome_of(approval),
        reason=NAME_MISSING if unnamed else REASONS[approval.state],
        name=approval.name,
        note=approval.note,
        offer=offer or Offer(),
    )


def waiting(
    approval: Approval, outcome: StartOutcome, reason: str, *, offer: Offer | None = None
) -> NotStarted:
    """*approval* is open, and this call leaves it so."""
    return NotStarted(
        subject_id=approval.subject.subject_id,
        outcome=outcome,
        reason=reason,
        name=approval.name,
        offer=offer or Offer(),
    )


def refused(
    about: Facts | Obstacle, reason: str, *, outcome: StartOutcome = StartOutcome.REFUSED
) -> NotStarted:
    """Nobody can start this now."""
    is_obstacle = isinstance(about, Obstacle)
    return NotStarted(
        subject_id=about.subject_id if is_obstacle else subject_of(about).subject_id,
        outcome=outcome,
        reason=reason,
        name=about.name,
    )
