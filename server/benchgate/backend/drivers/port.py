"""The port behind which every database under test lies, and the values that cross it.

It is coarse on purpose: a driver is told to drive an assignment along a course, and notes each
operation in meters. How it does that (threads, an event loop on a C library) is its own affair,
so that a fast database is not measured through a slow interface.
"""

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import anyio

from benchgate.domain.arrivals import Arrivals
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchgate.domain.values import Value


class ConnectionReference(Value):
    """How to reach a server. A secret is named, never held: where to look it up."""

    host: str | None = None
    hostaddr: str | None = None  # of PostgreSQL: where to go in place of looking the host up
    port: int | str | None = None  # of several servers of PostgreSQL a list
    account: str | None = None
    role: str | None = None
    username: str | None = None
    password_env: str | None = None
    passfile: str | None = None
    private_key_file: str | None = None
    private_key_passphrase_env: str | None = None
    service: str | None = None


class Target(Value):
    """The table that a run loads: the one that its template names, or a scratch copy of it."""

    table_type: TableType
    database: str
    schema_name: str = ""
    table_name: str
    warehouse_name: str | None = None
    connection: ConnectionReference | None = None
    copy_of: str | None = None  # the schema, file or table that this is a scratch copy from


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


class NoCopy(StrEnum):
    """Why no scratch copy of a table can be made, as far as a look tells."""

    FOLDER = "FOLDER"  # of a file: nothing may be put beside it
    REPLICA = "REPLICA"
    NO_TABLE = "NO_TABLE"  # a view and the like
    HIDDEN_ROWS = "HIDDEN_ROWS"  # policies hide some of them from this user
    PUBLISHED = "PUBLISHED"  # every new table is, to subscribers that do not know it
    NOT_READABLE = "NOT_READABLE"
    NO_SCHEMA = "NO_SCHEMA"  # this user may create none


class Warehouse(Value):
    """The compute of Snowflake that executes the statements, as it was when it was looked at."""

    name: str
    state: str  # in Snowflake's own words, such as STARTED or SUSPENDED
    size: str
    resumes_by_itself: bool
    statements_running: int
    statements_queued: int
    statements_at_once: int | None = None  # of one cluster; further ones queue
    clusters_max: int = 1


class Survey(Value):
    """What a look at a server tells of the load that it can bear; None where nobody can tell."""

    is_on_this_machine: bool | None = None
    connections_max: int | None = None  # for this user and this database
    connections_used: int | None = None
    connections_reserved: int = 0  # kept for superusers, and not to be had
    active_sessions: int | None = None  # of others, doing something at this moment
    is_replica: bool | None = None
    table_bytes: int | None = None  # with its indexes
    disk_free_bytes: int | None = None  # where the table lies
    no_copy: NoCopy | None = None  # None also where nobody can tell
    warehouse: Warehouse | None = None


class Removal(StrEnum):
    """What came of the wish to remove a scratch copy."""

    REMOVED = "REMOVED"
    ABSENT = "ABSENT"  # where it was looked for, which need not be where it was made
    UNMARKED = "UNMARKED"  # what bears its name lacks our mark, and was left alone


# So long the operations in flight may take to finish when a load ends.
FINISH_LIMIT_S = 0.3


class SessionsEnded(Value):
    """The proof of a stop: what a database still had of a run's sessions, and has at the end."""

    found: int  # after every worker was gone
    left: int  # after those that were found had been ended


class Assignment(Value):
    """What one worker does; everything in it is a value that can cross a pipe."""

    target: Target
    workload: tuple[QueryShare, ...]
    connections: int  # the most that it opens
    connections_at_start: int  # those that have to be open before the load begins
    think_time_ms: int = 0
    arrivals: Arrivals | None = None  # of an open loop; without them the loop is closed
    decode_rows: bool = False
    use_cached_result: bool = False  # whether a database may answer from the results it has kept
    seed: int
    application_name: str  # every session carries it, so that its leftovers can be found
    worker: int = 0  # its own number among the *workers*
    workers: int = 1
    first_connection: int = 0  # the number of its first connection among those of all workers
    connections_in_all: int = 1  # of all workers; keeps the keys that they insert apart


@dataclass(frozen=True, slots=True)
class Meter:
    """What one kind of operation has come to: lists to which any thread appends, and no more.

    Each operation that was answered is one item of every list that applies. Failures are told to
    the recorder instead: how fast a database refuses says nothing about how fast it works.
    """

    service_ns: list[int] = field(default_factory=list[int])  # from its sending to its last row
    response_ns: list[int] = field(default_factory=list[int])  # open loop: from its intended start
    rows: list[int] = field(default_factory=list[int])  # that it returned or changed


