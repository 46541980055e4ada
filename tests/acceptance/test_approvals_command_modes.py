"""`benchgate approvals` about several tests: how they are to run is asked after the yes."""

from pathlib import Path

import pytest

from benchgate.domain.approvals import Approval, ApprovalState, ExecutionMode
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.home import GateHome
from tests.acceptance.answering import DECIDE, answer, approvals, now
from tests.acceptance.terminal import CTRL_D
from tests.unit.asked import ask_both, home_in, record_of

CHOOSE = "A or B (Enter is B): "


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    return home_in(tmp_path)


def asked_about_both(home: GateHome) -> Approval:
    with record_of(home) as record:
        return ask_both(record, at=utc_now())


@pytest.mark.parametrize(
    ("typed", "mode", "told"),
    [
        ("a", ExecutionMode.SEQUENTIAL, "Recorded: yes, A: all tests sequentially."),
        ("Sequential", ExecutionMode.SEQUENTIAL, "Recorded: yes, A: all tests sequentially."),
        ("B", ExecutionMode.PAUSE, "Recorded: yes, B: a pause after each test."),
        ("", ExecutionMode.PAUSE, "Recorded: yes, B: a pause after each test."),
    ],
)
def test_a_yes_to_several_tests_is_asked_how_they_are_to_run(
    home: GateHome, typed: str, mode: ExecutionMode, told: str
) -> None:
    approval = asked_about_both(home)
    with approvals(home) as screen:
        screen.wait_for("2 tests: X-Small, Small, comparison cmp-1, asked by some-host 1.2, ")
        screen.wait_for(DECIDE)
        screen.type("yes\n")
        screen.wait_for(CHOOSE)
        screen.type(f"{typed}\n")
        screen.wait_for("(optional): ")
        screen.type("for the night\n")
        screen.wait_for(told)
        screen.wait_for("the next start_comparison goes on, within 10m 00s")
        assert screen.exit_code() == 0
    recorded = now(home, approval)
    assert (recorded.state, recorded.mode) == (ApprovalState.APPROVED, mode)
    assert recorded.note == "for the night"


def test_what_is_neither_a_nor_b_is_asked_again(home: GateHome) -> None:
    approval = asked_about_both(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        screen.type("yes\n")
        for typed in ("both", "c", "a"):
            screen.wait_for(CHOOSE)
            screen.type(f"{typed}\n")
        screen.wait_for("(optional): ")
        screen.type("\n")
        screen.wait_for("Recorded: yes, A")
        assert screen.exit_code() == 0
    assert screen.text.count("That is neither A nor B.") == 2
    assert now(home, approval).mode is ExecutionMode.SEQUENTIAL


def test_three_times_neither_leaves_the_question_open(home: GateHome) -> None:
    approval = asked_about_both(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        screen.type("yes\n")
        for _ in range(3):
            screen.wait_for(CHOOSE)
            screen.type("yes\n")
        screen.wait_for("It stays open.")
        screen.type(CTRL_D)
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.ASKED


def test_a_no_to_several_tests_is_not_asked_how_they_are_to_run(home: GateHome) -> None:
    approval = asked_about_both(home)
    with approvals(home) as screen:
        answer(screen, "no")
        screen.wait_for("Recorded: no.")
        assert screen.exit_code() == 0
    assert CHOOSE not in screen.text
    assert (now(home, approval).state, now(home, approval).mode) == (ApprovalState.DECLINED, None)
