"""Completes template ids and run ids for prompts and resource templates.

Answers from what is known without starting a backend, within a bound; whoever types gets nothing
rather than a wait.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.gate.guides import GUIDES
from benchgate.gate.names import RESULTS_URI, RUN_URI, SERIES_URI, SUMMARY_URI, TEMPLATE_URI

VALUES_MAX = 100
VALUE_CHARACTERS_MAX = 2_000
ANSWER_SECONDS_MAX = 0.9
SHOWN_CHARACTERS_MAX = 80

PROMPT_ARGUMENTS: dict[str, frozenset[str]] = {
    guide.name.value: frozenset(argument.name for argument in guide.arguments) for guide in GUIDES
}
RESOURCE_ARGUMENTS: dict[str, frozenset[str]] = {
    uri: frozenset({"run_id"}) for uri in (RUN_URI, SUMMARY_URI, SERIES_URI, RESULTS_URI)
} | {TEMPLATE_URI: frozenset({"template_id"})}
TEMPLATE_ARGUMENTS = frozenset({"template_id", "tests"})
LIST_ARGUMENTS = frozenset({"run_ids", "tests"})


class Known(Value):
    """What can be named now: templates as id and name, and run ids, both newest first."""

    templates: tuple[tuple[str, str], ...] = ()
    run_ids: tuple[str, ...] = ()


def register(server: MCPServer[Any], known: Callable[[], Awaitable[Known]]) -> None:
    """Offer completion on *server* from *known*, which is left alone when it takes too long."""

    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001  # no argument here depends on another
    ) -> Completion:
        _check(ref, argument)
        present = Known()
        with anyio.move_on_after(ANSWER_SECONDS_MAX):
            present = await known()
        return completion(present, argument.name, argument.value)


def completion(known: Known, argument: str, value: str) -> Completion:
    """What *argument* can become that begins with *value*; in a list, its last item."""
    written, _, typed = value.rpartition(",") if argument in LIST_ARGUMENTS else ("", "", value)
    taken = {item.strip() for item in written.split(",")}
    head = f"{written.rstrip()}, " if written else ""
    found = [
        f"{head}{candidate}"
        for candidate, names in _candidates(known, argument)
        if candidate not in taken and _begins(names, typed.strip())
    ]
    return Completion(values=found[:VALUES_MAX], total=len(found), has_more=len(found) > VALUES_MAX)


def _candidates(known: Known, argument: str) -> list[tuple[str, tuple[str, ...]]]:
    """Every id with the texts by which it can be found."""
    if argument in TEMPLATE_ARGUMENTS:
        return [(template_id, (template_id, name)) for template_id, name in known.templates]
    return [(run_id, (run_id,)) for run_id in known.run_ids]


def _begins(names: tuple[str, ...], typed: str) -> bool:
    return any(name.casefold().startswith(typed.casefold()) for name in names)


def _check(ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument) -> None:
    """Refuse what there is not."""
    of_prompt = isinstance(ref, PromptReference)
    name = ref.name if of_prompt else ref.uri
    taken = (PROMPT_ARGUMENTS if of_prompt else RESOURCE_ARGUMENTS).get(name)
    if taken is None:
        raise _invalid(f"There is nothing to complete for {_shown(name)}")
    if argument.name not in taken:
        raise _invalid(f"{name} does not take {_shown(argument.name)}")
    if len(argument.value) > VALUE_CHARACTERS_MAX:
        raise _invalid(f"{argument.name} has more than {VALUE_CHARACTERS_MAX} characters")


def _invalid(message: str) -> MCPError:
    return MCPError(INVALID_PARAMS, message)


def _shown(text: str) -> str:
    return repr(one_line(text, SHOWN_CHARACTERS_MAX))
