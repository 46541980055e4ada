"""The prompts over the protocol, in both of its eras: their rules, arguments and refusals."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, TextContent

from benchgate.gate import guides
from benchgate.gate.blocks import Blocks
from benchgate.gate.guides import ARGUMENT_CHARACTERS_MAX, GUIDES, Guide, PlannedTests
from benchgate.gate.names import GuideName, ToolName
from tests.unit.hostile import VISIBLE, structure_of

pytestmark = pytest.mark.anyio

EXAMPLES: dict[str, str] = {
    "template_id": "tpl-1",
    "run_id": "run-789xyz",
    "run_ids": "run-1, run-2",
    "tests": "Orders lookup, Orders *scan*",
}


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    server: MCPServer[Any] = MCPServer("guides", log_level="ERROR")
    guides.register(server, Blocks())
    async with Client(server, mode=request.param) as client:
        yield client


def arguments_of(guide: Guide) -> dict[str, str]:
    return {argument.name: EXAMPLES[argument.name] for argument in guide.arguments}


async def text_of(client: Client, name: str, arguments: dict[str, str]) -> str:
    (message,) = (await client.get_prompt(name, arguments)).messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def refusal_of(client: Client, name: str, arguments: dict[str, str] | None) -> str:
    with pytest.raises(MCPError) as caught:
        await client.get_prompt(name, arguments)
    assert caught.value.code == INVALID_PARAMS
    return caught.value.message


async def test_the_prompts_are_listed_with_everything_that_a_host_shows(client: Client) -> None:
    listed = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in listed] == [name.value for name in GuideName]
    for prompt in listed:
        assert prompt.title
        assert prompt.description
        for argument in prompt.arguments or []:
            assert argument.description
            assert argument.required


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
async def test_every_prompt_names_its_arguments_and_tools(client: Client, guide: Guide) -> None:
    text = await text_of(client, guide.name, arguments_of(guide))
    for item in ",".join(arguments_of(guide).values()).split(","):
        assert item.strip() in text
    assert any(f"`{tool}`" in text for tool in ToolName)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
async def test_every_prompt_carries_the_rules(client: Client, guide: Guide) -> None:
    text = await text_of(client, guide.name, arguments_of(guide))
    for rule in (
        "**CRITICAL rules**",
        "Never start a test without the person's explicit yes",
        "Silence, a closed dialog or an earlier wish is no yes",
        "Run tests SEQUENTIALLY, never in parallel",
        "Only a COMPLETED run has results",
    ):
        assert rule in text


async def test_the_mode_question_is_the_specifications_with_pause_as_its_default(
    client: Client,
) -> None:
    text = await text_of(client, "execution_mode", {"tests": "Orders lookup, Orders scan"})
    for line in (
        "1. `Orders lookup`",
        "2. `Orders scan`",
        "> You have 2 tests to run:",
        "> How would you like to proceed?",
        "> A) Run all tests sequentially (the next test starts automatically after each completes)",
        "> B) Pause after each test (you are asked before the next one starts)",
    ):
        assert line in text.splitlines()
    assert (
        "If they do not specify, it is option B: it is safer and gives them more control." in text
    )
    assert "A wish that they told you earlier is no choice" in text
    for tool in (ToolName.CREATE_COMPARISON, ToolName.START_COMPARISON, ToolName.GET_COMPARISON):
        assert f"`{tool}`" in text
    assert "Without a yes nothing starts." in text


async def test_a_comparison_is_guided_through_its_tools_in_their_order(client: Client) -> None:
    text = await text_of(client, "run_comparison", {"tests": "Orders lookup, Orders scan"})
    for line in ("1. `Orders lookup`", "2. `Orders scan`"):
        assert line in text.splitlines()
    steps = text.split("**Steps**")[1].split("To stop:")[0]
    tools = ("list_templates", "create_comparison", "start_comparison", "get_comparison")
    places = [steps.index(f"`{tool}`") for tool in (*tools, "get_results")]
    assert places == sorted(places)
    for rule in (
        "you never create or start its runs yourself",
        "Without a choice it is B.",
        "It never skips a test.",
        "`stop_run` on the active run stops the comparison too",
        "only the person's yes resumes it",
    ):
        assert rule in text


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
async def test_a_wish_to_modify_leads_to_the_tool_that_asks_anew(
    client: Client, guide: Guide
) -> None:
    """A new run would be none of a comparison's."""
    rules = (await text_of(client, guide.name, arguments_of(guide))).split("**CRITICAL rules**")[1]
    (rule,) = [line for line in rules.splitlines() if "After a wish to modify" in line]
    of_comparison = guide.name in {GuideName.RUN_COMPARISON, GuideName.EXECUTION_MODE}
    assert ("`start_comparison`" in rule) is of_comparison
    assert ("`create_run`" in rule) is not of_comparison


