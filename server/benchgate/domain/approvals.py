"""One person's answer to one exact question: its states, its lifetimes, and when it may be put.

Three rules stand here and nowhere else. A question is bound to the digest of everything it showed,
so that an answer to other facts is no answer to these. An approval is taken by the table's `USE`
alone, which leads to `USED`, from which nothing leads back. And whether the same question may be
put once more is read from what became of it before, by `standing_of`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from benchgate.domain.facts import ComparisonFacts, Facts
from benchgate.domain.values import Value
from benchgate.errors import Conflict

DIALOGS_WITHOUT_ANSWER_MAX = 2
# How the result of a used approval begins whose start is known to have come to nothing.
NOT_STARTED = "not started: "


class ApprovalState(StrEnum):
    """Where a question stands."""

    ASKED = "asked"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MODIFY_REQUESTED = "modify_requested"
    NOT_CREDIBLE = "not_credible"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    USED = "used"


class ApprovalEvent(StrEnum):
    """What can happen to a question."""

    APPROVE = "approve"
    DECLINE = "decline"
    CANCEL = "cancel"
    MODIFY = "modify"
    DOUBT = "doubt"
    FAIL = "fail"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    USE = "use"


TRANSITIONS: dict[ApprovalState, dict[ApprovalEvent, ApprovalState]] = {
    ApprovalState.ASKED: {
        ApprovalEvent.APPROVE: ApprovalState.APPROVED,
        ApprovalEvent.DECLINE: ApprovalState.DECLINED,
        ApprovalEvent.CANCEL: ApprovalState.CANCELLED,
        ApprovalEvent.MODIFY: ApprovalState.MODIFY_REQUESTED,
        ApprovalEvent.DOUBT: ApprovalState.NOT_CREDIBLE,
        # The client could not show it: nobody has answered, and it waits on another channel.
        ApprovalEvent.FAIL: ApprovalState.ASKED,
        ApprovalEvent.EXPIRE: ApprovalState.EXPIRED,
        ApprovalEvent.SUPERSEDE: ApprovalState.SUPERSEDED,
    },
    ApprovalState.APPROVED: {
        ApprovalEvent.DECLINE: ApprovalState.DECLINED,
        ApprovalEvent.MODIFY: ApprovalState.MODIFY_REQUESTED,
        ApprovalEvent.EXPIRE: ApprovalState.EXPIRED,
        ApprovalEvent.SUPERSEDE: ApprovalState.SUPERSEDED,
        ApprovalEvent.USE: ApprovalState.USED,
    },
    ApprovalState.DECLINED: {},
    ApprovalState.CANCELLED: {},
    ApprovalState.MODIFY_REQUESTED: {},
    ApprovalState.NOT_CREDIBLE: {},
    ApprovalState.EXPIRED: {},
    ApprovalState.SUPERSEDED: {},
    ApprovalState.USED: {},
}
LIVE = frozenset({ApprovalState.ASKED, ApprovalState.APPROVED})
REFUSED = frozenset({ApprovalState.DECLINED, ApprovalState.MODIFY_REQUESTED})
UNANSWERED = frozenset({ApprovalState.CANCELLED, ApprovalState.NOT_CREDIBLE})
# What a person may open again by page or terminal while it would still be fresh.
REOPENABLE = REFUSED | UNANSWERED


def next_state(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """The state after *event*.

    Raises:
        Conflict: a question in that state cannot take the event.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise Conflict(f"A question that is {state} cannot {event}.") from None


class SubjectKind(StrEnum):
    """What a question is about."""

    RUN = "run"
    COMPARISON = "comparison"
    OVERRIDE = "override"  # a run that the preflight says should not go ahead


class Subject(Value):
    """The one thing that an approval allows."""

    kind: SubjectKind
    subject_id: str


class Channel(StrEnum):
    """How a question reaches the person, best evidence first."""

    ELICITATION = "elicitation"
    URL = "url"
    PAGE = "page"
    TERMINAL = "terminal"
    CHAT = "chat"


