"""What an agent sees of an answer that a person gives without it: in a status, and at the end."""

from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client

from benchgate.gate.monitor import WAIT_SECONDS_MAX
from tests.acceptance.approver import Approver
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, NO, YES, Era, Person, call, client_of, text_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

# A wait that was not cut short is still going on then, however busy the machine is.
EARLY_SECONDS_MAX = WAIT_SECONDS_MAX - 5


async def status_of(client: Client, run_id: str, *, wait_seconds: float = 0) -> dict[str, Any]:
    return await call(client, "get_status", run_id=run_id, wait_seconds=wait_seconds)


async def asked(client: Client, home: Home) -> str:
    """A run whose question waits for a person without a client."""
    run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
    told = await call(client, "start_run", run_id=run_id)
    assert told["outcome"] == "awaiting_approval"
    return run_id


async def test_a_run_that_nobody_asked_about_has_no_approval(home: Home, era: Era) -> None:
    async with client_of(home.settings, era) as client:
        created = await call(client, "create_run", template_id=home.template())
        with anyio.fail_after(5):
            status = await status_of(client, created["run_id"], wait_seconds=WAIT_SECONDS_MAX)
    assert status["status"] == "PREPARED"
    assert "approval" not in status
    assert "next_check_seconds" not in status


async def test_a_question_that_waits_is_told_with_the_next_check(home: Home, era: Era) -> None:
    async with client_of(home.settings, era) as client:
        run_id = await asked(client, home)
        with anyio.fail_after(10):
            status = await status_of(client, run_id, wait_seconds=1)
    assert (status["status"], status["approval"]) == ("PREPARED", "asked")
    assert status["next_check_seconds"] == WAIT_SECONDS_MAX


async def test_a_wait_ends_early_when_a_yes_comes_from_elsewhere(home: Home, era: Era) -> None:
    person = Approver(home)
    seen: dict[str, Any] = {}
    async with client_of(home.settings, era) as client:
        run_id = await asked(client, home)

        answered = anyio.Event()

        async def wait() -> None:
            seen.update(await status_of(client, run_id, wait_seconds=WAIT_SECONDS_MAX))
            answered.set()

        with anyio.fail_after(EARLY_SECONDS_MAX):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                # It may take as long as it likes to begin, and must not be over without a yes.
                with anyio.move_on_after(0.5):
                    await answered.wait()
                assert seen == {}
                await to_thread.run_sync(person.says_yes, run_id)
        assert (seen["status"], seen["approval"]) == ("PREPARED", "approved")
        assert "next_check_seconds" not in seen
        result = await client.call_tool("get_status", {"run_id": run_id})
        assert "`start_run` starts it now, without another question" in text_of(result)

        started = await call(client, "start_run", run_id=run_id)
        assert started["outcome"] == "started"
        ended = await status_of(client, run_id, wait_seconds=WAIT_SECONDS_MAX)
    assert ended["status"] == "COMPLETED"
    assert "approval" not in ended


async def test_a_no_is_told_by_the_status(home: Home, era: Era) -> None:
    async with client_of(home.settings, era, Person(NO)) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        await call(client, "start_run", run_id=run_id)
        with anyio.fail_after(5):
            status = await status_of(client, run_id, wait_seconds=WAIT_SECONDS_MAX)
    assert (status["status"], status["approval"]) == ("PREPARED", "declined")
    assert "next_check_seconds" not in status


async def test_a_question_that_nobody_answered_in_time_is_told_as_expired(
    home: Home, era: Era
) -> None:
    person, lifetime_seconds = Approver(home), home.settings.question_ttl_seconds
    async with client_of(home.settings, era) as client:
        run_id = await asked(client, home)
        person.let_time_pass(run_id, seconds=lifetime_seconds + 1)
        status = await status_of(client, run_id)
    assert status["approval"] == "expired"
    assert person.state(run_id) == "expired"


async def test_a_run_that_has_started_tells_no_approval(home: Home, era: Era) -> None:
    async with client_of(home.settings, era, Person(YES)) as client:
        template_id = home.template(duration=60)
        run_id = (await call(client, "create_run", template_id=template_id))["run_id"]
        await call(client, "start_run", run_id=run_id)
        live = await status_of(client, run_id)
        await call(client, "stop_run", run_id=run_id)
        ended = await status_of(client, run_id, wait_seconds=WAIT_SECONDS_MAX)
    assert live["status"] in {"STARTING", "RUNNING"}
    assert "approval" not in live | ended
    assert ended["status"] == "CANCELLED"


async def test_a_hand_over_names_the_yes_of_each_run_and_the_head_of_the_ledger(
    home: Home, era: Era
) -> None:
    person = Approver(home)
    template_id = home.template()
    async with client_of(home.settings, era, Person(YES)) as client:
        mine = (await call(client, "create_run", template_id=template_id))["run_id"]
        await call(client, "start_run", run_id=mine)
        await status_of(client, mine, wait_seconds=WAIT_SECONDS_MAX)
    async with client_of(home.settings, era) as client:
        theirs = await asked(client, home)
        await to_thread.run_sync(person.says_yes, theirs)
        await call(client, "start_run", run_id=theirs)
        await status_of(client, theirs, wait_seconds=WAIT_SECONDS_MAX)
        elsewhere = started_by_hand(home, template_id)
        await status_of(client, elsewhere, wait_seconds=WAIT_SECONDS_MAX)

        one = await call(client, "get_results", run_ids=[mine])
        result = await client.call_tool("get_results", {"run_ids": [theirs, elsewhere, mine]})
    assert result.structured_content is not None
    several: dict[str, Any] = result.structured_content
    (evidence,) = one["approvals"]
    assert (evidence["run_id"], evidence["channel"]) == (mine, "elicitation")
    assert len(evidence["digest"]) == 64
    told = [(approval["run_id"], approval["channel"]) for approval in several["approvals"]]
    assert told == [(theirs, "terminal"), (mine, "elicitation")]
    assert several["status"] == "COMPLETED"
    assert several["approvals"][1] == evidence
    assert one["ledger_head"] == several["ledger_head"]
    number, _, digest = one["ledger_head"].partition(":")
    assert int(number) > 0
    assert len(digest) == 64
    assert f"{theirs} was started on a person's yes: terminal" in text_of(result)
    assert f"{elsewhere} was started" not in text_of(result)


async def test_a_run_that_was_started_elsewhere_is_handed_over_without_an_approval(
    home: Home, era: Era
) -> None:
    async with client_of(home.settings, era, Person(NO)) as client:
        elsewhere = started_by_hand(home, home.template())
        await status_of(client, elsewhere, wait_seconds=WAIT_SECONDS_MAX)
        other = (await call(client, "create_run", template_id=home.template()))["run_id"]
        await call(client, "start_run", run_id=other)
        handed = await call(client, "get_results", run_ids=[elsewhere])
    assert handed["status"] == "COMPLETED"
    assert "approvals" not in handed
    assert handed["ledger_head"]


def started_by_hand(home: Home, template_id: str) -> str:
    """A run that its person has started on the backend itself, which has no test running now."""
    run_id = home.ask("POST", "/api/runs/", body={"template_id": template_id})["run_id"]
    home.ask("POST", f"/api/runs/{run_id}/start")
    return run_id
