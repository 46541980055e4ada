"""Looking something up for a resource: which ids are looked up at all, and what a refusal says.

Readers are handed in; what they read is theirs to know.
"""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from benchgate.domain.disclosure import masked
from benchgate.domain.text import one_line
from benchgate.domain.values import ID_PATTERN
from benchgate.errors import BenchgateError, NotFound
from benchgate.gate.transport.wire import within

SHOWN_CHARACTERS_MAX = 80
# A host gives up on a resource as it does on a call.
READ_SECONDS_MAX = 25
# So a web server says that it has no such path at all, whatever the id.
NO_PATH = "Not Found"
NO_PATH_HINT = (
    "The server at BENCHGATE_BACKEND_URL has no such path: set it to the address under which the "
    "backend has its /api."
)

Shape = TypeVar("Shape")


async def looked_up(
    reader: Callable[[str], Awaitable[Shape]], identifier: str, *, noun: str
) -> Shape:
    """What *reader* has under *identifier*, which is that of a *noun*.

    Raises:
        ResourceNotFoundError: there is none, or *identifier* is no id.
        ResourceError: it cannot be read now; the message says what to do.
    """
    # Checked here, because it arrives percent-decoded: with slashes and newlines, if it has any.
    if not re.fullmatch(ID_PATTERN, identifier):
        shown = one_line(identifier, SHOWN_CHARACTERS_MAX)
        raise ResourceNotFoundError(f"There is no {noun} {shown!r}.")
    return await read(reader(identifier))


async def read(reading: Awaitable[Shape]) -> Shape:
    """What *reading* brings, with its refusals as those of a resource."""
    try:
        with within(READ_SECONDS_MAX):
            return await reading
    except BenchgateError as exc:
        exc.hint = hint_of(exc)
        kind = ResourceNotFoundError if isinstance(exc, NotFound) else ResourceError
        raise kind(masked(exc.advice)) from exc


def hint_of(error: BenchgateError) -> str:
    """What the reader of *error* can do next, where no backend of ours answered too."""
    is_elsewhere = isinstance(error, NotFound) and str(error) == NO_PATH
    return NO_PATH_HINT if is_elsewhere else error.hint
