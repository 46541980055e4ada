"""People and clients that stand at the other end of the protocol."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from benchgate.gate.server import open_gate
from benchgate.settings import Settings

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, Era] = ("auto", "legacy")

YES = ElicitResult(action="accept", content={"decision": "yes"})
NO = ElicitResult(action="accept", content={"decision": "no"})
DECLINED = ElicitResult(action="decline")
DISMISSED = ElicitResult(action="cancel")

Meanwhile = Callable[[], Awaitable[None]]


class Person:
    """Gives these answers in turn, and remembers every question."""

    def __init__(self, *answers: ElicitResult, meanwhile: Meanwhile | None = None) -> None:
        self._answers = list(answers)
        self._meanwhile = meanwhile
        self.questions: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        self.questions.append(params.message)
        if self._meanwhile is not None:
            await self._meanwhile()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def client_of(
    settings: Settings, era: Era, person: Person | None = None
) -> AsyncGenerator[Client]:
    """A client of a fresh server, both in this process."""
    async with (
        open_gate(settings) as server,
        Client(server, mode=era, elicitation_callback=person) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """The structured content of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    """The text that a model reads."""
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text
