"""The chat about several tests: the person's words choose, and what is unclear is no yes."""

from pathlib import Path

import pytest

from benchgate.domain.approvals import Approval, ApprovalState, Channel, ExecutionMode
from benchgate.gate.approvals.chat import Chat
from tests.unit.gate.approvals.browsing import office_at

pytestmark = pytest.mark.anyio


async def answered(folder: Path, words: str, *, both: bool = True) -> Approval:
    """A question after its code and *words* were handed in."""
    async with office_at(folder) as (office, _):
        asked = await (office.ask_both() if both else office.ask())
        code = await office.desk.give_code(asked.approval_id)
        approval = await office.desk.get(asked.approval_id)
        return await Chat(office.desk).answer(approval, f"{code} {words}")


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("yes", ExecutionMode.PAUSE),
        ("Yes, B", ExecutionMode.PAUSE),
        ("yes, pause", ExecutionMode.PAUSE),
        ("yes A", ExecutionMode.SEQUENTIAL),
        ("Yes, go ahead, sequentially.", ExecutionMode.SEQUENTIAL),
    ],
)
async def test_a_yes_in_the_chat_is_recorded_with_its_mode(
    tmp_path: Path, words: str, mode: ExecutionMode
) -> None:
    approval = await answered(tmp_path, words)
    assert (approval.state, approval.mode) == (ApprovalState.APPROVED, mode)
    assert (approval.note, approval.answered_through) == (words, Channel.CHAT)


@pytest.mark.parametrize("words", ["A", "yes, A or B", "yes to all", "sequential"])
async def test_words_that_choose_nothing_plainly_close_the_question(
    tmp_path: Path, words: str
) -> None:
    approval = await answered(tmp_path, words)
    assert (approval.state, approval.mode) == (ApprovalState.NOT_CREDIBLE, None)


async def test_a_mode_for_one_run_is_not_credible(tmp_path: Path) -> None:
    approval = await answered(tmp_path, "yes A", both=False)
    assert approval.state is ApprovalState.NOT_CREDIBLE
