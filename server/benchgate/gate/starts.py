"""The only way by which a run starts: a person's yes to exactly what is true at that moment.

A start goes through one path in both eras of the protocol and on every channel: read the facts,
ask, read the answer, read the facts again, take the yes, start. Whatever leaves that path is
`NotStarted`. A yes that was given on a page or at a terminal is found by the next call.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import anyio
from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult
from pydantic import BaseModel, ConfigDict

from benchgate.domain.answers import DOUBT, StartOutcome, name_to_type, read_answer
from benchgate.domain.approvals import (
    REFUSED,
    UNANSWERED,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Channel,
    Standing,
)
from benchgate.domain.facts import Difference, StartFacts
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.approvals import asking
from benchgate.gate.approvals.asking import Prompt, Reply, SealedState, Silence
from benchgate.gate.approvals.channels import Channels, Ways
from benchgate.gate.approvals.chat import Chat
from benchgate.gate.approvals.desk import Desk, is_held, utc_now
from benchgate.gate.approvals.keys import StateKeys
from benchgate.gate.blocks import Blocks
from benchgate.gate.endings import (
    Changed,
    Ending,
    NotStarted,
    Offer,
    not_approved,
    refused,
    waiting,
)
from benchgate.gate.facts import FactsReader, Obstacle
from benchgate.gate.launch import Launch

logger = logging.getLogger(__name__)

REASKS_MAX = 3
PAGE_WAIT_SECONDS_MAX = 25
LOOK_INTERVAL_SECONDS = 0.5
# A no that is given in the dialog at the same moment counts more than a yes given elsewhere.
ELSEWHERE_GRACE_SECONDS = 2

BEING_STARTED = "Another call is starting this run, or has just done so: read its status."
UNANSWERABLE = (
    "The dialog was shown as often as it may be and brought no answer, and "
    "BENCHGATE_APPROVAL_CHANNELS allows no other way to a person."
)
AWAITING = StartOutcome.AWAITING_APPROVAL

LinkTo = Callable[[str], Awaitable[str | None]]


class Call(BaseModel):
    """One call of the tool: whose it is, how it reaches a person, and until when it waits."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    ctx: Context
    ways: Ways
    holder: str
    deadline: float
    confirmation: str = ""
    reasks: int = 0
    before: StartFacts | None = None