async def test_a_comparison_that_was_lost_can_be_found(client: Client) -> None:
    text = await text_of(client, "run_comparison", {"tests": "2"})
    assert "`get_comparison` without it lists the open ones" in text


@pytest.mark.parametrize("name", ["execution_mode", "run_comparison"])
async def test_nothing_of_several_tests_is_started_by_the_agent(client: Client, name: str) -> None:
    text = await text_of(client, name, {"tests": "3"})
    told = text.split("**CRITICAL rules**")[0]
    assert "3 tests" in told
    assert not {"start_run", "create_run"} & {*told.split("`")}


async def test_the_mode_question_needs_no_more_than_a_number(client: Client) -> None:
    text = await text_of(client, "execution_mode", {"tests": "3"})
    assert "> You have 3 tests to run:" in text
    assert text.startswith("Tests to run: 3.")


async def test_a_list_of_runs_is_read_once_each_and_in_its_order(client: Client) -> None:
    text = await text_of(client, "analyze_results", {"run_ids": " b , a,b,, "})
    assert text.startswith("Analyze the results of `b, a`.")
    assert "Compare them run by run" in text
    alone = await text_of(client, "analyze_results", {"run_ids": "a"})
    assert "Compare them run by run" not in alone


@pytest.mark.parametrize("name", ["execute", "Execute_Test", "", "start_run", "x" * 10_000, "a\nb"])
async def test_an_unknown_prompt_is_invalid_and_the_known_ones_are_named(
    client: Client, name: str
) -> None:
    message = await refusal_of(client, name, {})
    assert "execute_test" in message
    assert len(message) < 300


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
@pytest.mark.parametrize("given_value", [None, "", "  \n"])
async def test_a_missing_argument_is_invalid_and_named(
    client: Client, guide: Guide, given_value: str | None
) -> None:
    name = guide.arguments[0].name
    arguments = None if given_value is None else {name: given_value}
    assert f"{name} is required" in await refusal_of(client, guide.name, arguments)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
async def test_an_argument_too_many_is_invalid_and_named(client: Client, guide: Guide) -> None:
    arguments = arguments_of(guide) | {"confirm": "yes"}
    assert "does not take 'confirm'" in await refusal_of(client, guide.name, arguments)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
async def test_an_overlong_argument_is_invalid(client: Client, guide: Guide) -> None:
    name = guide.arguments[0].name
    message = await refusal_of(client, guide.name, {name: "1" * (ARGUMENT_CHARACTERS_MAX + 1)})
    assert f"{name} has more than {ARGUMENT_CHARACTERS_MAX} characters" in message


@pytest.mark.parametrize(
    "run_id", ["../x", "a/b", "a b", "a\nb", "'a'", "`a`", "é", "-a", "a" * 65, "a\u200b", "a,b"]
)
async def test_an_id_that_is_none_is_invalid(client: Client, run_id: str) -> None:
    message = await refusal_of(client, "monitor_run", {"run_id": run_id})
    assert message.startswith("run_id: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("analyze_results", {"run_ids": ", ,"}),
        ("analyze_results", {"run_ids": ",".join(f"r{n}" for n in range(21))}),
        ("analyze_results", {"run_ids": "a,b/c"}),
        ("execution_mode", {"tests": "0"}),
        ("execution_mode", {"tests": "21"}),
        ("execution_mode", {"tests": "9" * 1_000}),
        ("execution_mode", {"tests": ","}),
        ("execution_mode", {"tests": "n" * 256}),
        ("run_comparison", {"tests": "21"}),
    ],
    ids=str,
)
async def test_a_list_out_of_bounds_is_invalid(
    client: Client, name: str, arguments: dict[str, str]
) -> None:
    assert "cannot be used" in await refusal_of(client, name, arguments)


async def test_after_a_refusal_the_server_still_answers(client: Client) -> None:
    await refusal_of(client, "nothing", None)
    assert "run-789xyz" in await text_of(client, "stop_test", {"run_id": "run-789xyz"})


@pytest.mark.parametrize("guide", [GuideName.EXECUTION_MODE, GuideName.RUN_COMPARISON])
def test_the_name_of_a_test_cannot_alter_a_prompt(guide: GuideName) -> None:
    blocks = Blocks()

    def rendered(name: str) -> str:
        tests = PlannedTests(number=2, names=(name, name))
        return blocks.guide(guide, tests=tests)

    benign = structure_of(rendered("x"))

    @given(VISIBLE)
    def holds(name: str) -> None:
        assert structure_of(rendered(name)) == benign

    holds()
