"""The port behind which every database under test lies, and the values that cross it.

It is coarse on purpose: a driver is told to drive an assignment until it is stopped, and reports
each operation to a recorder. How it does that (threads, tasks, an event loop on a C library) is
its own affair, so that a fast database is not measured through a slow interface.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio

from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchgate.domain.values import Value


class ConnectionReference(Value):
    """How to reach a server. The password is named, never held: where to look it up."""

    host: str | None = None
    port: int | None = None
    username: str | None = None
    password_env: str | None = None
    passfile: str | None = None
    service: str | None = None


class Target(Value):
    """The table that a run loads."""

    table_type: TableType
    database: str
    schema_name: str = ""
    table_name: str
    connection: ConnectionReference | None = None


class Column(Value):
    """A column as the database describes it."""

    name: str
    type_name: str


class TableShape(Value):
    """What a driver found when it looked at a target."""

    server_version: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # the primary key's columns in order; empty where there is none
    has_rows: bool


class Assignment(Value):
    """What one worker process does; everything in it is a value that can cross a pipe."""

    target: Target
    workload: tuple[QueryShare, ...]
    connections: int
    think_time_ms: int
    seed: int
    application_name: str  # every session carries it, so that its leftovers can be found
    first_connection: int = 0  # the number of its first connection among those of all workers
    connections_in_all: int = 1  # of all workers; keeps the keys that they insert apart


class Recorder(Protocol):
    """Where a driver reports what happened. Called from one thread or many, never awaited."""

    def succeeded(self, kind: QueryKind, latency_us: int) -> None:
        """One operation of *kind* was answered after *latency_us* (service time)."""
        ...

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        """An operation, or with no kind a connection attempt, failed as *failure* says."""
        ...

    def connections_changed(self, by: int) -> None:
        """So many connections more, or with a negative number fewer, are open now."""
        ...


class Driver(Protocol):
    """One kind of database."""

    async def describe(self, target: Target) -> TableShape:
        """Look at *target* over a connection of its own, within 10 s.

        Raises:
            DatabaseError: it does not answer, or the table is not there; the message is its own.
        """
        ...

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Prepare every statement of *workload* without running any.

        Raises:
            InvalidInput: a statement cannot be used; the message names it and says why.
            DatabaseError: the database does not answer.
        """
        ...

    async def drive(
        self,
        assignment: Assignment,
        recorder: Recorder,
        *,
        ready: Callable[[], Awaitable[None]],
        stop: anyio.Event,
    ) -> None:
        """Open the connections, await *ready* once, and load the target until *stop* is set.

        *ready* returns when the load shall begin, so that all workers begin together. A lost
        connection is reported and made again with back-off. When *stop* is set it closes every
        session and returns within 2 s.

        Raises:
            InvalidInput: a statement of the workload cannot be used.
            DatabaseError: the connections that were asked for cannot all be made.
        """
        ...
