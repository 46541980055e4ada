"""What a person can do about a question without a dialog; knows channels, and asks nobody."""

from collections.abc import Awaitable, Callable

from benchgate.domain.answers import name_to_type
from benchgate.domain.approvals import REFUSED, Approval, ApprovalState
from benchgate.gate.approvals.channels import Ways
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.endings import Offer

LinkTo = Callable[[str], Awaitable[str | None]]


class Offers:
    """Links, the terminal and one-time codes."""

    def __init__(self, desk: Desk, link_to: LinkTo) -> None:
        """Codes are given out at *desk*; *link_to* gives an approval's page."""
        self._desk = desk
        self.link_to = link_to

    async def about(self, approval: Approval, ways: Ways) -> Offer:
        """What the person can do about *approval* on these *ways*."""
        if approval.state is not ApprovalState.ASKED and approval.state not in REFUSED:
            return Offer()
        by_words = approval.state is ApprovalState.ASKED and name_to_type(approval) is None
        offers_chat = ways.chat and by_words
        return Offer(
            page_url=await self.link_to(approval.approval_id) if ways.page else None,
            terminal=ways.terminal,
            code=await self._desk.give_code(approval.approval_id) if offers_chat else None,
            question=approval.question if offers_chat else None,
        )
