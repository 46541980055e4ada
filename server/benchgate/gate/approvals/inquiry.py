"""The only way by which something starts: a person's yes to exactly what is true at that moment.

It goes through one path in both eras of the protocol and on every channel: read the facts, ask,
read the answer, read the facts again, take the yes, start. Whatever leaves that path is
`NotStarted`. A yes that was given on a page or at a terminal is found by the next call. What is to
start, a run or what is left of a comparison, is a `Matter`.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import uuid4

import anyio
from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from benchgate.domain.answers import DOUBT, StartOutcome, name_to_type, read_answer
from benchgate.domain.approvals import (
    UNANSWERED,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Channel,
    Standing,
)
from benchgate.domain.facts import ComparisonFacts, Difference, Facts
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.approvals import asking
from benchgate.gate.approvals.asking import Reply, Silence
from benchgate.gate.approvals.channels import Channels
from benchgate.gate.approvals.chat import Chat
from benchgate.gate.approvals.desk import Desk, is_held, utc_now
from benchgate.gate.approvals.dialogs import Call, Dialogs
from benchgate.gate.approvals.offers import Offers
from benchgate.gate.endings import (
    Changed,
    Ending,
    NotStarted,
    not_approved,
    refused,
    waiting,
)
from benchgate.gate.facts import Obstacle

logger = logging.getLogger(__name__)

REASKS_MAX = 3

BEING_STARTED = "Another call is starting this, or has just done so: read its status."
UNANSWERABLE = (
    "The dialog was shown as often as it may be and brought no answer, and "
    "BENCHGATE_APPROVAL_CHANNELS allows no other way to a person."
)
AWAITING = StartOutcome.AWAITING_APPROVAL


class Matter(Protocol):
    """What is to start."""

    @property
    def subject_id(self) -> str:
        """The id of what it is."""
        ...

    def is_starting(self) -> bool:
        """Whether a call of this process has taken a yes for it and not come back yet."""
        ...

    async def look(self) -> Facts | Obstacle:
        """What is true of it now, or why it cannot start whatever anyone says."""
        ...

    def wording(self, facts: Facts, changed: Sequence[Difference]) -> str:
        """The question about *facts*, with what has *changed* since the last one."""
        ...

    async def start(self, approval: Approval, facts: Facts, *, read_at: datetime) -> Ending:
        """Take the yes to *facts*, read at that moment, and start."""
        ...


class Inquiry:
    """Asks, and starts on a yes."""

    def __init__(
        self,
        *,
        desk: Desk,
        channels: Channels,
        dialogs: Dialogs,
        offers: Offers,
        chat: Chat,
        approval_min_seconds: float,
    ) -> None:
        """Questions lie at *desk* and go out by *channels*.

        An answer that comes sooner than *approval_min_seconds* after its question is no person's.
        """
        self._desk = desk
        self._channels = channels
        self._dialogs = dialogs
        self._offers = offers
        self._chat = chat
        self._approval_min_seconds = approval_min_seconds

    async def pursue(
        self, matter: Matter, ctx: Context, *, confirmation: str = ""
    ) -> Ending | InputRequiredResult:
        """Start *matter* if the person behind *ctx* says yes, or has said it elsewhere.

        *confirmation* is a chat's: a code that was given out, and the person's words.

        Raises:
            BenchgateError: it does not exist, or the backend cannot be asked about it.
        """
        call = Call(
            ctx=ctx,
            ways=self._channels.ways_to(ctx.client_capabilities),
            holder=uuid4().hex,
            # One wait for all dialogs of a call: its caller's patience does not begin anew.
            deadline=anyio.current_time() + self._channels.wait_seconds(asking.client_name(ctx)),
            confirmation=confirmation,
        )
        if ctx.request_state is not None:
            state = asking.sealed_state(ctx.request_state)
            call = call.model_copy(update={"reasks": state.reasks})
            ending = await self._go_on(matter, call, state)
        else:
            ending = await self._begin(matter, call)
        while isinstance(ending, Changed):
            if call.reasks >= REASKS_MAX:
                reason = f"What was asked about changed {REASKS_MAX + 1} times in a row."
                return refused(ending.facts, reason)
            call = call.model_copy(update={"reasks": call.reasks + 1, "before": ending.before})
            ending = await self._put(matter, call, ending.facts, read_at=ending.read_at)
        return ending

    async def _begin(self, matter: Matter, call: Call) -> Ending | Changed | InputRequiredResult:
        is_starting, read_at = matter.is_starting(), utc_now()
        facts = await matter.look()
        if isinstance(facts, Obstacle):
            return refused(facts, facts.reason)
        if is_starting:
            return refused(facts, BEING_STARTED)
        return await self._put(matter, call, facts, read_at=read_at)

    async def _put(
        self, matter: Matter, call: Call, facts: Facts, *, read_at: datetime
    ) -> Ending | Changed | InputRequiredResult:
        """Find the yes to *facts*, read at *read_at*, or put the question."""
        if not (isinstance(facts, ComparisonFacts) or facts.can_proceed):
            # A name that has to be typed cannot come as an agent's words.
            ways = call.ways.model_copy(update={"chat": False})
            call = call.model_copy(update={"ways": ways})
        if call.ways.first is None:
            return await self._nobody(facts, call)
        found = await self._desk.ask(
            facts,
            wording=lambda changed: matter.wording(facts, changed),
            asked=asking.asked_through(call.ctx, call.ways.first),
            fallback=call.ways.fallback,
            before=call.before,
            facts_at=read_at,
        )
        if found.standing is Standing.OUTRUN:
            return refused(facts, BEING_STARTED)
        if found.standing is Standing.GRANTED:
            return await matter.start(found.approval, facts, read_at=read_at)
        if found.standing is Standing.CLOSED and found.approval.state in UNANSWERED:
            return refused(facts, UNANSWERABLE, outcome=StartOutcome.NO_CAPABILITY)
        if found.standing is Standing.CLOSED:
            return await self._told(found.approval, call)
        return await self._ask(matter, call, found.approval, standing=found.standing)

    async def _ask(
        self, matter: Matter, call: Call, approval: Approval, *, standing: Standing
    ) -> Ending | Changed | InputRequiredResult:
        """Put an open question on the best channel that it may still take."""
        # A code that was given out for other facts says nothing about these.
        if call.confirmation and call.ways.chat and approval.code_digest:
            return await self._decided(matter, await self._chat.answer(approval, call.confirmation))
        channel = call.ways.dialog
        if channel is None or standing is Standing.WITHHELD:
            return await self._told(approval, call)
        if is_held(approval):
            return _already_asked(approval)
        prompt = await self._dialogs.prompt(approval, channel)
        if prompt is None:
            return await self._told(approval, call)
        if asking.is_multi_round(call.ctx):
            return await self._return(call, approval, prompt=prompt)
        return await self._show(matter, call, approval, prompt=prompt)

    async def _return(
        self, call: Call, approval: Approval, *, prompt: asking.Prompt
    ) -> NotStarted | InputRequiredResult:
        """Hand *prompt* to a client that brings the answer with its next call."""
        channel = Channel.URL if prompt.url else Channel.ELICITATION
        try:
            return self._dialogs.returned(approval, prompt, channel, reasks=call.reasks)
        except StoreError:
            if call.ways.fallback is None:
                raise
            # The question is recorded, and can be answered where nothing has to be sealed.
            logger.exception("The question about %s cannot be returned", approval.subject)
            return await self._told(approval, call)

    async def _show(
        self, matter: Matter, call: Call, approval: Approval, *, prompt: asking.Prompt
    ) -> Ending | Changed:
        """Show *prompt* while nobody else does, and go on with what comes back."""
        if not await self._dialogs.hold(approval, call):
            return _already_asked(approval)
        channel = Channel.URL if prompt.url else Channel.ELICITATION
        try:
            reply = await self._dialogs.shown(approval, prompt, call)
            ending = await self._concluded(matter, call, approval, heard=(reply, channel))
        finally:
            await self._dialogs.release(approval, call)
        if not isinstance(ending, NotStarted) or ending.outcome is not AWAITING:
            await asking.complete(call.ctx, prompt)
        return ending

    async def _go_on(
        self, matter: Matter, call: Call, state: asking.SealedState
    ) -> Ending | Changed:
        """Take up the answer that a multi-round client has come back with."""
        approval = await self._desk.get(state.approval_id)
        if approval.subject.subject_id != matter.subject_id or approval.digest != state.digest:
            raise NotFound("That question was about something else.")
        reply = asking.returned_reply(call.ctx, state)
        return await self._concluded(matter, call, approval, heard=(reply, state.channel))

    async def _concluded(
        self,
        matter: Matter,
        call: Call,
        approval: Approval,
        *,
        heard: tuple[Reply | Silence, Channel],
    ) -> Ending | Changed:
        """What a reply that was *heard* through a channel leads to."""
        reply, channel = heard
        if reply is Silence.TIME or reply is Silence.ELSEWHERE:
            return await self._as_it_stands(matter, call, approval)
        if isinstance(reply, Silence):
            return await self._client_failed(matter, call, approval)
        if channel is Channel.URL and reply.action == "accept":
            await self._dialogs.wait_for_page(approval, call)
            return await self._as_it_stands(matter, call, approval)
        answer = read_answer(
            reply.action,
            reply.content,
            typed=name_to_type(approval),
            asks_mode=approval.asks_mode,
        )
        # A clock that was set back meanwhile is no hurry where none is looked for.
        if reply.action == "accept" and max(0, reply.seconds) < self._approval_min_seconds:
            answer = DOUBT
        if answer.event is ApprovalEvent.APPROVE and not self._still_counts(channel, call):
            return await self._client_failed(matter, call, approval)
        try:
            answered = await self._desk.answer(approval.approval_id, answer, through=channel)
        except Conflict:
            return await self._as_it_stands(matter, call, approval)
        return await self._decided(matter, answered)

    async def _decided(self, matter: Matter, approval: Approval) -> Ending | Changed:
        """What an answered question leads to; a yes to what is no longer so is asked for anew.

        Raises:
            BenchgateError: the facts cannot be read; a yes then stays good for as long as it is.
        """
        if approval.state is not ApprovalState.APPROVED:
            return not_approved(approval)
        read_at = utc_now()
        now = await matter.look()
        if isinstance(now, Obstacle):
            return refused(now, now.reason)
        if now.digest == approval.digest:
            return await matter.start(approval, now, read_at=read_at)
        try:
            await self._desk.supersede(approval.approval_id)
        except Conflict:
            return not_approved(await self._desk.get(approval.approval_id))
        return Changed(facts=now, read_at=read_at, before=approval.facts)

    def _still_counts(self, channel: Channel, call: Call) -> bool:
        """Whether a yes of *channel* counts now: a PIN may have been set since the question."""
        return self._channels.ways_to(call.ctx.client_capabilities).dialog is channel

    async def _as_it_stands(
        self, matter: Matter, call: Call, approval: Approval
    ) -> Ending | Changed:
        """What the record says by now; a yes from another channel is as good as one from here."""
        present = await self._desk.present(approval.approval_id)
        if present.state is ApprovalState.APPROVED:
            return await self._decided(matter, present)
        return await self._told(present, call)

    async def _client_failed(
        self, matter: Matter, call: Call, approval: Approval
    ) -> Ending | Changed:
        try:
            failed = await self._desk.fail(approval.approval_id, fallback=call.ways.fallback)
        except Conflict:
            return await self._as_it_stands(matter, call, approval)
        reason = "The client brought no answer back that counts."
        offer = await self._offers.about(failed, call.ways)
        return waiting(failed, StartOutcome.CLIENT_ERROR, reason, offer=offer)

    async def _nobody(self, facts: Facts, call: Call) -> NotStarted:
        """Nobody can be asked, and without a person's answer nothing starts."""
        await self._desk.note_nobody(facts, asking.asked_through(call.ctx, Channel.ELICITATION))
        return refused(
            facts,
            "There is no channel to a person: this client declares no elicitation that can be "
            "used (with a PIN set, no form can), and BENCHGATE_APPROVAL_CHANNELS allows no other "
            "that can take this answer.",
            outcome=StartOutcome.NO_CAPABILITY,
        )

    async def _told(self, approval: Approval, call: Call) -> NotStarted:
        """How *approval* stands, with what the person can do about it."""
        return not_approved(approval, offer=await self._offers.about(approval, call.ways))


def _already_asked(approval: Approval) -> NotStarted:
    return waiting(
        approval,
        StartOutcome.ALREADY_ASKED,
        "A dialog for this is open already, in another call.",
    )
