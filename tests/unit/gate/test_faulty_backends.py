"""What a model reads when the backend fails: every tool, every kind of failure, both eras."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import respx
from mcp import Client
from mcp.types import TextContent

from benchgate.gate.comparisons.plans import Plans
from benchgate.gate.home import GateHome
from benchgate.gate.names import ToolName
from benchgate.gate.server import open_gate
from benchgate.gate.transport.whereabouts import configured
from benchgate.settings import Settings
from tests.unit.asked import record_of
from tests.unit.comparing import COMPARISON_ID, comparison_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["auto", "legacy"])]

URL = "http://127.0.0.1:8000"
ARGUMENTS: dict[ToolName, dict[str, Any]] = {
    ToolName.PREFLIGHT: {"run_id": "r1"},
    ToolName.LIST_TEMPLATES: {},
    ToolName.LIST_CONNECTIONS: {},
    ToolName.CREATE_RUN: {"template_id": "t1"},
    ToolName.START_RUN: {"run_id": "r1"},
    ToolName.GET_STATUS: {"run_id": "r1", "wait_seconds": 1},
    ToolName.STOP_RUN: {"run_id": "r1"},
    ToolName.CREATE_COMPARISON: {"template_ids": ["t1", "t2"]},
    ToolName.START_COMPARISON: {"comparison_id": COMPARISON_ID},
    ToolName.GET_RESULTS: {"run_ids": ["r1"]},
    ToolName.GET_ERRORS: {"run_id": "r1"},
}
TOLD_FROM_THE_RECORD = (ToolName.GET_COMPARISON, ToolName.GET_RESULTS)
FAILURES: dict[str, tuple[httpx.Response | Exception, str]] = {
    "refused": (httpx.ConnectError("refused"), "backend_unavailable"),
    "slow": (httpx.ReadTimeout("slow"), "backend_unavailable"),
    "reset": (httpx.ReadError("reset"), "backend_unavailable"),
    "html": (httpx.Response(200, html="<html><body>Welcome</body></html>"), "backend"),
    "truncated": (httpx.Response(200, text='{"run_id": "r1", "sta'), "backend"),
    "crashed": (httpx.Response(500, html="<h1>Traceback (most recent call last)</h1>"), "backend"),
    "gateway": (httpx.Response(502, text="bad gateway"), "backend"),
    "garbage": (httpx.Response(200, content=bytes(range(256))), "backend"),
    "nested": (httpx.Response(200, text="[" * 100_000), "backend"),
}


@pytest.fixture(params=FAILURES)
def failure(request: pytest.FixtureRequest) -> Iterator[str]:
    """A backend that fails in one way whatever it is asked; yields the code it must be told by."""
    answer, code = FAILURES[request.param]
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        if isinstance(answer, httpx.Response):
            router.route().mock(return_value=answer)
        else:
            router.route().mock(side_effect=answer)
        yield code


def settings_in(folder: Path) -> Settings:
    """Settings with a record in which a comparison is planned."""
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL})
    whereabouts = configured(settings)
    assert whereabouts is not None
    with record_of(GateHome(settings)) as record:
        Plans(record.engine, whereabouts.identity).add(comparison_of(2))
    return settings


async def test_every_tool_tells_what_happened_and_what_to_do(
    failure: str, tmp_path: Path, era: Literal["auto", "legacy"]
) -> None:
    async with open_gate(settings_in(tmp_path)) as server, Client(server, mode=era) as client:
        for tool, arguments in ARGUMENTS.items():
            result = await client.call_tool(tool, arguments)
            (block,) = result.content
            assert isinstance(block, TextContent)
            assert result.is_error
            assert result.structured_content is not None
            assert result.structured_content["code"] == failure, tool
            assert result.structured_content["hint"] in block.text.replace("\\", "")
            assert "Traceback" not in block.text
            assert len(block.text) < 1_500
        assert len((await client.list_tools()).tools) == len(ToolName)


@pytest.mark.usefixtures("failure")
async def test_a_comparison_is_told_without_its_backend(
    tmp_path: Path, era: Literal["auto", "legacy"]
) -> None:
    async with open_gate(settings_in(tmp_path)) as server, Client(server, mode=era) as client:
        for tool in TOLD_FROM_THE_RECORD:
            result = await client.call_tool(tool, {"comparison_id": COMPARISON_ID})
            assert not result.is_error
            assert result.structured_content is not None
            assert result.structured_content["comparison_id"] == COMPARISON_ID


def test_every_tool_is_tried(era: str) -> None:
    assert {*ARGUMENTS, *TOLD_FROM_THE_RECORD} == set(ToolName)
