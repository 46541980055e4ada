"""A stream's messages in their shape and order; knows no dialect.

What cannot be read adds nothing, and so does what is older than what came before it.
"""

from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from benchgate.errors import BackendError
from benchgate.gate.transport.wire import Frames

# So many in a row that cannot be read are no hiccup: something else answers there.
GARBAGE_MAX = 20

Shape = TypeVar("Shape")


class Messages(Generic[Shape]):
    """One connection's messages."""

    def __init__(self, frames: Frames, shape: TypeAdapter[Shape]) -> None:
        """Read *frames*, each in *shape*."""
        self._frames = frames
        self._shape = shape
        self._newest: datetime | None = None
        self._garbage = 0

    async def next(self, *, seconds_max: float) -> Shape | None:
        """The next message; None for one that cannot be read.

        Raises:
            BackendError: nothing came in time, nothing more will come, or none can be read.
        """
        text = await self._frames.next(seconds_max=seconds_max)
        try:
            message = self._shape.validate_json(text)
        except ValidationError as exc:
            self._garbage += 1
            if self._garbage >= GARBAGE_MAX:
                raise BackendError(f"{GARBAGE_MAX} messages in a row cannot be read.") from exc
            return None
        self._garbage = 0
        return message

    def is_old(self, told_at: datetime | None) -> bool:
        """Whether a message of that time, by the backend's clock, came after a newer one."""
        if told_at is None:
            return False
        told_at = told_at if told_at.tzinfo else told_at.replace(tzinfo=UTC)
        if self._newest is not None and told_at <= self._newest:
            return True
        self._newest = told_at
        return False
