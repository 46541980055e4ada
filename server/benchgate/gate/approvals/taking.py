"""Takes a person's yes, together with what is recorded on its strength, or tells why not."""

from typing import TYPE_CHECKING

from benchgate.domain.approvals import Approval, ApprovalState
from benchgate.domain.facts import Facts
from benchgate.errors import Conflict
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.endings import NotStarted, not_approved, refused

if TYPE_CHECKING:
    from benchgate.gate.approvals.record import Along


async def take(
    desk: Desk, approval: Approval, facts: Facts, *, along: "Along"
) -> NotStarted | None:
    """Use the yes to *facts*; nobody can use it again. None where it is used now.

    Where what goes *along* cannot be recorded, the yes stays unused.
    """
    try:
        taken = await desk.take(approval.approval_id, along=along)
    except Conflict as exc:
        taken = await desk.get(approval.approval_id)
        if taken.state is ApprovalState.APPROVED:
            return refused(facts, str(exc))
        return not_approved(taken)
    return None if taken.state is ApprovalState.USED else not_approved(taken)
