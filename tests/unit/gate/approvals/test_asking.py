"""The wait for a dialog's answer beside the look at what happens elsewhere."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from mcp.server.mcpserver import Context
from mcp.types import ElicitResult

from benchgate.errors import StoreError
from benchgate.gate.approvals import asking, desk
from benchgate.gate.approvals.asking import Prompt, Reply
from benchgate.gate.approvals.desk import Desk
from tests.unit.asked import home_in

pytestmark = pytest.mark.anyio


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
