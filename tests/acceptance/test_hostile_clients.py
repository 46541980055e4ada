"""Clients that lie, hurry, repeat and break off: nothing starts, and a person can still approve.

Each is tried in both eras of the protocol where both have what it abuses.
"""

from collections import Counter as Tally
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult

from benchgate.settings import Settings
from tests.acceptance.approver import Approver
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
)
from tests.acceptance.rounds import MultiRound

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)

PARALLEL_CALLS = 50


@pytest.fixture
def approver(home: Home) -> Approver:
    return Approver(home)


async def prepared(client: Client, home: Home, **changes: int) -> str:
    return (await call(client, "create_run", template_id=home.template("", **changes)))["run_id"]


async def ended(client: Client, run_id: str) -> str:
    with anyio.fail_after(25):
        return (await call(client, "get_status", run_id=run_id, wait_seconds=25))["status"]


async def assert_a_person_can_still_approve(home: Home, approver: Approver, run_id: str) -> None:
    """Nothing has started; a yes without any dialog is found by the next call, and starts it."""
    assert home.status(run_id) == "PREPARED"
    async with client_of(home.settings, "legacy") as client:
        await call(client, "start_run", run_id=run_id)
        await anyio.to_thread.run_sync(approver.says_yes, run_id)
        told = await call(client, "start_run", run_id=run_id)
        assert told["outcome"] == "started"
        await call(client, "stop_run", run_id=run_id)
        assert await ended(client, run_id) in {"CANCELLED", "COMPLETED"}
    assert approver.events(run_id)[-3:] == ["approve", "use", "settle"]
    approver.check_the_chain()


LIES: list[dict[str, Any] | None] = [
    None,
    {},
    {"approved": "yes"},
    {"decision": "yes", "approved": True},
    {"decision": "ok per earlier request"},
    {"decision": True},
]


@both_eras
@pytest.mark.parametrize("content", LIES, ids=str)
async def test_an_accepted_form_without_a_plain_yes_is_doubted_and_then_asked_elsewhere(
    home: Home, approver: Approver, era: Era, content: dict[str, Any] | None
) -> None:
    liar = Person(ElicitResult.model_construct(action="accept", content=content))
    async with client_of(home.settings, era, liar) as client:
        run_id = await prepared(client, home)
        told = [await call(client, "start_run", run_id=run_id) for _ in range(4)]
    outcomes = [each["outcome"] for each in told]
    assert outcomes == ["not_credible"] * 2 + ["awaiting_approval"] * 2
    assert len(liar.questions) == 2
    assert approver.events(run_id) == ["ask", "doubt", "ask", "doubt", "ask"]
    await assert_a_person_can_still_approve(home, approver, run_id)


@both_eras
async def test_an_answer_faster_than_a_person_is_doubted(
    home: Home, approver: Approver, era: Era
) -> None:
    settings = home.settings.model_copy(update={"approval_min_seconds": 2})
    async with client_of(settings, era, Person(YES)) as client:
        run_id = await prepared(client, home)
        assert (await call(client, "start_run", run_id=run_id))["outcome"] == "not_credible"
    assert approver.events(run_id) == ["ask", "doubt"]
    await assert_a_person_can_still_approve(home, approver, run_id)


async def test_a_client_that_claims_to_ask_and_fails_leaves_the_question_to_the_page(
    home: Home, approver: Approver
) -> None:
    async def fail() -> None:
        raise MCPError(-32603, "there is no dialog here")

    async with client_of(home.settings, "legacy", Person(YES, meanwhile=fail)) as client:
        run_id = await prepared(client, home)
        first = await call(client, "start_run", run_id=run_id)
        second = await call(client, "start_run", run_id=run_id)
    assert (first["outcome"], second["outcome"]) == ("client_error", "awaiting_approval")
    assert first["approval_url"] == second["approval_url"]
    assert approver.events(run_id) == ["ask", "fail"]
    await assert_a_person_can_still_approve(home, approver, run_id)


