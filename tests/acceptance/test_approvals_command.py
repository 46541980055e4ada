"""`benchgate approvals` at a real terminal: what a person sees, types and gets told."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchgate.domain.approvals import ApprovalState, Channel
from benchgate.domain.ledger import Moment
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.home import GateHome
from benchgate.gate.store import APPROVALS
from tests.acceptance.answering import (
    DECIDE,
    answer,
    approvals,
    asked,
    environment_of,
    go_on,
    leave,
    moments,
    now,
)
from tests.acceptance.terminal import CTRL_C, CTRL_D
from tests.unit.asked import NO, home_in, record_of

PIN = "corn flower 7"


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    return home_in(tmp_path)


def test_the_only_question_is_shown_at_once_and_a_yes_is_recorded(home: GateHome) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        answer(screen, "yes", "for the night")
        screen.wait_for("starts it, within 10m 00s")
        assert screen.exit_code() == 0
    assert approval.question in screen.text
    assert "Orders lookup, run run-1, asked by some-host 1.2, " in screen.text
    recorded = now(home, approval)
    assert (recorded.state, recorded.note) == (ApprovalState.APPROVED, "for the night")
    assert recorded.answered_through is Channel.TERMINAL


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        ("no", ApprovalState.DECLINED),
        ("n", ApprovalState.DECLINED),
        ("NO", ApprovalState.DECLINED),
        ("modify", ApprovalState.MODIFY_REQUESTED),
        ("m", ApprovalState.MODIFY_REQUESTED),
    ],
)
def test_whoever_does_not_say_yes_may_say_it_in_short(
    home: GateHome, decision: str, state: ApprovalState
) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        screen.type(f"{decision}\n")
        screen.wait_for(": ")
        screen.type("8 connections\n")
        screen.wait_for("Recorded: ")
        assert screen.exit_code() == 0
    assert (now(home, approval).state, now(home, approval).note) == (state, "8 connections")


@pytest.mark.parametrize("typed", ["y", "ok", "yes please", "да"])
def test_nothing_but_the_whole_word_is_a_yes(home: GateHome, typed: str) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        for _ in range(3):
            screen.wait_for(DECIDE)
            screen.type(f"{typed}\n")
        screen.wait_for("It stays open.")
        screen.type("\n")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.ASKED


def test_what_was_typed_before_the_question_stood_there_is_no_answer(home: GateHome) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        screen.type("yes\nyes\nyes\n")
        screen.wait_for(DECIDE)
        screen.type("\n")
        screen.wait_for("It stays open.")
        screen.wait_for("Number")
        screen.type("\n")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.ASKED


@pytest.mark.parametrize(("key", "code"), [(CTRL_C, 130), (CTRL_D, 0)])
def test_whoever_leaves_leaves_the_question_open(home: GateHome, key: str, code: int) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        screen.type("yes\n")
        screen.wait_for("(optional): ")
        assert leave(screen, key) == code
    assert now(home, approval).state is ApprovalState.ASKED


def test_one_of_several_questions_is_picked_by_its_number(home: GateHome) -> None:
    first, second = asked(home), asked(home, "run-2", name="Returns \x1b[31mlookup")
    with approvals(home) as screen:
        screen.wait_for("  2  Returns [31mlookup, run run-2")
        screen.wait_for("Number")
        screen.type("7\n")
        screen.wait_for("There is no 7.")
        screen.type("2\n")
        answer(screen, "no")
        screen.wait_for("Recorded: no.")
        screen.wait_for("  1  Orders lookup")
        screen.wait_for("  2  Returns [31mlookup, run run-2, asked by some-host 1.2, declined")
        screen.type("\n")
        assert screen.exit_code() == 0
    assert "\x1b[31m" not in screen.raw
    assert now(home, first).state is ApprovalState.ASKED
    assert now(home, second).state is ApprovalState.DECLINED


def test_a_question_that_was_closed_lately_can_be_opened_again(home: GateHome) -> None:
    approval = asked(home)
    with record_of(home) as record:
        record.answer(approval.approval_id, NO, through=Channel.PAGE, at=utc_now())
    with approvals(home) as screen:
        screen.wait_for("closed lately")
        screen.wait_for("Number")
        screen.type("1\n")
        answer(screen, "yes")
        screen.wait_for("Recorded: yes.")
        assert screen.exit_code() == 0
    with record_of(home) as record:
        newest = record.newest("run-1", at=utc_now())
    assert newest is not None
    assert newest.state is ApprovalState.APPROVED
    assert now(home, approval).state is ApprovalState.DECLINED


def test_a_start_against_the_preflight_needs_the_name_of_the_test(home: GateHome) -> None:
    approval = asked(home, can_proceed=False)
    with approvals(home) as screen:
        answer(screen, "yes")
        screen.wait_for("type the name of the test, Orders lookup: ")
        screen.type("orders\n")
        screen.wait_for("type the name of the test, Orders lookup: ")
        screen.type("Orders lookup\n")
        screen.wait_for("Recorded: yes.")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.APPROVED


def test_three_wrong_names_leave_the_question_open(home: GateHome) -> None:
    approval = asked(home, can_proceed=False)
    with approvals(home) as screen:
        answer(screen, "yes")
        for _ in range(3):
            screen.wait_for("Orders lookup: ")
            screen.type("orders\n")
        screen.wait_for("It stays open.")
        screen.type(CTRL_D)
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.ASKED


def test_a_yes_needs_the_pin_and_a_no_does_not(home: GateHome) -> None:
    Pin(home).set(SecretStr(PIN))
    first, second = asked(home), asked(home, "run-2")
    with approvals(home) as screen:
        screen.wait_for("Number")
        screen.type("1\n")
        answer(screen, "yes")
        screen.wait_for("Your PIN: ")
        screen.type("0000\n")
        screen.wait_for("That is not the PIN.")
        screen.wait_for("Your PIN: ")
        screen.type(f"{PIN}\n")
        screen.wait_for("Recorded: yes.")
        screen.wait_for("Number")
        screen.type("1\n")
        answer(screen, "no")
        screen.wait_for("Recorded: no.")
        assert screen.exit_code() == 0
    assert PIN not in screen.text
    states = [now(home, one).state for one in (first, second)]
    assert states == [ApprovalState.APPROVED, ApprovalState.DECLINED]
    assert moments(home).count(Moment.WRONG_PIN) == 1


def test_three_wrong_pins_leave_the_question_open(home: GateHome) -> None:
    Pin(home).set(SecretStr(PIN))
    approval = asked(home)
    with approvals(home) as screen:
        answer(screen, "yes")
        for _ in range(3):
            screen.wait_for("Your PIN: ")
            screen.type("0000\n")
        screen.wait_for("It stays open.")
        screen.type("\n")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.ASKED


def test_an_answer_that_comes_too_late_is_told_as_such(home: GateHome) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        with record_of(home) as record, record.engine.begin() as tx:
            long_ago = utc_now() - record.lifetimes.question
            tx.execute(APPROVALS.update().values(asked_at=long_ago))
        go_on(screen, "yes")
        screen.wait_for("That came too late: the question had expired.")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.EXPIRED


def test_an_answer_that_somebody_else_gave_meanwhile_is_not_overruled(home: GateHome) -> None:
    approval = asked(home)
    with approvals(home) as screen:
        screen.wait_for(DECIDE)
        with record_of(home) as record:
            record.answer(approval.approval_id, NO, through=Channel.PAGE, at=utc_now())
        go_on(screen, "yes")
        screen.wait_for("A question that is declined cannot approve.")
        assert screen.exit_code() == 0
    assert now(home, approval).state is ApprovalState.DECLINED


def test_a_pin_is_set_changed_and_removed_by_whoever_knows_it(home: GateHome) -> None:
    with approvals(home, "--set-pin") as screen:
        for _ in range(2):
            screen.wait_for("The new PIN")
            screen.wait_for(": ")
            screen.type(f"{PIN}\n")
        screen.wait_for("it is no boundary against one")
        assert screen.exit_code() == 0
    assert Pin(home).matches(SecretStr(PIN))
    with approvals(home, "--set-pin") as screen:
        for typed in ("0000", PIN):
            screen.wait_for("The PIN so far: ")
            screen.type(f"{typed}\n")
        for _ in range(2):
            screen.wait_for("The new PIN")
            screen.wait_for(": ")
            screen.type("another one\n")
        assert screen.exit_code() == 0
    with approvals(home, "--remove-pin") as screen:
        screen.wait_for("The PIN: ")
        screen.type("another one\n")
        screen.wait_for("The PIN is removed")
        assert screen.exit_code() == 0
    assert not Pin(home).is_set()
    assert moments(home) == ["pin_set", "wrong_pin", "pin_set", "pin_removed"]


def test_whoever_does_not_know_the_pin_changes_nothing(home: GateHome) -> None:
    Pin(home).set(SecretStr(PIN))
    with approvals(home, "--remove-pin") as screen:
        for _ in range(3):
            screen.wait_for("The PIN: ")
            screen.type("0000\n")
        assert screen.exit_code() == 1
    assert Pin(home).matches(SecretStr(PIN))


def test_two_new_pins_that_differ_change_nothing(home: GateHome) -> None:
    with approvals(home, "--set-pin") as screen:
        for typed in ("1234", "1243"):
            screen.wait_for("The new PIN")
            screen.wait_for(": ")
            screen.type(f"{typed}\n")
        screen.wait_for("The two are not the same.")
        assert screen.exit_code() == 1
    assert not Pin(home).is_set()


@pytest.mark.parametrize("words", [[], ["--set-pin"], ["--remove-pin"]])
def test_nothing_is_read_from_a_pipe(home: GateHome, words: list[str]) -> None:
    approval = asked(home)
    done = subprocess.run(
        [sys.executable, "-m", "benchgate", "approvals", *words],
        input="yes\n\n\n",
        capture_output=True,
        env=environment_of(home),
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "this is none: nothing is read from a pipe" in done.stderr
    assert now(home, approval).state is ApprovalState.ASKED


def test_with_nothing_to_answer_it_says_so_and_makes_no_record(home: GateHome) -> None:
    with approvals(home) as screen:
        screen.wait_for("Nothing waits for an answer in ")
        assert screen.exit_code() == 0
    assert not home.has_record


def test_where_the_terminal_is_not_allowed_it_takes_no_answer(home: GateHome) -> None:
    approval = asked(home)
    with approvals(home, approval_channels="elicitation,page") as screen:
        screen.wait_for("BENCHGATE_APPROVAL_CHANNELS does not name the terminal")
        assert screen.exit_code() == 2
    assert now(home, approval).state is ApprovalState.ASKED