class Recorder(Protocol):
    """Where a driver notes what happened. Called from one thread or many, never awaited."""

    # Open loop: from each intended start to the sending, whatever the reason of the delay.
    lag_ns: list[int]
    # The same, of those that the generator held up: a connection was free when they became due, or
    # they came while it had not yet sent one for which there was.
    oversleep_ns: list[int]
    # The same: each time for which its thread has had a real-time priority.
    real_time_ns: list[int]

    def meter(self, kind: QueryKind, *, writes: bool = False) -> Meter:
        """Where operations of *kind* are counted; always the same object.

        Statements of a person's own are one kind: *writes* tells those apart that write.
        """
        ...

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        """An operation, or with no kind a connection attempt, failed as *failure* says."""
        ...

    def noticed(self, text: str) -> None:
        """Something that a reader of the figures has to know, and that no figure shows."""
        ...

    def connections_changed(self, by: int) -> None:
        """So many connections more, or with a negative number fewer, are open now."""
        ...


class Course(Protocol):
    """How the engine leads a load, from its beginning to its end."""

    # How many connections shall load at this moment: it may change at any time, between 0 and the
    # assignment's. A driver looks at it at least every 50 ms, and opens and closes accordingly.
    # In an open loop it is the limit, up to which connections are opened as they are needed.
    connections: int
    # Set when the load shall end: no operation begins after that.
    stopped: threading.Event
    # Whether what one worker does for all of them is this one's to do. A worker may come to it in
    # the middle of a load, when the one that had it is lost.
    is_first: bool
    # Whether the crew is gone, so that nobody but the driver ends what the sessions are at.
    is_alone: bool

    async def ready(self) -> int | None:
        """Say that the connections are open, and wait for the word to begin.

        The answer is the instant of `time.perf_counter_ns` at which the load begins, a few
        milliseconds ahead; None when it shall not begin at all.
        """
        ...


class Standby(Protocol):
    """Ends the sessions of a run from outside of its workers, as soon as that can be."""

    settled: anyio.Event  # it stands by, or is known not to

    async def serve(self) -> None:
        """Be ready for it until cancelled, as far as the database lets it be."""
        ...

    def end(self, *, in_flight_s: float) -> None:
        """Have those end that are at one operation for so long, or with 0 all; does not wait."""
        ...


class Driver(Protocol):
    """One kind of database."""

    def resolved(self, target: Target) -> Target:
        """*target* with the server named to which its connection leads in this environment.

        It asks no server, and may read files.

        Raises:
            DatabaseError: where it leads cannot be told.
        """
        ...

    async def greet(self, target: Target) -> str:
        """Which server answers, within 10 s; the table of *target* need not be there.

        Raises:
            DatabaseError: it does not answer; the message is its own.
        """
        ...

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

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:
        """How many workers can share a load of *workload*; None where there is no limit."""
        ...

    async def survey(self, target: Target) -> Survey:
        """Look at what the server of *target* can bear, within 10 s.

        Raises:
            DatabaseError: it does not answer.
        """
        ...

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        """Open the connections, await `course.ready` once, and load until `course.stopped`.

        A lost connection is reported and made again with back-off. When the course is stopped it
        closes every session and returns within 1 s, also when statements are in flight.

        Raises:
            InvalidInput: a statement of the workload cannot be used.
            DatabaseError: the connections that were asked for at the start cannot all be made.
        """
        ...

    def stand_by(
        self, target: Target, application_name: str, *, connections: int
    ) -> Standby | None:
        """What can end the sessions of that name; None where their worker does it as well.

        It takes no place that the load may come to need, which has *connections* at its height.
        """
        ...

    async def end_sessions(self, target: Target, application_name: str) -> SessionsEnded | None:
        """End what the database still has of the sessions of that name, and count what is left.

        None for a database that lives in the process that loads it.

        Raises:
            DatabaseError: it does not answer.
        """
        ...

    def scratch(self, target: Target, run_id: str) -> Target:
        """Where the scratch copy of *target* for that run would lie; makes nothing."""
        ...

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """Copy the table of *target*, rows, keys and indexes, to *scratch*, which must be new.

        Raises:
            NameTaken: something bears its name already.
            DatabaseError: it cannot be made; nothing of it is left then.
        """
        ...

    async def identity(self, target: Target) -> str | None:
        """By what the place where copies of *target* lie is known again; None if it has no such.

        That is a server with its database, or a folder: two that answer at the same address at
        different times have different ones. A replica has none.

        Raises:
            DatabaseError: it does not answer.
        """
        ...

    async def drop_scratch(self, scratch: Target) -> Removal:
        """Remove *scratch*, if it is there and bears the mark of `make_scratch`; else nothing.

        Raises:
            DatabaseError: it does not answer.
        """
        ...
