"""The MCP prompts: which there are, what they take, and how their arguments are read.

Their texts lie in `prompts/guides/`. Whatever is wrong with a request (an unknown prompt, a
missing, extra or unusable argument) is told as invalid params, in both eras of the protocol.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.prompts.base import Message, Prompt, PromptArgument, UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

from benchgate.domain.text import one_line
from benchgate.domain.values import ID_PATTERN, Value
from benchgate.gate.blocks import Blocks
from benchgate.gate.names import GuideName

ARGUMENT_CHARACTERS_MAX = 2_000
ITEMS_MAX = 20
NAME_CHARACTERS_MAX = 255
VALUE_CHARACTERS_SHOWN_MAX = 80


class Argument(Value):
    """One argument: what it is called and means, and how its text is read."""

    name: str
    description: str
    read: Callable[[str], object]


class Guide(Value):
    """One prompt; all of its arguments are required."""

    name: GuideName
    title: str
    description: str
    arguments: tuple[Argument, ...]


class PlannedTests(Value):
    """Tests that a person wants run: how many, and their names as far as they are given."""

    number: int
    names: tuple[str, ...] = ()


def _one_id(text: str) -> str:
    if not re.fullmatch(ID_PATTERN, text):
        raise ValueError("an id has 1 to 64 letters, digits, - or _")
    return text


def _items(text: str) -> list[str]:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not 1 <= len(items) <= ITEMS_MAX:
        raise ValueError(f"1 to {ITEMS_MAX} items separated by commas are needed")
    return items


def _ids(text: str) -> list[str]:
    return list(dict.fromkeys(_one_id(item) for item in _items(text)))


def _tests(text: str) -> PlannedTests:
    names = () if text.isdecimal() else tuple(_items(text))
    number = len(names) or int(text)
    if not 1 <= number <= ITEMS_MAX:
        raise ValueError(f"1 to {ITEMS_MAX} tests can be planned")
    if any(len(name) > NAME_CHARACTERS_MAX for name in names):
        raise ValueError(f"a name has at most {NAME_CHARACTERS_MAX} characters")
    return PlannedTests(number=number, names=names)


TEMPLATE_ID = Argument(
    name="template_id",
    description="Template to run, an id from list_templates",
    read=_one_id,
)
RUN_ID = Argument(name="run_id", description="Run id from create_run", read=_one_id)
RUN_IDS = Argument(
    name="run_ids",
    description=f"Run ids in the order to compare, separated by commas (1 to {ITEMS_MAX})",
    read=_ids,
)
TESTS = Argument(
    name="tests",
    description=(
        "The tests in their order: template names or ids separated by commas, "
        "or only how many there are"
    ),
    read=_tests,
)

GUIDES: tuple[Guide, ...] = (
    Guide(
        name=GuideName.EXECUTE_TEST,
        title="Execute a test",
        description="Run one template: create, pre-flight, the person's yes, watch, hand over.",
        arguments=(TEMPLATE_ID,),
    ),
    Guide(
        name=GuideName.RUN_COMPARISON,
        title="Run a comparison",
        description="Compare tests one at a time: plan, the person's choice, watch, hand over.",
        arguments=(TESTS,),
    ),
    Guide(
        name=GuideName.EXECUTION_MODE,
        title="Run several tests",
        description="Ask how several tests should go: sequentially, or with a pause after each.",
        arguments=(TESTS,),
    ),
    Guide(
        name=GuideName.MONITOR_RUN,
        title="Monitor a run",
        description="Follow a run to its end and tell the person how it goes.",
        arguments=(RUN_ID,),
    ),
    Guide(
        name=GuideName.STOP_TEST,
        title="Stop a test",
        description="Stop a run at once and secure its partial results.",
        arguments=(RUN_ID,),
    ),
    Guide(
        name=GuideName.TROUBLESHOOT_RUN,
        title="Troubleshoot a run",
        description="Find out why a run failed or went badly, and what can be done.",
        arguments=(RUN_ID,),
    ),
    Guide(
        name=GuideName.ANALYZE_RESULTS,
        title="Analyze results",
        description="Read the results of one or several runs and say what they show.",
        arguments=(RUN_IDS,),
    ),
)


class GuidePrompt(Prompt):
    """A prompt that reads its arguments itself, so that what is wrong with them can be told."""

    guide: Guide

    @classmethod
    def of(cls, guide: Guide, blocks: Blocks) -> "GuidePrompt":
        """*guide*, with its text from *blocks*."""
        return cls(
            name=guide.name.value,
            title=guide.title,
            description=guide.description,
            arguments=[
                PromptArgument(name=a.name, description=a.description, required=True)
                for a in guide.arguments
            ],
            fn=partial(blocks.guide, guide.name),
            context_kwarg=None,
            guide=guide,
        )

    async def render(
        self,
        arguments: dict[str, Any] | None,
        context: Any,  # noqa: ARG002  # the SDK passes it; no text here depends on who asks
    ) -> list[Message]:
        """The prompt's one message, from the user.

        Raises:
            MCPError: the arguments cannot be used; the message says which and why.
        """
        return [UserMessage(str(self.fn(**facts_of(self.guide, arguments or {}))))]


def facts_of(guide: Guide, given: dict[str, Any]) -> dict[str, object]:
    """What *given* says, as *guide*'s text needs it.

    Raises:
        MCPError: an argument is missing, unknown or cannot be used.
    """
    known = {argument.name for argument in guide.arguments}
    if extra := sorted(given.keys() - known):
        raise _invalid(f"{guide.name} does not take {_shown(extra[0])}")
    return {argument.name: _read(argument, given) for argument in guide.arguments}


def _read(argument: Argument, given: dict[str, Any]) -> object:
    text = given.get(argument.name)
    if not isinstance(text, str) or not text.strip():
        raise _invalid(f"{argument.name} is required: {argument.description}")
    if len(text) > ARGUMENT_CHARACTERS_MAX:
        raise _invalid(f"{argument.name} has more than {ARGUMENT_CHARACTERS_MAX} characters")
    try:
        return argument.read(text.strip())
    except ValueError as exc:
        raise _invalid(f"{argument.name}: {_shown(text)} cannot be used: {exc}") from exc


def _invalid(message: str) -> MCPError:
    return MCPError(INVALID_PARAMS, message)


def _shown(text: str) -> str:
    return repr(one_line(text, VALUE_CHARACTERS_SHOWN_MAX))


async def refuse_unknown_names(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Middleware: the SDK would tell an unknown prompt as an internal error."""
    name = (ctx.params or {}).get("name")
    if ctx.method == "prompts/get" and isinstance(name, str) and name not in list(GuideName):
        known = ", ".join(GuideName)
        raise _invalid(f"There is no prompt {_shown(name)}; there are {known}")
    return await call_next(ctx)


def register(server: MCPServer[Any], blocks: Blocks) -> None:
    """Offer every guide on *server*, its text rendered by *blocks*."""
    for guide in GUIDES:
        server.add_prompt(GuidePrompt.of(guide, blocks))
    server.middleware.append(refuse_unknown_names)