class Starts:
    """Starts runs, each on one yes."""

    def __init__(
        self,
        *,
        facts: FactsReader,
        desk: Desk,
        launch: Launch,
        channels: Channels,
        blocks: Blocks,
        chat: Chat,
        keys: StateKeys,
        link_to: LinkTo,
        approval_min_seconds: float,
    ) -> None:
        """Ask about *facts* with *blocks*' question; *link_to* gives an approval's page.

        An answer that comes sooner than *approval_min_seconds* after its question is no person's.
        """
        self._facts = facts
        self._desk = desk
        self._launch = launch
        self._channels = channels
        self._blocks = blocks
        self._chat = chat
        self._keys = keys
        self._link_to = link_to
        self._approval_min_seconds = approval_min_seconds

    async def start(
        self, run_id: str, ctx: Context, *, confirmation: str = ""
    ) -> Ending | InputRequiredResult:
        """Start *run_id* if the person behind *ctx* says yes, or has said it elsewhere.

        *confirmation* is a chat's: a code that was given out, and the person's words.

        Raises:
            BenchgateError: the run does not exist, or the backend cannot be asked about it.
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
            ending = await self._go_on(run_id, call, state)
        else:
            ending = await self._begin(run_id, call)
        while isinstance(ending, Changed):
            if call.reasks >= REASKS_MAX:
                reason = f"What was asked about changed {REASKS_MAX + 1} times in a row."
                return refused(ending.facts, reason)
            call = call.model_copy(update={"reasks": call.reasks + 1, "before": ending.before})
            ending = await self._pursue(ending.facts, call, read_at=ending.read_at)
        return ending

    async def _begin(self, run_id: str, call: Call) -> Ending | Changed | InputRequiredResult:
        is_starting, read_at = self._launch.is_starting(run_id), utc_now()
        facts = await self._facts.read(run_id)
        if isinstance(facts, Obstacle):
            return refused(facts, facts.reason)
        if is_starting:
            return refused(facts, BEING_STARTED)
        return await self._pursue(facts, call, read_at=read_at)

    async def _pursue(
        self, facts: StartFacts, call: Call, *, read_at: datetime
    ) -> Ending | Changed | InputRequiredResult:
        """Find the yes to *facts*, read at *read_at*, or put the question."""
        if not facts.can_proceed:
            # A name that has to be typed cannot come as an agent's words.
            ways = call.ways.model_copy(update={"chat": False})
            call = call.model_copy(update={"ways": ways})
        if call.ways.first is None:
            return await self._nobody(facts, call)
        found = await self._desk.ask(
            facts,
            wording=lambda changed: self._wording(facts, changed),
            asked=asking.asked_through(call.ctx, call.ways.first),
            fallback=call.ways.fallback,
            before=call.before,
            facts_at=read_at,
        )
        if found.standing is Standing.OUTRUN:
            return refused(facts, BEING_STARTED)
        if found.standing is Standing.GRANTED:
            return await self._launch.start(found.approval, facts)
        if found.standing is Standing.CLOSED and found.approval.state in UNANSWERED:
            return refused(facts, UNANSWERABLE, outcome=StartOutcome.NO_CAPABILITY)
        if found.standing is Standing.CLOSED:
            return await self._told(found.approval, call)
        return await self._put(found.standing, found.approval, call)

    async def _put(
        self, standing: Standing, approval: Approval, call: Call
    ) -> Ending | Changed | InputRequiredResult:
        """Put an open question on the best channel that it may still take."""
        # A code that was given out for other facts says nothing about these.
        if call.confirmation and call.ways.chat and approval.code_digest:
            return await self._launch.decided(await self._chat.answer(approval, call.confirmation))
        if call.ways.dialog is None or standing is Standing.WITHHELD:
            return await self._told(approval, call)
        if is_held(approval):
            return _already_asked(approval)
        return await self._dialog(approval, call.ways.dialog, call)

    async def _dialog(
        self, approval: Approval, channel: Channel, call: Call
    ) -> Ending | Changed | InputRequiredResult:
        prompt = await self._prompt(approval, channel)
        if prompt is None:
            return await self._told(approval, call)
        if asking.is_multi_round(call.ctx):
            return await self._returned(approval, prompt, channel, call)
        if not await self._desk.hold(approval.approval_id, holder=call.holder):
            return _already_asked(approval)
        try:
            reply = await asking.reply_of(
                call.ctx,
                prompt,
                deadline=call.deadline,
                goes_on=lambda: self._stays_open(approval, call),
            )
            ending = await self._concluded(approval, reply, channel, call)
        finally:
            await self._release(approval, call)
        if not isinstance(ending, NotStarted) or ending.outcome is not AWAITING:
            await asking.complete(call.ctx, prompt)
        return ending

    async def _returned(
        self, approval: Approval, prompt: Prompt, channel: Channel, call: Call
    ) -> NotStarted | InputRequiredResult:
        """*prompt* for a client that brings the answer with its next call."""
        try:
            self._keys.check()
        except StoreError:
            if call.ways.fallback is None:
                raise
            # The question is recorded, and can be answered where nothing has to be sealed.
            logger.exception("The question about %s cannot be returned", approval.subject)
            return await self._told(approval, call)
        state = SealedState(
            approval_id=approval.approval_id,
            digest=approval.digest,
            channel=channel,
            reasks=call.reasks,
            asked_at_epoch=utc_now().timestamp(),
        )
        return asking.question_to_return(prompt, state)

    async def _release(self, approval: Approval, call: Call) -> None:
        """Let others show the question; without it they wait until the lease is over."""
        with anyio.CancelScope(shield=True):
            try:
                await self._desk.release(approval.approval_id, holder=call.holder)
            except (NotFound, StoreError):
                logger.exception("The dialog of %s could not be released", approval.subject)

    async def _go_on(self, run_id: str, call: Call, state: SealedState) -> Ending | Changed:
        """Take up the answer that a multi-round client has come back with."""
        approval = await self._desk.get(state.approval_id)
        if approval.subject.subject_id != run_id or approval.digest != state.digest:
            raise NotFound("That question was about something else.")
        reply = asking.returned_reply(call.ctx, state)
        return await self._concluded(approval, reply, state.channel, call)

    async def _concluded(
        self, approval: Approval, reply: Reply | Silence, channel: Channel, call: Call
    ) -> Ending | Changed:
        """What *reply* leads to."""
        if reply is Silence.TIME or reply is Silence.ELSEWHERE:
            return await self._as_it_stands(approval, call)
        if isinstance(reply, Silence):
            return await self._client_failed(approval, call)
        if channel is Channel.URL and reply.action == "accept":
            await self._wait_for_page(approval, call)
            return await self._as_it_stands(approval, call)
        answer = read_answer(reply.action, reply.content, typed=name_to_type(approval))
        # A clock that was set back meanwhile is no hurry where none is looked for.
        if reply.action == "accept" and max(0, reply.seconds) < self._approval_min_seconds:
            answer = DOUBT
        if answer.event is ApprovalEvent.APPROVE and not self._still_counts(channel, call):
            return await self._client_failed(approval, call)
        try:
            answered = await self._desk.answer(approval.approval_id, answer, through=channel)
        except Conflict:
            return await self._as_it_stands(approval, call)
        return await self._launch.decided(answered)

    def _still_counts(self, channel: Channel, call: Call) -> bool:
        """Whether a yes of *channel* counts now: a PIN may have been set since the question."""
        return self._channels.ways_to(call.ctx.client_capabilities).dialog is channel

    async def _as_it_stands(self, approval: Approval, call: Call) -> Ending | Changed:
        """What the record says by now; a yes from another channel is as good as one from here."""
        present = await self._desk.present(approval.approval_id)
        if present.state is ApprovalState.APPROVED:
            return await self._launch.decided(present)
        return await self._told(present, call)

    async def _client_failed(self, approval: Approval, call: Call) -> Ending | Changed:
        try:
            failed = await self._desk.fail(approval.approval_id, fallback=call.ways.fallback)
        except Conflict:
            return await self._as_it_stands(approval, call)
        reason = "The client brought no answer back that counts."
        offer = await self._offer(failed, call)
        return waiting(failed, StartOutcome.CLIENT_ERROR, reason, offer=offer)

    async def _nobody(self, facts: StartFacts, call: Call) -> NotStarted:
        """Nobody can be asked, and without a person's answer nothing starts."""
        await self._desk.note_nobody(facts, asking.asked_through(call.ctx, Channel.ELICITATION))
        return refused(
            facts,
            "There is no channel to a person: this client declares no elicitation that can be "
            "used (with a PIN set, no form can), and BENCHGATE_APPROVAL_CHANNELS allows no other "
            "that can take this answer.",
            outcome=StartOutcome.NO_CAPABILITY,
        )

    async def _stays_open(self, approval: Approval, call: Call) -> bool:
        """Whether a dialog is to stay: nobody has answered elsewhere. Keeps its lease."""
        try:
            present = await self._desk.present(approval.approval_id)
            if present.state is ApprovalState.ASKED:
                return await self._desk.keep_holding(present, holder=call.holder)
        except NotFound:
            return False
        except StoreError:
            # The person may be reading it; whether their answer can be recorded shows then.
            logger.exception("The dialog of %s could not be looked after", approval.subject)
            return True
        answered_at = present.answered_at or present.asked_at
        return (utc_now() - answered_at).total_seconds() < ELSEWHERE_GRACE_SECONDS

    async def _wait_for_page(self, approval: Approval, call: Call) -> None:
        """Opened is not approved: give the page a moment for its answer."""
        longest = anyio.current_time() + PAGE_WAIT_SECONDS_MAX
        with anyio.CancelScope(deadline=min(longest, call.deadline)):
            is_open = True
            while is_open:
                await anyio.sleep(LOOK_INTERVAL_SECONDS)
                present = await self._desk.get(approval.approval_id)
                is_open = present.state is ApprovalState.ASKED

    async def _told(self, approval: Approval, call: Call) -> NotStarted:
        """How *approval* stands, with what the person can do about it."""
        return not_approved(approval, offer=await self._offer(approval, call))

    async def _offer(self, approval: Approval, call: Call) -> Offer:
        """What the person can do about *approval* without a dialog."""
        if approval.state is not ApprovalState.ASKED and approval.state not in REFUSED:
            return Offer()
        by_words = approval.state is ApprovalState.ASKED and name_to_type(approval) is None
        offers_chat = call.ways.chat and by_words
        return Offer(
            page_url=await self._link_to(approval.approval_id) if call.ways.page else None,
            terminal=call.ways.terminal,
            code=await self._desk.give_code(approval.approval_id) if offers_chat else None,
            question=approval.question if offers_chat else None,
        )

    async def _prompt(self, approval: Approval, channel: Channel) -> Prompt | None:
        """The question as a client shows it; None where its page cannot be served."""
        typed = name_to_type(approval)
        if channel is Channel.ELICITATION:
            return Prompt(question=approval.question, typed=typed)
        url = await self._link_to(approval.approval_id)
        if url is None:
            return None
        return Prompt(question=approval.question, url=url, elicitation_id=uuid4().hex)

    def _wording(self, facts: StartFacts, changed: tuple[Difference, ...]) -> str:
        return self._blocks.render("question", facts=facts, changed=changed)


def _already_asked(approval: Approval) -> NotStarted:
    return waiting(
        approval,
        StartOutcome.ALREADY_ASKED,
        "A dialog for this run is open already, in another call.",
        offer=Offer(),
    )
