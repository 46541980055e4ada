"""The printed ledger about several tests: how they are to run stands beside the yes."""

import json
from pathlib import Path

import pytest

from benchgate.domain.answers import Answer
from benchgate.domain.approvals import ApprovalEvent, Channel, ExecutionMode
from benchgate.gate.approvals import audit
from benchgate.gate.home import GateHome
from tests.unit.asked import ask_both, home_in, record_of
from tests.unit.examples import NOON


def approved(folder: Path, mode: ExecutionMode, note: str) -> GateHome:
    """A record of one question about a comparison, and the yes to it."""
    home = home_in(folder)
    with record_of(home) as record:
        approval = ask_both(record, at=NOON)
        yes = Answer(event=ApprovalEvent.APPROVE, note=note, mode=mode)
        record.answer(approval.approval_id, yes, through=Channel.PAGE, at=NOON)
    return home


@pytest.mark.parametrize("mode", ExecutionMode)
@pytest.mark.parametrize(("note", "behind"), [("", ""), ("for the night", "; for the night")])
def test_the_mode_stands_before_the_note_of_the_yes(
    tmp_path: Path, mode: ExecutionMode, note: str, behind: str
) -> None:
    _, ask, approve, *_ = audit.as_table(approved(tmp_path, mode, note), columns=None).text.split(
        "\n"
    )
    assert approve.endswith(f"  approved  {mode}{behind}")
    assert ask.endswith("  asked by some-host 1.2")
    assert "2 tests: X-Small, Small, cmp-1" in ask


@pytest.mark.parametrize("mode", ExecutionMode)
def test_a_program_reads_the_mode_in_the_entry_of_the_yes(
    tmp_path: Path, mode: ExecutionMode
) -> None:
    lines = audit.as_json(approved(tmp_path, mode, "")).text.splitlines()
    ask, approve = (json.loads(line)["entry"] for line in lines)
    assert approve["mode"] == mode
    assert "mode" not in ask