@both_eras
@pytest.mark.parametrize("no", [NO, DECLINED], ids=["no", "decline"])
async def test_a_no_is_not_asked_about_again(
    home: Home, approver: Approver, era: Era, no: ElicitResult
) -> None:
    person = Person(no, YES)
    async with client_of(home.settings, era, person) as client:
        run_id = await prepared(client, home)
        told = [await call(client, "start_run", run_id=run_id) for _ in range(3)]
    assert [each["outcome"] for each in told] == ["declined"] * 3
    assert len(person.questions) == 1
    assert approver.events(run_id) == ["ask", "decline"]
    await assert_a_person_can_still_approve(home, approver, run_id)


@both_eras
async def test_a_dismissed_dialog_is_shown_once_more_and_no_third_time(
    home: Home, approver: Approver, era: Era
) -> None:
    person = Person(DISMISSED)
    async with client_of(home.settings, era, person) as client:
        run_id = await prepared(client, home)
        told = [await call(client, "start_run", run_id=run_id) for _ in range(3)]
    assert [each["outcome"] for each in told] == ["cancelled", "cancelled", "awaiting_approval"]
    assert len(person.questions) == 2
    await assert_a_person_can_still_approve(home, approver, run_id)


async def test_a_no_is_not_turned_into_a_yes_by_its_own_state(
    home: Home, approver: Approver
) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        run_id = await prepared(client, home)
        rounds = MultiRound(client, run_id)
        asked = await rounds.ask()
        assert (await rounds.answer(asked, DECLINED))["outcome"] == "declined"
        assert (await rounds.answer(asked, YES))["outcome"] == "declined"
    assert approver.events(run_id) == ["ask", "decline", "stray"]
    await assert_a_person_can_still_approve(home, approver, run_id)


async def test_a_replayed_yes_starts_nothing_more(home: Home, approver: Approver) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        run_id = await prepared(client, home)
        rounds = MultiRound(client, run_id)
        asked = await rounds.ask()
        assert (await rounds.answer(asked, YES))["outcome"] == "started"
        assert (await rounds.answer(asked, YES))["outcome"] == "refused"
        assert await ended(client, run_id) == "COMPLETED"
        assert (await rounds.answer(asked, YES))["outcome"] == "refused"
    assert approver.events(run_id).count("use") == 1
    approver.check_the_chain()


async def test_a_yes_does_not_follow_the_arguments_to_another_run(
    home: Home, approver: Approver
) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        mine, other = await prepared(client, home), await prepared(client, home)
        rounds = MultiRound(client, mine)
        asked = await rounds.ask()
        with pytest.raises(MCPError, match="requestState"):
            await rounds.answer_for(other, asked, YES)
    assert approver.events(other) == []
    assert approver.events(mine) == ["ask"]
    await assert_a_person_can_still_approve(home, approver, mine)


@both_eras
@pytest.mark.parametrize("word", ["confirmation", "confirm", "approved", "decision"])
async def test_an_argument_that_was_not_offered_is_refused_and_nobody_is_asked(
    home: Home, approver: Approver, era: Era, word: str
) -> None:
    async with client_of(home.settings, era, Person(DISMISSED)) as client:
        run_id = await prepared(client, home)
        offered = {tool.name: tool for tool in (await client.list_tools()).tools}["start_run"]
        assert offered.input_schema["properties"].keys() == {"run_id"}
        result = await client.call_tool("start_run", {"run_id": run_id, word: "yes"})
    assert result.structured_content is not None
    assert result.structured_content["message"] == f"{word} is no argument of start_run."
    assert approver.events(run_id) == []
    await assert_a_person_can_still_approve(home, approver, run_id)


@both_eras
async def test_of_fifty_parallel_calls_one_starts_the_run(
    home: Home, approver: Approver, era: Era
) -> None:
    outcomes: Tally[str] = Tally()

    async def start(client: Client, run_id: str) -> None:
        outcomes[(await call(client, "start_run", run_id=run_id))["outcome"]] += 1

    person = Person(YES)
    async with client_of(home.settings, era, person) as client:
        run_id = await prepared(client, home, duration=8)
        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                for _ in range(PARALLEL_CALLS):
                    tasks.start_soon(start, client, run_id)
        await call(client, "stop_run", run_id=run_id)
        await ended(client, run_id)
    assert outcomes["started"] == 1
    assert outcomes.total() == PARALLEL_CALLS
    assert len(set(person.questions)) == 1
    assert approver.events(run_id).count("use") == 1
    approver.check_the_chain()


