"""The wait for a dialog's answer beside the look at what happens elsewhere."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from mcp.server.mcpserver import Context
from mcp.types import ElicitResult

from benchgate.domain.answers import (
    DECISION_FIELD,
    DECISIONS,
    MODE_FIELD,
    MODES,
    NOTE_FIELD,
    TYPED_FIELD,
    read_answer,
)
from benchgate.domain.approvals import ApprovalEvent, ExecutionMode
from benchgate.errors import StoreError
from benchgate.gate.approvals import asking, desk
from benchgate.gate.approvals.asking import Prompt, Reply
from benchgate.gate.approvals.desk import Desk
from tests.unit.asked import home_in

pytestmark = pytest.mark.anyio


def fields_of(prompt: Prompt) -> dict[str, Any]:
    return asking.form(prompt)["properties"]


def test_a_form_about_one_run_asks_for_a_decision_and_takes_a_note() -> None:
    form = asking.form(Prompt(question="Start?"))
    assert [*form["properties"]] == [DECISION_FIELD, NOTE_FIELD]
    assert form["properties"][DECISION_FIELD]["title"] == "Start this test?"
    assert form["properties"][DECISION_FIELD]["enum"] == [*DECISIONS]
    assert form["required"] == [DECISION_FIELD]


def test_a_form_against_the_preflights_advice_asks_for_the_name_too() -> None:
    assert TYPED_FIELD in fields_of(Prompt(question="Start?", typed="Orders"))


def test_a_form_about_several_tests_offers_a_and_b_and_demands_neither() -> None:
    form = asking.form(Prompt(question="Start?", asks_mode=True))
    mode = form["properties"][MODE_FIELD]
    assert form["properties"][DECISION_FIELD]["title"] == "Start these tests?"
    assert mode["title"].startswith("How? ")
    assert mode["enum"] == [*MODES]
    assert MODES[mode["default"]] is ExecutionMode.PAUSE
    assert form["required"] == [DECISION_FIELD]


@pytest.mark.parametrize("asks_mode", [True, False])
@pytest.mark.parametrize("typed", [None, "Orders"])
def test_a_form_has_no_field_that_its_answer_may_not_bring(
    typed: str | None, *, asks_mode: bool
) -> None:
    fields = fields_of(Prompt(question="Start?", typed=typed, asks_mode=asks_mode))
    filled: dict[str, object] = {
        name: (field["enum"][0] if "enum" in field else typed) for name, field in fields.items()
    }
    answer = read_answer("accept", filled, typed=typed, asks_mode=asks_mode)
    assert answer.event is ApprovalEvent.APPROVE
    assert answer.mode is (ExecutionMode.SEQUENTIAL if asks_mode else None)


async def test_a_no_stays_a_no_though_a_yes_elsewhere_is_being_read_at_that_moment() -> None:
    looking = anyio.Event()

    async def elicit_form(*_: Any) -> ElicitResult:
        await looking.wait()
        return ElicitResult(action="decline")

    async def goes_on() -> bool:
        looking.set()
        # As a thread that reads the record, this does not end because its caller is cancelled.
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        return False

    ctx = SimpleNamespace(
        session=SimpleNamespace(elicit_form=elicit_form),
        request_context=SimpleNamespace(request_id=1),
    )
    reply = await asking.reply_of(
        cast("Context", ctx),
        Prompt(question="Start?"),
        deadline=anyio.current_time() + 10,
        goes_on=goes_on,
    )
    assert isinstance(reply, Reply)
    assert reply.action == "decline"


async def test_a_record_that_hangs_holds_nobody_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, answers = Desk(home_in(tmp_path)), threading.Event()
    await kept.do(lambda record: record.head())
    monkeypatch.setattr(desk, "RECORD_SECONDS_MAX", 0.2)
    try:
        with pytest.raises(StoreError, match="did not answer within"), anyio.fail_after(5):
            await kept.do(lambda _: answers.wait(20))
    finally:
        answers.set()
    await kept.close()
