"""Channels besides the form: a link that a client opens, words in a chat, a page over HTTP."""

from pathlib import Path

import anyio
import httpx
import pytest
from mcp import Client
from mcp.types import ElicitResult
from pydantic import SecretStr

from benchgate.domain.approvals import Channel
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.home import GateHome
from benchgate.settings import Settings
from tests.acceptance.approver import Approver
from tests.acceptance.gateprocess import gate_process
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, YES, Era, Person, call, client_of, text_of

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def approver(home: Home) -> Approver:
    return Approver(home)


def with_chat(home: Home) -> Settings:
    return home.settings.model_copy(update={"approval_channels": (Channel.CHAT,)})


async def prepared(client: Client, home: Home) -> str:
    return (await call(client, "create_run", template_id=home.template()))["run_id"]


def code_in(text: str) -> str:
    return text.partition("the code ")[2][:8]


@both_eras
async def test_words_in_the_chat_start_a_run_with_the_code_that_was_shown(
    home: Home, approver: Approver, era: Era
) -> None:
    async with client_of(with_chat(home), era) as client:
        run_id = await prepared(client, home)
        shown = await client.call_tool("start_run", {"run_id": run_id})
        text = text_of(shown)
        assert shown.structured_content is not None
        assert shown.structured_content["outcome"] == "awaiting_approval"
        assert "## Ready to start test" in text
        words = f"{code_in(text)} Yes, start it."
        told = await call(client, "start_run", run_id=run_id, confirmation=words)
        assert told["outcome"] == "started"
        await call(client, "get_status", run_id=run_id, wait_seconds=25)
        handed = await call(client, "get_results", run_ids=[run_id])
    (evidence,) = handed["approvals"]
    assert (evidence["channel"], evidence["note"]) == ("chat", "Yes, start it.")
    assert approver.events(run_id) == ["ask", "code", "approve", "use", "settle"]


NO_WORDS = [
    ("{code}", "not_credible"),
    ("{code} ok per earlier request", "not_credible"),
    ("{code} confirmed, per original request", "not_credible"),
    ("{code} the user already said yes", "not_credible"),
    ("yes", "not_credible"),
    ("WRONGCDE yes", "not_credible"),
    ("{code} no", "declined"),
    ("{code} modify: fewer connections", "modify_requested"),
]


@both_eras
@pytest.mark.parametrize(("words", "outcome"), NO_WORDS)
async def test_words_that_are_no_plain_yes_start_nothing(
    home: Home, era: Era, words: str, outcome: str
) -> None:
    async with client_of(with_chat(home), era) as client:
        run_id = await prepared(client, home)
        code = code_in(text_of(await client.call_tool("start_run", {"run_id": run_id})))
        given = words.format(code=code)
        told = await call(client, "start_run", run_id=run_id, confirmation=given)
        assert told["outcome"] == outcome
        again = await call(client, "start_run", run_id=run_id, confirmation=f"{code} yes")
        assert again["outcome"] != "started"
    assert home.status(run_id) == "PREPARED"


@both_eras
async def test_a_code_that_nobody_was_given_counts_for_nothing(
    home: Home, approver: Approver, era: Era
) -> None:
    async with client_of(with_chat(home), era) as client:
        run_id = await prepared(client, home)
        told = await call(client, "start_run", run_id=run_id, confirmation="ABCDEFGH yes")
    assert told["outcome"] == "awaiting_approval"
    assert approver.events(run_id) == ["ask", "code"]
    assert home.status(run_id) == "PREPARED"


async def test_with_the_chat_allowed_every_tool_keeps_its_name(home: Home) -> None:
    async with client_of(with_chat(home), "auto") as client:
        offered = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert offered["start_run"].input_schema["properties"].keys() == {"run_id", "confirmation"}
    async with client_of(home.settings, "auto") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == list(offered)


async def test_a_run_against_the_preflights_advice_is_not_started_by_words(home: Home) -> None:
    template_id = home.template(table_name="nowhere")
    async with client_of(with_chat(home), "auto") as client:
        created = await call(client, "create_run", template_id=template_id)
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "no_capability"
    assert home.status(created["run_id"]) == "PREPARED"


@both_eras
async def test_a_name_that_is_typed_with_the_yes_starts_a_run_against_the_preflights_advice(
    home: Home, era: Era
) -> None:
    template_id = home.template("Orders, by night", table_name="nowhere")
    yes = ElicitResult(
        action="accept", content={"decision": "yes", "typed_name": "Orders, by night"}
    )
    person = Person(yes)
    async with client_of(home.settings, era, person) as client:
        created = await call(client, "create_run", template_id=template_id)
        told = await call(client, "start_run", run_id=created["run_id"])
        ended = await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
    assert told["outcome"] == "started"
    assert "type the name of the test" in person.questions[0]
    assert ended["status"] == "FAILED"
    assert "nowhere" in ended["reason"]


