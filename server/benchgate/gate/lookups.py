"""Looking something up for a resource: which ids are looked up at all, and what a refusal says.

Readers are handed in; what they read is theirs to know.
"""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from benchgate.domain.text import one_line
from benchgate.domain.values import ID_PATTERN
from benchgate.errors import BenchgateError, NotFound

SHOWN_CHARACTERS_MAX = 80

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
        return await reading
    except NotFound as exc:
        raise ResourceNotFoundError(exc.advice) from exc
    except BenchgateError as exc:
        raise ResourceError(exc.advice) from exc
