"""What a hand-over says of the yes on which a run was started."""

from datetime import datetime

from benchgate.domain.approvals import Approval, Channel, ExecutionMode
from benchgate.domain.values import Value


class Evidence(Value):
    """The approval of one run: by which channel it came, when, and to which facts.

    `mode` is that of a yes to a whole comparison, of which the run is a part.
    """

    run_id: str
    channel: Channel
    answered_at: datetime
    note: str | None = None
    mode: ExecutionMode | None = None
    digest: str


def evidence_of(approval: Approval, run_id: str) -> Evidence:
    """What is handed on of *approval*, which has been answered and let the run start."""
    assert approval.answered_at is not None, "a yes has its time"
    assert approval.answered_through is not None, "a yes has its channel"
    return Evidence(
        run_id=run_id,
        channel=approval.answered_through,
        answered_at=approval.answered_at,
        note=approval.note or None,
        mode=approval.mode,
        digest=approval.digest,
    )