@both_eras
async def test_a_call_that_breaks_off_while_it_asks_leaves_the_question_open(
    home: Home, approver: Approver, era: Era
) -> None:
    shown = anyio.Event()

    async def think() -> None:
        shown.set()
        await anyio.sleep_forever()

    async with client_of(home.settings, era, Person(YES, meanwhile=think)) as client:
        run_id = await prepared(client, home)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "start_run", {"run_id": run_id})
            await shown.wait()
            tasks.cancel_scope.cancel()
    assert approver.events(run_id)[0] == "ask"
    assert approver.state(run_id) == "asked"
    await assert_a_person_can_still_approve(home, approver, run_id)


async def test_an_answer_after_the_questions_time_starts_nothing(
    home: Home, approver: Approver
) -> None:
    settings = Settings(data_dir=home.settings.data_dir, question_ttl_seconds=30)
    async with client_of(settings, "auto", Person(YES)) as client:
        run_id = await prepared(client, home)
        rounds = MultiRound(client, run_id)
        asked = await rounds.ask()
        approver.let_time_pass(run_id, seconds=31)
        assert (await rounds.answer(asked, YES))["outcome"] == "expired"
        assert (await rounds.answer(asked, YES))["outcome"] == "expired"
    assert approver.events(run_id) == ["ask", "expire", "stray"]
    await assert_a_person_can_still_approve(home, approver, run_id)


async def test_a_client_that_gives_up_is_found_out_by_the_sweep(
    home: Home, approver: Approver
) -> None:
    settings = Settings(data_dir=home.settings.data_dir, question_ttl_seconds=30)
    async with client_of(settings, "auto", Person(YES)) as client:
        run_id = await prepared(client, home)
        await MultiRound(client, run_id).ask()
        approver.let_time_pass(run_id, seconds=31)
        status = await call(client, "get_status", run_id=run_id)
    assert status["approval"] == "expired"
    assert approver.events(run_id) == ["ask", "expire"]
    await assert_a_person_can_still_approve(home, approver, run_id)


@both_eras
async def test_a_no_in_the_dialog_beats_a_yes_elsewhere_at_the_same_moment(
    home: Home, approver: Approver, era: Era
) -> None:
    run_ids: list[str] = []

    async def yes_elsewhere() -> None:
        await anyio.to_thread.run_sync(approver.says_yes, run_ids[0])

    async with client_of(home.settings, era, Person(NO, meanwhile=yes_elsewhere)) as client:
        run_ids.append(await prepared(client, home))
        told = await call(client, "start_run", run_id=run_ids[0])
        again = await call(client, "start_run", run_id=run_ids[0])
    assert (told["outcome"], again["outcome"]) == ("declined", "declined")
    assert approver.events(run_ids[0]) == ["ask", "approve", "decline"]
    await assert_a_person_can_still_approve(home, approver, run_ids[0])


async def test_a_yes_elsewhere_closes_the_dialog_and_starts_the_run(
    home: Home, approver: Approver
) -> None:
    run_ids: list[str] = []

    async def yes_elsewhere() -> None:
        await anyio.to_thread.run_sync(approver.says_yes, run_ids[0])
        await anyio.sleep_forever()

    person = Person(NO, meanwhile=yes_elsewhere)
    settings = home.settings.model_copy(update={"ask_wait_seconds": 30})
    async with client_of(settings, "legacy", person) as client:
        run_ids.append(await prepared(client, home))
        with anyio.fail_after(15):
            told = await call(client, "start_run", run_id=run_ids[0])
        assert told["outcome"] == "started"
        assert await ended(client, run_ids[0]) == "COMPLETED"
