"""Shows a recorded question in the client's own dialog, for as long as it holds the lease on it."""

import logging
from datetime import timedelta
from uuid import uuid4

import anyio
from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult
from pydantic import BaseModel, ConfigDict

from benchgate.domain.answers import name_to_type
from benchgate.domain.approvals import Approval, ApprovalState, Channel
from benchgate.domain.facts import Facts
from benchgate.errors import NotFound, StoreError
from benchgate.gate.approvals import asking
from benchgate.gate.approvals.asking import Prompt, Reply, SealedState, Silence
from benchgate.gate.approvals.channels import Ways
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.keys import StateKeys
from benchgate.gate.approvals.offers import LinkTo

logger = logging.getLogger(__name__)

PAGE_WAIT_SECONDS_MAX = 25
LOOK_INTERVAL_SECONDS = 0.5
# A no that is given in the dialog at the same moment counts more than a yes given elsewhere.
ELSEWHERE_GRACE = timedelta(seconds=2)


class Call(BaseModel):
    """One call of a tool: whose it is, how it reaches a person, and until when it waits."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    ctx: Context
    ways: Ways
    holder: str
    deadline: float
    confirmation: str = ""
    reasks: int = 0
    before: Facts | None = None


class Dialogs:
    """The dialogs of clients."""

    def __init__(self, desk: Desk, keys: StateKeys, link_to: LinkTo) -> None:
        """Leases are kept at *desk*; what travels is sealed with *keys*."""
        self._desk = desk
        self._keys = keys
        self._link_to = link_to

    async def prompt(self, approval: Approval, channel: Channel) -> Prompt | None:
        """The question as a client shows it; None where its page cannot be served."""
        if channel is Channel.ELICITATION:
            return Prompt(
                question=approval.question,
                typed=name_to_type(approval),
                asks_mode=approval.asks_mode,
            )
        url = await self._link_to(approval.approval_id)
        if url is None:
            return None
        return Prompt(question=approval.question, url=url, elicitation_id=uuid4().hex)

    async def shown(self, approval: Approval, prompt: Prompt, call: Call) -> Reply | Silence:
        """What comes back from a client of the older era that shows *prompt*."""
        return await asking.reply_of(
            call.ctx,
            prompt,
            deadline=call.deadline,
            goes_on=lambda: self._stays_open(approval, call),
        )

    def returned(
        self, approval: Approval, prompt: Prompt, channel: Channel, *, reasks: int
    ) -> InputRequiredResult:
        """*prompt* for a client that brings the answer with its next call.

        Raises:
            StoreError: nothing can be sealed.
        """
        self._keys.check()
        state = SealedState(
            approval_id=approval.approval_id,
            digest=approval.digest,
            channel=channel,
            reasks=reasks,
            asked_at_epoch=utc_now().timestamp(),
        )
        return asking.question_to_return(prompt, state)

    async def hold(self, approval: Approval, call: Call) -> bool:
        """Whether *call* alone shows the question now."""
        return await self._desk.hold(approval.approval_id, holder=call.holder)

    async def release(self, approval: Approval, call: Call) -> None:
        """Let others show the question; without it they wait until the lease is over."""
        with anyio.CancelScope(shield=True):
            try:
                await self._desk.release(approval.approval_id, holder=call.holder)
            except (NotFound, StoreError):
                logger.exception("The dialog of %s could not be released", approval.subject)

    async def wait_for_page(self, approval: Approval, call: Call) -> None:
        """Opened is not approved: give the page a moment for its answer."""
        longest = anyio.current_time() + PAGE_WAIT_SECONDS_MAX
        with anyio.CancelScope(deadline=min(longest, call.deadline)):
            is_open = True
            while is_open:
                await anyio.sleep(LOOK_INTERVAL_SECONDS)
                present = await self._desk.get(approval.approval_id)
                is_open = present.state is ApprovalState.ASKED

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
        return utc_now() - answered_at < ELSEWHERE_GRACE
