"""The chat as a channel: only where the operator names it, with a code and a person's words."""

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import respx
from mcp import Client
from mcp.types import TextContent

from benchgate.domain.answers import NOTE_CHARACTERS_MAX
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

Era = Literal["auto", "legacy"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["auto", "legacy"])]

URL = "http://127.0.0.1:8000"
RUN: dict[str, Any] = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "PREPARED",
    "template_id": "a",
    "template_name": "orders `by hand`",
    "config": {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100},
    "created_at": "2026-01-01T00:00:00Z",
}
HEALTH = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}
HIGH = {"severity": "high", "title": "Too Much", "message": "It is."}


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    router.get("/api/runs/r1/", name="run").respond(json=RUN)
    router.get("/api/runs/r1/preflight", name="preflight").respond(json={"run_id": "r1"})
    router.get("/api/tests/t1/").respond(
        json={"test_id": "t1", "run_id": "r1", "status": "RUNNING"}
    )
    router.post("/api/runs/r1/start", name="start").respond(
        202, json={"run_id": "r1", "status": "STARTING"}
    )
    with router:
        yield router


@asynccontextmanager
async def host(folder: Path, era: Era, channels: str = "chat") -> AsyncGenerator[Client]:
    known = {"data_dir": folder, "backend_url": URL, "approval_channels": channels}
    settings = Settings.model_validate(known)
    async with open_gate(settings) as server, Client(server, mode=era) as client:
        yield client


async def start(client: Client, **arguments: str) -> tuple[dict[str, Any], str]:
    result = await client.call_tool("start_run", {"run_id": "r1", **arguments})
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert result.structured_content is not None
    return result.structured_content, block.text


def code_in(text: str) -> str:
    found = re.search(r"the code ([A-Z0-9]+), a space", text)
    assert found is not None
    return found[1]


async def test_a_start_shows_the_question_and_a_code(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era) as client:
        told, text = await start(client)
    assert told["outcome"] == "awaiting_approval"
    assert "approval_url" not in told
    assert code_in(text) not in str(told)
    instructions, question = text.split("## Ready to start test\n\n")
    assert "show them the question below, as it stands" in instructions
    assert "**Test:** `orders 'by hand'`" in question.splitlines()
    assert question.endswith("Start this test? [Yes / No / Modify]")
    assert "link" not in instructions
    assert not backend["start"].called


async def test_the_persons_yes_with_the_code_starts_the_run_once(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era) as client:
        _, text = await start(client)
        started, _ = await start(client, confirmation=f"{code_in(text)} Yes, start it.")
        again, _ = await start(client, confirmation=f"{code_in(text)} Yes, start it.")
    assert started["outcome"] == "started"
    assert again["outcome"] != "started"
    assert backend["start"].call_count == 1


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ("no", "declined"),
        ("modify: one connection", "modify_requested"),
        ("yes, as requested earlier", "not_credible"),
        ("", "not_credible"),
    ],
)
async def test_other_words_start_nothing(
    backend: respx.MockRouter, tmp_path: Path, era: Era, words: str, outcome: str
) -> None:
    async with host(tmp_path, era) as client:
        _, text = await start(client)
        told, _ = await start(client, confirmation=f"{code_in(text)} {words}")
    assert told["outcome"] == outcome
    assert told.get("note", "") == words
    assert not backend["start"].called


@pytest.mark.parametrize("confirmation", ["yes", "AAAAAAAA yes", "Yes, start it."])
async def test_a_yes_without_the_code_starts_nothing(
    backend: respx.MockRouter, tmp_path: Path, era: Era, confirmation: str
) -> None:
    async with host(tmp_path, era) as client:
        unasked, _ = await start(client, confirmation=confirmation)
        told, _ = await start(client, confirmation=confirmation)
    assert unasked["outcome"] == "awaiting_approval"
    assert told["outcome"] == "not_credible"
    assert not backend["start"].called


async def test_a_code_that_was_given_for_other_facts_says_nothing_of_these(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    changed = RUN | {"config": RUN["config"] | {"duration": 90}}
    async with host(tmp_path, era) as client:
        _, text = await start(client)
        backend["run"].return_value = httpx.Response(200, json=changed)
        told, again = await start(client, confirmation=f"{code_in(text)} yes")
    assert told["outcome"] == "awaiting_approval"
    assert "`90`" in again
    assert code_in(again) != code_in(text)
    assert not backend["start"].called


async def test_words_cannot_start_what_the_preflight_speaks_against(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    warned = {"run_id": "r1", "can_proceed": False, "warnings": [HIGH]}
    backend["preflight"].respond(json=warned)
    async with host(tmp_path, era, "terminal,chat") as client:
        told, text = await start(client)
        again, _ = await start(client, confirmation="AAAAAAAA yes")
    assert (told["outcome"], again["outcome"]) == ("awaiting_approval", "awaiting_approval")
    assert "the code" not in text
    assert "`benchgate approvals`" in text
    assert not backend["start"].called


async def test_only_an_operator_opens_the_chat(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    for channels, known in (("page,terminal", False), ("page,chat", True)):
        async with host(tmp_path, era, channels) as client:
            (tool,) = [t for t in (await client.list_tools()).tools if t.name == "start_run"]
        assert ("confirmation" in tool.input_schema["properties"]) is known
        assert ("a code was given to you" in (tool.description or "")) is known
        if known:
            limit = tool.input_schema["properties"]["confirmation"]["maxLength"]
            assert limit == NOTE_CHARACTERS_MAX


async def test_a_start_without_a_run_is_told_what_is_missing(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era) as client:
        result = await client.call_tool("start_run", {})
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["message"] == "run_id is required."
    assert result.structured_content["hint"] == "Call again with run_id."
