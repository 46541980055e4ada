"""The weakest channel: a person's words, handed in by the agent with a one-time code.

The code proves that the agent was shown the question; nothing proves that the words are the
person's. So it is there only where the operator asked for it, and is recorded as what it is.
"""

import hmac

from benchgate.domain.answers import DOUBT, name_to_type, read_words
from benchgate.domain.approvals import Approval, ApprovalState, Channel
from benchgate.domain.text import digest_of
from benchgate.errors import Conflict
from benchgate.gate.approvals.desk import Desk


class Chat:
    """Reads confirmations."""

    def __init__(self, desk: Desk) -> None:
        """Record their answers at *desk*."""
        self._desk = desk

    async def answer(self, approval: Approval, confirmation: str) -> Approval:
        """*approval* after `CODE and the person's words`.

        A wrong code, or words that are no explicit answer, close the question as not credible.
        """
        code, _, words = confirmation.strip().partition(" ")
        known = approval.code_digest or ""
        genuine = hmac.compare_digest(digest_of(code.upper()), known)
        takes_words = approval.state is ApprovalState.ASKED and name_to_type(approval) is None
        asks_mode = approval.asks_mode
        answer = read_words(words, asks_mode=asks_mode) if genuine and takes_words else DOUBT
        try:
            return await self._desk.answer(approval.approval_id, answer, through=Channel.CHAT)
        except Conflict:
            return await self._desk.get(approval.approval_id)
