"""The tools as a catalogue: what every host and every model is told of them."""

import json
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from mcp.types import Tool

from benchgate.gate.names import ToolName
from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.snapshots import UPDATE_SNAPSHOTS, snapshot_folder

pytestmark = pytest.mark.anyio

FOLDER = snapshot_folder("tools")
LIMITS = {"pattern", "maxLength", "maximum", "enum"}


@pytest.fixture(params=["auto", "legacy"])
async def tools(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Tool]]:
    async with (
        open_gate(Settings(data_dir=tmp_path)) as server,
        Client(server, mode=request.param) as client,
    ):
        yield (await client.list_tools()).tools


def described(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_the_tools_are_listed_in_their_one_order(tools: list[Tool]) -> None:
    assert [tool.name for tool in tools] == [name.value for name in ToolName]


async def test_a_change_of_what_hosts_are_told_is_a_change_of_a_file(tools: list[Tool]) -> None:
    """`UPDATE_SNAPSHOTS=1 make test` writes the files anew."""
    for tool in tools:
        text = json.dumps(described(tool), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        path = FOLDER / f"{tool.name}.json"
        if UPDATE_SNAPSHOTS:
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text
    assert {path.stem for path in FOLDER.iterdir()} == {tool.name for tool in tools}


async def test_the_first_tool_is_harmless_and_wants_an_argument(tools: list[Tool]) -> None:
    first = tools[0]
    assert first.annotations is not None
    assert first.annotations.read_only_hint
    assert first.input_schema["required"] == ["run_id"]


async def test_every_tool_says_all_that_a_host_may_want_to_know(tools: list[Tool]) -> None:
    for tool in tools:
        assert tool.title
        assert tool.description
        assert tool.output_schema is not None
        hints = tool.annotations
        assert hints is not None
        assert None not in {
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        }


async def test_schemas_are_ones_that_every_host_accepts(tools: list[Tool]) -> None:
    """Some hosts reject a whole list for one top-level alternative, or cannot follow references."""
    for tool in tools:
        for schema in (tool.input_schema, tool.output_schema or {}):
            assert schema["type"] == "object"
            assert not {"anyOf", "oneOf", "allOf"} & schema.keys()
            assert "$ref" not in json.dumps(schema)


async def test_every_argument_has_a_limit(tools: list[Tool]) -> None:
    for tool in tools:
        assert unlimited(tool.input_schema, tool.name) == []


def unlimited(schema: dict[str, Any], name: str) -> list[str]:
    """The values of *schema* that could be of any size or kind, by their path."""
    if schema.get("type") == "object":
        nested = [unlimited(field, f"{name}.{key}") for key, field in schema["properties"].items()]
        loose = [] if schema.get("additionalProperties", False) is False else [f"{name}.*"]
        return [*loose, *chain.from_iterable(nested)]
    if schema.get("type") == "array":
        return ([] if "maxItems" in schema else [name]) + unlimited(schema["items"], f"{name}[]")
    return [] if LIMITS & schema.keys() else [name]


async def test_only_starting_and_stopping_are_called_destructive(tools: list[Tool]) -> None:
    destructive = {t.name for t in tools if t.annotations and t.annotations.destructive_hint}
    assert destructive == {ToolName.START_RUN, ToolName.STOP_RUN, ToolName.START_COMPARISON}


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("name", ToolName)
async def test_an_argument_that_a_tool_does_not_take_is_refused(
    name: ToolName, era: Literal["auto", "legacy"], tmp_path: Path
) -> None:
    """Dropped, a model would believe that it was heeded."""
    async with (
        open_gate(Settings(data_dir=tmp_path)) as server,
        Client(server, mode=era) as client,
    ):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool(name, {"made_up": "sequential", "_meta": {}})
    told = result.structured_content
    assert result.is_error
    assert told is not None
    assert (told["code"], told["message"]) == (
        "invalid_input",
        f"made_up is no argument of {name}.",
    )
    assert [one for one in tools[name].input_schema["properties"] if one not in told["hint"]] == []


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_what_a_client_notes_among_the_arguments_is_its_own(
    era: Literal["auto", "legacy"], tmp_path: Path
) -> None:
    async with (
        open_gate(Settings(data_dir=tmp_path)) as server,
        Client(server, mode=era) as client,
    ):
        result = await client.call_tool("get_comparison", {"_meta": {"progressToken": 1}})
    assert result.structured_content == {"open": []}
