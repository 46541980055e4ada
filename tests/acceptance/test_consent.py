"""Nothing starts without a yes to exactly what is true: hostile clients, races, second thoughts."""

from collections import Counter
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult

from benchgate.gate.approvals import asking
from tests.acceptance.home import Home
from tests.acceptance.person import (
    DECLINED,
    DISMISSED,
    ERAS,
    NO,
    YES,
    Era,
    Person,
    call,
    client_of,
    text_of,
)

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)


def accepted(content: dict[str, Any] | None) -> ElicitResult:
    return ElicitResult.model_construct(action="accept", content=content)


NOT_A_YES = [
    (NO, "declined"),
    (DECLINED, "declined"),
    (DISMISSED, "cancelled"),
    (accepted({"decision": "modify", "note": "half the load"}), "modify_requested"),
    (accepted(None), "not_credible"),
    (accepted({}), "not_credible"),
    (accepted({"decision": ""}), "not_credible"),
    (accepted({"decision": "YES"}), "not_credible"),
    (accepted({"decision": "yes, as per the original request"}), "not_credible"),
    (accepted({"decision": ["yes"]}), "not_credible"),
    (accepted({"decision": True}), "not_credible"),
    (accepted({"approved": True}), "not_credible"),
    (accepted({"decision": "yes", "confirm": True}), "not_credible"),
    (accepted({"decision": "yes", "note": 7}), "not_credible"),
]


@both_eras
@pytest.mark.parametrize(("answer", "outcome"), NOT_A_YES, ids=lambda v: str(v)[:60])
async def test_whatever_is_not_an_explicit_yes_starts_nothing(
    home: Home, era: Era, answer: ElicitResult, outcome: str
) -> None:
    async with client_of(home.settings, era, Person(answer)) as client:
        created = await call(client, "create_run", template_id=home.template())
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == outcome
    assert home.status(created["run_id"]) == "PREPARED"


@both_eras
async def test_the_note_of_a_person_who_wants_changes_comes_back(home: Home, era: Era) -> None:
    person = Person(accepted({"decision": "modify", "note": "only 4\nconnections"}))
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=home.template())
        result = await client.call_tool("start_run", {"run_id": created["run_id"]})
    assert result.structured_content is not None
    assert result.structured_content["note"] == "only 4 connections"
    assert "only 4 connections" in text_of(result)


@both_eras
async def test_a_client_that_cannot_ask_gets_a_link_for_its_person_and_starts_nothing(
    home: Home, era: Era
) -> None:
    async with client_of(home.settings, era) as client:
        created = await call(client, "create_run", template_id=home.template())
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "awaiting_approval"
    assert told["approval_url"].startswith("http://127.0.0.1:")
    assert home.status(created["run_id"]) == "PREPARED"


@both_eras
@pytest.mark.parametrize("word", ["confirm", "confirmation", "approved", "decision"])
async def test_an_argument_of_the_models_own_is_no_answer(home: Home, era: Era, word: str) -> None:
    person = Person(NO)
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=home.template())
        result = await client.call_tool("start_run", {"run_id": created["run_id"], word: "yes"})
    assert result.is_error or len(person.questions) == 1
    assert home.status(created["run_id"]) == "PREPARED"


@both_eras
async def test_of_twenty_parallel_calls_one_starts_the_run(home: Home, era: Era) -> None:
    outcomes: Counter[str] = Counter()

    async def start(client: Client, run_id: str) -> None:
        outcomes[(await call(client, "start_run", run_id=run_id))["outcome"]] += 1

    async with client_of(home.settings, era, Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template(duration=5))
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(start, client, created["run_id"])
        await call(client, "stop_run", run_id=created["run_id"])
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
    assert outcomes["started"] == 1
    assert outcomes.total() == 20


async def test_a_person_never_sees_two_dialogs_for_one_run(home: Home) -> None:
    asked = anyio.Event()
    answered = anyio.Event()

    async def think() -> None:
        asked.set()
        await answered.wait()

    person = Person(NO, meanwhile=think)
    second: dict[str, Any] = {}
    async with client_of(home.settings, "legacy", person) as client:
        created = await call(client, "create_run", template_id=home.template())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "start_run", {"run_id": created["run_id"]})
            await asked.wait()
            second = await call(client, "start_run", run_id=created["run_id"])
            answered.set()
    assert second["outcome"] == "already_asked"
    assert len(person.questions) == 1


async def test_a_person_who_takes_time_is_not_hurried_and_the_question_stays(home: Home) -> None:
    slow = Person(YES, meanwhile=anyio.sleep_forever)
    async with client_of(home.settings, "legacy", slow) as client:
        created = await call(client, "create_run", template_id=home.template())
        with anyio.fail_after((home.settings.ask_wait_seconds or 0) + 2):
            told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "awaiting_approval"
    assert home.status(created["run_id"]) == "PREPARED"

    ready = Person(YES)
    async with client_of(home.settings, "legacy", ready) as client:
        started = await call(client, "start_run", run_id=created["run_id"])
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
    assert started["outcome"] == "started"
    assert ready.questions == slow.questions


async def test_a_host_hears_that_a_person_is_thinking(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asking.PROGRESS_INTERVAL_SECONDS == 10
    monkeypatch.setattr(asking, "PROGRESS_INTERVAL_SECONDS", 0.05)
    heard: list[float] = []
    enough = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert message == "Waiting for the person's answer"
        heard.append(progress)
        if len(heard) == 3:
            enough.set()

    async with client_of(home.settings, "legacy", Person(NO, meanwhile=enough.wait)) as client:
        created = await call(client, "create_run", template_id=home.template())
        with anyio.fail_after(10):
            await client.call_tool(
                "start_run", {"run_id": created["run_id"]}, progress_callback=hear
            )
    assert heard == sorted(set(heard))


async def test_a_client_that_fails_while_it_asks_starts_nothing(home: Home) -> None:
    async def fail() -> None:
        raise MCPError(-32603, "the dialog crashed")

    async with client_of(home.settings, "legacy", Person(YES, meanwhile=fail)) as client:
        created = await call(client, "create_run", template_id=home.template())
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "client_error"
    assert home.status(created["run_id"]) == "PREPARED"


@both_eras
async def test_a_target_that_goes_away_during_the_question_is_not_started(
    own_home: Home, era: Era, home: Home
) -> None:
    async def move() -> None:
        if own_home.database.exists():
            own_home.database.rename(own_home.database.with_suffix(".moved"))

    template_id = home.template(database=str(own_home.database))
    async with client_of(home.settings, era, Person(YES, meanwhile=move)) as client:
        created = await call(client, "create_run", template_id=template_id)
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "refused"
    assert "name of the test" in told["reason"]
    assert home.status(created["run_id"]) == "PREPARED"
