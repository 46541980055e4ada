"""A gate before FlakeBench as it behaves, both in this process and without a socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import respx
from mcp import Client
from mcp.types import CallToolResult, TextContent

from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.flakebench.app import ORIGIN, create_app
from tests.flakebench.world import World
from tests.unit.permissive import Person

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, ...] = ("auto", "legacy")
Told = dict[str, Any]


@asynccontextmanager
async def talking(
    world: World, folder: Path, era: Era, *, person: Person | None = None
) -> AsyncGenerator[Client]:
    """A client of a gate that knows of the backend nothing but its address.

    Dialects have to be recognised by their signs for that.
    """
    emulation = httpx.ASGITransport(app=create_app(world))
    settings = Settings.model_validate({"data_dir": folder, "backend_url": ORIGIN})
    with respx.mock(base_url=ORIGIN, assert_all_called=False) as router:
        router.route().mock(side_effect=emulation.handle_async_request)
        async with (
            open_gate(settings) as server,
            Client(server, mode=era, elicitation_callback=person) as client,
        ):
            yield client


async def shown(client: Client, tool: str, **arguments: object) -> tuple[Told, str]:
    """What a call that succeeds tells, as values and as text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content, text_of(result)


def text_of(result: CallToolResult) -> str:
    """The one block of *result*."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text
