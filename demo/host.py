"""An MCP host: launches the server as `mcp.json` says, calls its tools, and asks its person.

Knows no order of calls and shows nothing but the server's question: the rest is the
conversation's.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, get_default_environment, stdio_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_REQUEST,
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    Implementation,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field, ValidationError

from demo.errors import DemoError, ToolFailed
from demo.person import Choice, Person
from demo.screen import Screen

ROOT = Path(__file__).parents[1]
SERVERS_FILE = ROOT / "mcp.json"
SERVER_NAME = "benchgate"
SERVER_LOG = "server.log"
CLIENT = Implementation(name="benchgate-demo", title="The demo of benchgate", version="1")
REQUEST_SECONDS_MAX = 60

Shape = TypeVar("Shape", bound=BaseModel)


class Entry(BaseModel, frozen=True):
    """How one server is launched."""

    command: str
    args: tuple[str, ...] = ()


class Servers(BaseModel, frozen=True):
    """What a host reads in `mcp.json`."""

    entries: dict[str, Entry] = Field(alias="mcpServers")


class Fields(BaseModel, frozen=True):
    """The fields of the server's form that not every form has."""

    mode: Choice | None = None


class Form(BaseModel, frozen=True):
    """What the server's form asks for."""

    properties: Fields


class Heard(BaseModel, frozen=True):
    """A tool's answer: the block for people and models, and the same for programs."""

    block: str
    structured: dict[str, Any]
    uris: tuple[str, ...] = ()

    def read(self, shape: type[Shape]) -> Shape:
        """The structured part as a *shape*.

        Raises:
            DemoError: the server's answer has not that shape.
        """
        try:
            return shape.model_validate(self.structured)
        except ValidationError as exc:
            raise DemoError(f"The server's answer cannot be read: {exc}") from exc


class Host:
    """One connection to the server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(
        self, tool: str, arguments: dict[str, Any], progress: ProgressFnT | None = None
    ) -> Heard:
        """Call *tool*.

        Raises:
            ToolFailed: it answered with an error; the message is the server's block.
            DemoError: the server is gone.
        """
        try:
            result = await self._client.call_tool(tool, arguments, progress_callback=progress)
        except MCPError as exc:
            raise DemoError(f"The server did not answer {tool}: {exc}") from exc
        heard = _heard(result)
        if result.is_error:
            raise ToolFailed(heard.block)
        return heard

    async def text_of(self, uri: str) -> str:
        """The text of the resource that a tool's answer linked to."""
        try:
            contents = (await self._client.read_resource(uri)).contents
        except MCPError as exc:
            raise DemoError(f"The server did not hand out {uri}: {exc}") from exc
        return "".join(part.text for part in contents if isinstance(part, TextResourceContents))


@asynccontextmanager
async def connected(folder: Path, *, screen: Screen, person: Person) -> AsyncGenerator[Host]:
    """The server, launched from the project's own `mcp.json`, with its data below *folder*."""

    async def asked(
        context: ClientRequestContext,  # noqa: ARG001 - the SDK's protocol names it
        params: ElicitRequestParams,
    ) -> ElicitResult | ErrorData:
        if not isinstance(params, ElicitRequestFormParams):
            return ErrorData(code=INVALID_REQUEST, message="This host shows forms alone.")
        screen.block(params.message)
        return await _answer_of(person, Form.model_validate(params.requested_schema))

    with (folder / SERVER_LOG).open("w", encoding="utf-8") as log:
        transport = stdio_client(_launch(data_dir(folder)), errlog=log)
        async with Client(
            transport,
            elicitation_callback=asked,
            client_info=CLIENT,
            read_timeout_seconds=REQUEST_SECONDS_MAX,
        ) as client:
            yield Host(client)


def data_dir(folder: Path) -> Path:
    """Where the server and the backend of the demo keep their data."""
    return folder / "data"


def short(path: Path) -> Path:
    """*path* as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _launch(data: Path) -> StdioServerParameters:
    text = SERVERS_FILE.read_text(encoding="utf-8")
    entry = Servers.model_validate_json(text).entries[SERVER_NAME]
    inherited = get_default_environment().get("PATH", "")
    path = f"{Path(sys.executable).parent}:{inherited}"
    return StdioServerParameters(
        command=entry.command,
        args=list(entry.args),
        env={"PATH": path, "BENCHGATE_DATA_DIR": str(data)},
    )


async def _answer_of(person: Person, form: Form) -> ElicitResult:
    reply = await person.decide(form.properties.mode)
    if reply.decision is None:
        return ElicitResult(action="cancel")
    told = {"decision": reply.decision, "note": reply.note, "mode": reply.mode}
    return ElicitResult(
        action="accept", content={key: value for key, value in told.items() if value}
    )


def _heard(result: CallToolResult) -> Heard:
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    uris = [part.uri for part in result.content if isinstance(part, ResourceLink)]
    return Heard(
        block="\n\n".join(texts), structured=result.structured_content or {}, uris=tuple(uris)
    )
