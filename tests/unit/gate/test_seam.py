"""An error that nobody foresaw: logged for the operator, its words kept from the model."""

import logging
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client
from mcp.types import TextContent

from benchgate.gate.backend import Backend
from benchgate.gate.names import ToolName
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_unforeseen_error_keeps_its_words_from_the_model(
    era: Literal["auto", "legacy"],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: Backend) -> None:
        raise RuntimeError("password=hunter2 at line 7")

    monkeypatch.setattr(Backend, "shelf", broken)
    async with open_gate(Settings(data_dir=tmp_path)) as server, Client(server, mode=era) as client:
        with caplog.at_level(logging.ERROR):
            result = await client.call_tool("list_templates", {})
        assert len((await client.list_tools()).tools) == len(ToolName)
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["code"] == "internal"
    assert "hunter2" not in block.text
    assert "get_status" in block.text.replace("\\", "")
    assert "hunter2" in caplog.text
