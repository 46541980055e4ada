"""The seam where our errors become tool results, and tools get their small schemas.

Every failure is a result that the model can read: what happened, and what to do next. An error
of ours keeps its words; anything else is logged, and its words stay here.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MethodType
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import PrivateAttr, ValidationError

from benchgate.domain.disclosure import masked
from benchgate.domain.text import one_line
from benchgate.errors import (
    BackendOutage,
    BackendUnavailable,
    BenchgateError,
    InvalidInput,
    NotFound,
)
from benchgate.gate.blocks import Blocks
from benchgate.gate.resources.lookups import hint_of
from benchgate.gate.tools.answers import Refusal, refusal
from benchgate.gate.tools.schemas import DROPPED_OF_ANSWERS, slim
from benchgate.gate.transport.whereabouts import without_secrets
from benchgate.gate.transport.wire import within

logger = logging.getLogger(__name__)

VALUE_CHARACTERS_MAX = 80
# Every tool in each of its forms, and some to spare.
DESCRIBED_MAX = 32
NOBODY = object()
# Hosts give a call up after 30 s or more; what is not there by then has to be told before.
CALL_SECONDS_MAX = 28
UNEXPECTED = Refusal(
    code="internal",
    message="benchgate met an error that it did not expect.",
    hint="Nothing more was done. Read the state with get_status; the cause is in the server's log.",
)


class GateTool(Tool):
    """A tool whose failures are results."""

    _seam: "Seam" = PrivateAttr()
    _seconds_max: float = PrivateAttr()

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str,
        title: str,
        annotations: ToolAnnotations,
        seconds_max: float,
        seam: "Seam",
    ) -> "GateTool":
        """*function* as the tool *name*: its docstring describes it, *seam* tells its failures."""
        own = {"fn": function, "name": name, "title": title, "annotations": annotations}
        made = _described(_of_nobody(function)).model_copy(update=own)
        made._seam = seam
        made._seconds_max = seconds_max
        return made

    async def run(
        self, arguments: dict[str, Any], context: Any, convert_result: bool = False
    ) -> Any:
        """Run the tool; of what it raises only protocol errors go further."""
        # A client's own notes about a call may lie among its arguments.
        arguments = {name: value for name, value in arguments.items() if name != "_meta"}
        try:
            self._refuse_unknown(arguments)
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as exc:
            return self._seam.result(self.name, bad_argument(exc))
        except InvalidInput as exc:
            return self._seam.result(self.name, exc)
        try:
            with within(self._seconds_max):
                return await super().run(arguments, context, convert_result)
        except ToolError as exc:
            # The SDK wraps whatever the body raised.
            return self._seam.result(self.name, exc.__cause__ or exc)
        except BackendUnavailable as exc:
            return self._seam.result(self.name, exc)

    def _refuse_unknown(self, arguments: Mapping[str, Any]) -> None:
        """The SDK would drop them, and a model would believe that they were heeded.

        Not said in the schema, where it would cost tokens at every turn.

        Raises:
            InvalidInput: the tool takes no argument of that name.
        """
        taken: Mapping[str, Any] = self.parameters["properties"]
        unknown = next((name for name in arguments if name not in taken), None)
        if unknown is not None:
            shown = one_line(unknown, VALUE_CHARACTERS_MAX)
            accepted = f"takes {', '.join(taken)}" if taken else "takes no arguments"
            raise InvalidInput(
                f"{shown} is no argument of {self.name}.",
                hint=f"Call again without it: {self.name} {accepted}.",
            )


@lru_cache(maxsize=DESCRIBED_MAX)
def _described(function: Callable[..., Any]) -> GateTool:
    """A tool with what *function* alone says: its schemas cost far more than the rest of a gate."""
    description = " ".join((function.__doc__ or "").split())
    made = GateTool.from_function(function, description=description)
    assert isinstance(made, GateTool)
    made.parameters = slim(made.parameters)
    assert made.fn_metadata.output_schema is not None, "every tool declares what it answers"
    made.fn_metadata.output_schema = slim(
        made.fn_metadata.output_schema, dropped=DROPPED_OF_ANSWERS
    )
    return made


def _of_nobody(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* with the same signature for whichever gate it was bound, and holding none."""
    return MethodType(function.__func__, NOBODY) if isinstance(function, MethodType) else function


class Seam:
    """Tells failures in the specification's blocks."""

    def __init__(self, *, blocks: Blocks, backend_url: str | None) -> None:
        """*backend_url* is the configured one; None is the embedded, of which more can be said."""
        self._blocks = blocks
        shown = without_secrets(backend_url) if backend_url else None
        self._backend = {"backend_url": shown, "embedded": backend_url is None}

    def result(self, tool: str, error: BaseException) -> CallToolResult:
        """*error* of *tool* as a result."""
        if not isinstance(error, BenchgateError):
            logger.error("Tool %s failed unexpectedly", tool, exc_info=error)
            return self._told("error", UNEXPECTED)
        why = Refusal(
            code=error.code,
            message=one_line(masked(str(error))),
            hint=one_line(masked(hint_of(error))),
        )
        if isinstance(error, BackendUnavailable) and not isinstance(error, BackendOutage):
            return self._told("connection_lost", why)
        is_refused = tool == "create_run" and isinstance(error, (NotFound, InvalidInput))
        return self._told("creation_failed" if is_refused else "error", why)

    def _told(self, block: str, why: Refusal) -> CallToolResult:
        return refusal(self._blocks.render(block, **why.model_dump(), **self._backend), why)


def bad_argument(error: ValidationError) -> InvalidInput:
    """The first thing wrong with the arguments, as field, value and rule."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    value = one_line(repr(first["input"]), VALUE_CHARACTERS_MAX)
    if first["type"] == "missing":
        return InvalidInput(f"{field} is required.", hint=f"Call again with {field}.")
    if first["type"] == "extra_forbidden":
        return InvalidInput(
            f"{field}: {value} cannot be used: nothing of that name can be set here.",
            hint=f"Leave {field} out; what can be set stands in the tool's schema.",
        )
    return InvalidInput(f"{field}: {value} cannot be used: {one_line(first['msg'])}.")