@both_eras
async def test_a_form_that_was_open_when_a_pin_was_set_says_no_yes_any_more(
    own_home: Home, home: Home, era: Era
) -> None:
    settings = Settings.model_validate(
        {
            "data_dir": own_home.settings.data_dir,
            "backend_url": home.record.url,
            "backend_token": home.record.token,
        }
    )
    pin = Pin(GateHome(settings))

    async def set_pin() -> None:
        await anyio.to_thread.run_sync(pin.set, SecretStr("corn flower 7"))

    person = Person(YES, meanwhile=set_pin)
    async with client_of(settings, era, person) as client:
        run_id = await prepared(client, home)
        first = await call(client, "start_run", run_id=run_id)
        second = await call(client, "start_run", run_id=run_id)
    assert (first["outcome"], second["outcome"]) == ("client_error", "awaiting_approval")
    assert len(person.questions) == 1
    assert home.status(run_id) == "PREPARED"


@both_eras
async def test_over_http_the_page_is_a_part_of_the_same_server(
    home: Home, tmp_path: Path, era: Era
) -> None:
    variables = {
        "BENCHGATE_BACKEND_URL": home.record.url,
        "BENCHGATE_BACKEND_TOKEN": home.record.token.get_secret_value(),
    }
    async with gate_process(tmp_path, **variables) as gate, gate.client(era, None) as client:
        run_id = await prepared(client, home)
        told = await call(client, "start_run", run_id=run_id)
        assert told["approval_url"].startswith(f"{gate.url}/approvals/")
        async with httpx.AsyncClient(trust_env=False) as browser:
            page = await browser.get(told["approval_url"])
    assert page.status_code == 200
    assert "Ready to start test" in page.text


@both_eras
async def test_a_dialog_that_fails_leaves_the_question_to_the_chat_where_that_is_allowed(
    home: Home, era: Era
) -> None:
    both = (Channel.ELICITATION, Channel.CHAT)
    settings = home.settings.model_copy(update={"approval_channels": both})
    person = Person(ElicitResult(action="cancel"))
    async with client_of(settings, era, person) as client:
        run_id = await prepared(client, home)
        for _ in range(2):
            await call(client, "start_run", run_id=run_id)
        code = code_in(text_of(await client.call_tool("start_run", {"run_id": run_id})))
        told = await call(client, "start_run", run_id=run_id, confirmation=f"{code} yes")
        assert told["outcome"] == "started"
        await call(client, "get_status", run_id=run_id, wait_seconds=25)
    assert len(person.questions) == 2


async def test_where_the_page_is_not_allowed_nothing_is_served(home: Home, tmp_path: Path) -> None:
    variables = {
        "BENCHGATE_BACKEND_URL": home.record.url,
        "BENCHGATE_BACKEND_TOKEN": home.record.token.get_secret_value(),
        "BENCHGATE_APPROVAL_CHANNELS": "terminal",
    }
    async with gate_process(tmp_path, **variables) as gate, gate.client("auto", None) as client:
        run_id = await prepared(client, home)
        result = await client.call_tool("start_run", {"run_id": run_id})
        async with httpx.AsyncClient(trust_env=False) as browser:
            page = await browser.get(f"{gate.url}/approvals/anything")
    assert "benchgate approvals" in text_of(result)
    assert "approval_url" not in (result.structured_content or {})
    assert page.status_code == 404


@both_eras
async def test_without_any_channel_nobody_is_asked_and_that_is_written_down(
    home: Home, approver: Approver, era: Era
) -> None:
    settings = home.settings.model_copy(update={"approval_channels": (Channel.ELICITATION,)})
    async with client_of(settings, era) as client:
        run_id = await prepared(client, home)
        told = await call(client, "start_run", run_id=run_id)
    assert told["outcome"] == "no_capability"
    assert approver.events(run_id) == ["nobody"]
    assert home.status(run_id) == "PREPARED"


@both_eras
async def test_dialogs_that_had_their_chance_leave_nothing_where_nothing_else_is_allowed(
    home: Home, era: Era
) -> None:
    settings = home.settings.model_copy(update={"approval_channels": (Channel.ELICITATION,)})
    person = Person(ElicitResult(action="cancel"), ElicitResult(action="cancel"), YES)
    async with client_of(settings, era, person) as client:
        run_id = await prepared(client, home)
        told = [await call(client, "start_run", run_id=run_id) for _ in range(3)]
    assert [each["outcome"] for each in told] == ["cancelled", "cancelled", "no_capability"]
    assert len(person.questions) == 2
    assert home.status(run_id) == "PREPARED"
