"""Where the workers of a load run, and what one of them is to its crew: ports, and no code.

A place is this machine or a cluster; a member of a crew is a process or an actor there.
"""

from typing import Protocol

from benchgate.backend.engine.messages import FromWorker
from benchgate.domain.values import Value


class Member(Protocol):
    """One worker as its crew sees it, wherever it runs."""

    number: int
    is_ready: bool
    has_stopped: bool
    is_done: bool
    has_exited: bool

    async def hear(self) -> FromWorker | None:
        """The next thing that the worker says; None when it is gone."""
        ...

    async def tell(self, message: Value) -> None:
        """Say *message*; a worker that has gone hears nothing, and is met when it is heard."""
        ...

    async def log_errors(self) -> None:
        """Pass on what it complains of, until it is gone."""
        ...

    def fate(self) -> str:
        """How it ended, in words."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    async def close(self) -> None:
        """Let go of it, and see it gone."""
        ...


class Workplace(Protocol):
    """Where workers run."""

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, so that its load tells of the workers' room."""
        ...

    @property
    def cores(self) -> int:
        """The cores that are there for them."""
        ...

    @property
    def workers(self) -> int:
        """How many there are where a template does not say."""
        ...

    async def start(self, number: int) -> Member:
        """A new worker, which waits for its assignment."""
        ...

    async def close(self) -> None:
        """Leave the place as it was."""
        ...
