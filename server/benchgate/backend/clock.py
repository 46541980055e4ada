"""The backend's clock and its ids: the two things that a test wants to decide itself."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

ID_BYTES = 6

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present moment, aware of its zone."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """An id such as `run-1f0c9a2b7d3e`: short enough for a conversation, and never guessed."""
    return f"{prefix}-{secrets.token_hex(ID_BYTES)}"
