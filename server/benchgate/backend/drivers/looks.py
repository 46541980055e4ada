"""A short look at a database whose client blocks: in a thread, and not for long."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from benchgate.backend.drivers.port import Target
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

LOOK_LIMIT_S = 10.0

Answer = TypeVar("Answer")


async def within_limit(look: Callable[[], Answer], target: Target) -> Answer:
    """What *look* finds; a thread that finds nothing in time is left to itself.

    Raises:
        DatabaseError: *target* does not answer in time, or what *look* raises.
    """
    try:
        with anyio.fail_after(LOOK_LIMIT_S):
            return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
    except TimeoutError as exc:
        raise DatabaseError(
            f"{one_line(target.database)} did not answer within {LOOK_LIMIT_S:g} s."
        ) from exc