class ExecutionMode(StrEnum):
    """How a person wants several tests run."""

    SEQUENTIAL = "sequential"  # the next one starts by itself when one has completed
    PAUSE = "pause"  # each one has a question of its own


class Asked(Value):
    """Who was asked and how, as far as the protocol tells."""

    channel: Channel
    client_name: str = ""
    client_version: str = ""
    protocol_version: str = ""
    principal: str | None = None


class Lifetimes(Value):
    """How long a question takes answers, and how long its yes is good once it is given."""

    question: timedelta
    answer: timedelta


class Approval(Value):
    """One question to one person about one subject, and what became of it."""

    approval_id: str
    subject: Subject
    name: str
    facts: Facts
    digest: str
    question: str
    question_digest: str
    state: ApprovalState
    asked: Asked
    asked_at: datetime
    answered_through: Channel | None = None
    answered_at: datetime | None = None
    used_at: datetime | None = None
    note: str = ""
    mode: ExecutionMode | None = None  # of a yes to several tests
    result: str | None = None
    dialog_until: datetime | None = None
    code_digest: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it takes an answer, or holds a yes that is not used."""
        return self.state in LIVE

    @property
    def may_have_started(self) -> bool:
        """Whether it was used, and nothing is known to have kept the start from happening."""
        used = self.state is ApprovalState.USED
        return used and not (self.result or "").startswith(NOT_STARTED)

    @property
    def has_dialog_left(self) -> bool:
        """Whether it may still be put by a client, and not by page, terminal or chat alone."""
        return self.asked.channel in {Channel.ELICITATION, Channel.URL}

    @property
    def asks_mode(self) -> bool:
        """Whether a yes may come with how several tests are to run."""
        return self.subject.kind is SubjectKind.COMPARISON

    def expires_at(self, lifetimes: Lifetimes) -> datetime:
        """When it takes no answer any more, or its yes is no longer good."""
        if self.state is ApprovalState.APPROVED:
            return (self.answered_at or self.asked_at) + lifetimes.answer
        return self.asked_at + lifetimes.question

    def is_overdue(self, lifetimes: Lifetimes, *, at: datetime) -> bool:
        """Whether it is live in the record and ought not to be."""
        return self.is_live and at > self.expires_at(lifetimes)


def subject_of(facts: Facts) -> Subject:
    """What a yes to *facts* would allow.

    A run, to start one against the preflight's advice, or what is left of a comparison.
    """
    if isinstance(facts, ComparisonFacts):
        return Subject(kind=SubjectKind.COMPARISON, subject_id=facts.comparison_id)
    kind = SubjectKind.RUN if facts.can_proceed else SubjectKind.OVERRIDE
    return Subject(kind=kind, subject_id=facts.run_id)


class Standing(StrEnum):
    """What somebody finds who wants to put a question."""

    FRESH = "fresh"  # nobody has been asked this, or nobody answered in time: ask
    OPEN = "open"  # it is being asked: join it
    WITHHELD = "withheld"  # dialogs had their chance: it waits on page and terminal
    CLOSED = "closed"  # a person said no: only that person opens it again
    GRANTED = "granted"  # there is a yes that nobody has used
    OUTRUN = "outrun"  # another call has used a yes since these facts were read


def standing_of(history: Sequence[Approval]) -> Standing:
    """How the question stands whose *history* this is: one subject and digest, oldest first."""
    last = history[-1].state if history else None
    if last is ApprovalState.APPROVED:
        return Standing.GRANTED
    decided = [a.state for a in history if a.state in REFUSED | {ApprovalState.USED}]
    refused = bool(decided) and decided[-1] in REFUSED
    unanswered = sum(approval.state in UNANSWERED for approval in history)
    spent = refused or unanswered >= DIALOGS_WITHOUT_ANSWER_MAX
    if last is ApprovalState.ASKED:
        return Standing.WITHHELD if spent or not history[-1].has_dialog_left else Standing.OPEN
    if refused:
        return Standing.CLOSED
    return Standing.WITHHELD if spent else Standing.FRESH
