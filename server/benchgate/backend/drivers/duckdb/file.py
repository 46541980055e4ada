"""A DuckDB file as a driver sees it: how it is opened, and what its errors mean.

A file that one process writes no other can open; any number of processes can read it together.
Within a process everybody has to open it alike, and shares one instance of the database.
Everything here blocks and belongs in a thread. Nothing here ever creates a file.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from benchgate.backend.drivers.copies import path_of
from benchgate.backend.drivers.layouts import quoted
from benchgate.backend.drivers.port import Target
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

# Two transactions that write the same row: the later one is told to try again.
CONFLICT = FailureKind.SERIALIZATION

BY_CLASS: tuple[tuple[type[duckdb.Error], FailureKind], ...] = (
    (duckdb.ConstraintException, FailureKind.CONSTRAINT),
    (duckdb.TransactionException, CONFLICT),
    (duckdb.SerializationException, CONFLICT),
    (duckdb.InterruptException, FailureKind.TIMEOUT),
    (duckdb.CatalogException, FailureKind.MISSING),
    (duckdb.ParserException, FailureKind.SYNTAX),
    (duckdb.SyntaxException, FailureKind.SYNTAX),
    (duckdb.OutOfMemoryException, FailureKind.RESOURCES),
    (duckdb.PermissionException, FailureKind.CREDENTIALS),
    (duckdb.ResourceInUseException, FailureKind.CONNECTION),
    (duckdb.ConnectionException, FailureKind.CONNECTION),
    # After these the instance answers nothing any more.
    (duckdb.FatalException, FailureKind.CONNECTION),
    (duckdb.InternalException, FailureKind.CONNECTION),
)
# What only the text tells apart, in this order.
BY_TEXT: tuple[tuple[type[duckdb.Error], str, FailureKind], ...] = (
    (duckdb.TransactionException, "constraint", FailureKind.CONSTRAINT),
    (duckdb.IOException, "no space left", FailureKind.RESOURCES),
    (duckdb.IOException, "", FailureKind.CONNECTION),
    (duckdb.BinderException, "not found", FailureKind.MISSING),
    (duckdb.BinderException, "", FailureKind.SYNTAX),
    (duckdb.InvalidInputException, "read-only", FailureKind.CREDENTIALS),
)

LOG_SUFFIX = ".wal"
LOG_SUFFIXES = (LOG_SUFFIX, ".wal.checkpoint", ".wal.recovery")

# All of a process have to open a file alike, so what a look needs is in every connection.
OPENING: dict[str, str | bool | int | float | list[str]] = {"explain_output": "all"}

# Looks come one after the other, because a file cannot be opened and attached at the same time.
_looking = threading.Lock()
_confining = threading.Lock()


def open_file(target: Target, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection in autocommit mode, to the instance of this process."""
    path = path_of(target)
    if not path.exists():
        # A connection that may write would make it.
        raise duckdb.IOException(f"there is no file {path}")
    return connected(path, read_only=read_only)


def connected(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection to the file at *path* that reaches no other file."""
    connection = duckdb.connect(path, read_only=read_only, config=OPENING)
    try:
        # DuckDB knows its logs as its own only where the file's name holds no question mark.
        confine(connection, [beside(path, suffix) for suffix in LOG_SUFFIXES])
    except BaseException:
        connection.close()
        raise
    return connection


def confine(connection: duckdb.DuckDBPyConnection, allowed: Sequence[Path] = ()) -> None:
    """Cut the instance of *connection* off from all files but its own and *allowed* ones, for good.

    A statement of a workload has no business there, and DuckDB's SQL can read and write any file.
    """
    paths = ", ".join("'" + str(path).replace("'", "''") + "'" for path in allowed)
    with _confining:
        locked = connection.execute("SELECT current_setting('lock_configuration')").fetchone()
        if locked == (True,):
            return  # Another connection to the instance has done it.
        connection.execute(f"SET allowed_paths = [{paths}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")


def beside(path: Path, suffix: str) -> Path:
    """Where DuckDB keeps a log; it takes what follows a question mark for an address's query."""
    name, mark, query = path.name.partition("?")
    return path.with_name(f"{name}{suffix}{mark}{query}")


@contextmanager
def looking_at(target: Target) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection for one look, whose errors come out as ours.

    Raises:
        DatabaseError: the file cannot be opened or read, in DuckDB's words.
    """
    with _looking, _told(target), closing(_opened_as_it_is(target)) as connection:
        yield connection


@contextmanager
def imitating(target: Target) -> Generator[duckdb.DuckDBPyConnection]:
    """A database in memory with everything that the file of *target* has but rows.

    Statements that write can be prepared there, while the file may be open to others.

    Raises:
        DatabaseError: the file cannot be opened or read, in DuckDB's words.
    """
    with looking_at(target) as connection:
        found = connection.execute("SELECT current_database()").fetchone()
    name = quoted(str(found[0]) if found else "imitation")
    file = str(path_of(target)).replace("'", "''")
    with (
        _looking,
        _told(target),
        closing(duckdb.connect(":memory:", config=OPENING)) as connection,
    ):
        connection.execute(f"ATTACH '{file}' AS benchgate_original (READ_ONLY)")
        connection.execute(f"ATTACH ':memory:' AS {name}")
        connection.execute(f"COPY FROM DATABASE benchgate_original TO {name} (SCHEMA)")
        connection.execute(f"USE {name}")
        connection.execute("DETACH benchgate_original")
        confine(connection)
        yield connection


def failure_of(exc: duckdb.Error) -> FailureKind:
    """What kind of failure *exc* is, by its class and, where that covers several, its text."""
    text = str(exc).casefold()
    for kind, wording, failure in BY_TEXT:
        if isinstance(exc, kind) and wording in text:
            return failure
    return next((kind for cls, kind in BY_CLASS if isinstance(exc, cls)), FailureKind.OTHER)


def _opened_as_it_is(target: Target) -> duckdb.DuckDBPyConnection:
    try:
        return open_file(target, read_only=True)
    except duckdb.ConnectionException:
        # This process has it open to write.
        return open_file(target, read_only=False)


@contextmanager
def _told(target: Target) -> Generator[None]:
    try:
        yield
    except duckdb.Error as exc:
        raise DatabaseError(
            f"{one_line(target.database)}: {one_line(str(exc))}",
            hint="Check the path of the file and the name of the table; a file that another "
            "program writes to cannot be opened meanwhile.",
        ) from exc
