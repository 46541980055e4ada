"""A connection under load to an SQLite file.

The lock wait of `LOCK_WAIT_MS` is made of short waits, because nothing can interrupt SQLite while
it waits for a lock, and a stop must not take longer than it may. A statement that was refused for
a lock has done nothing, so asking again is the same operation; its latency includes all waiting.

SQLite goes on working on a file that was deleted or replaced under it. A load that nobody could
find the rows of would look like a success, so a changed file is a lost connection.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns

from benchgate.backend.drivers.copies import identity_of, path_of
from benchgate.backend.drivers.lanes import Call
from benchgate.backend.drivers.operations import Row
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.sqlite.file import LOCK_WAIT_MS, failure_of, open_file
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.failures import FailureKind

LOCK_SLICE_MS = 250
ROWS_AT_ONCE = 1_000  # that lie in memory
LOG_BYTES_KEPT = 64 * 2**20  # of the write-ahead log, once it has been written back
FILE_GONE = "the database file was removed or replaced"

BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True, slots=True)
class SqliteClient:
    """What opens connections for a load."""

    target: Target
    statements: Sequence[Statement]
    errors: tuple[type[Exception], ...] = (
        sqlite3.Error,
        sqlite3.Warning,
        ValueError,
        OverflowError,
    )

    def open(self) -> "SqliteSession":
        """Connect; the journal mode stays as the file has it."""
        writes = any(statement.writes for statement in self.statements)
        identity = identity_of(path_of(self.target))
        connection = open_file(self.target, read_only=not writes, busy_timeout_ms=LOCK_SLICE_MS)
        try:
            # Opening reads nothing; this does.
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
        except sqlite3.Error:
            connection.close()
            raise
        return SqliteSession(connection, self, identity)

    def failure_of(self, exc: Exception) -> tuple[FailureKind, str]:
        """What kind of failure *exc* is; a value that SQLite cannot take is none of its kinds."""
        is_sqlites = isinstance(exc, sqlite3.Error | sqlite3.Warning)
        return failure_of(exc) if is_sqlites else FailureKind.OTHER, str(exc)


class SqliteSession:
    """One connection of a load."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        client: SqliteClient,
        identity: tuple[int, int] | None,
    ) -> None:
        self._connection = connection
        self._path = path_of(client.target)
        self._identity = identity
        self._is_cut = False
        self.calls = [self._call(statement) for statement in client.statements]

    def interrupt(self) -> None:
        """End the statement in flight, or its wait for a lock."""
        self._is_cut = True
        # It may have been closed by its thread in this very moment.
        with suppress(sqlite3.ProgrammingError):
            self._connection.interrupt()

    def lost(self) -> str | None:
        """Say so when the file is not the one that was opened."""
        return None if identity_of(self._path) == self._identity else FILE_GONE

    def close(self) -> None:
        """Give the connection back; a closed one stays closed."""
        # An interrupt is remembered until the next statement begins. It would keep the close
        # from writing the log back, and the log would stay behind beside the file.
        with suppress(sqlite3.Error):
            self._connection.execute("SELECT 1").fetchone()
        self._connection.close()

    def _call(self, statement: Statement) -> Call:
        """The statement as a function of its parameters, which has as little to do as can be."""
        cursor = self._connection.cursor()
        calling = self._writing if statement.writes else self._reading
        return calling(cursor, statement.sql)

    def _reading(self, cursor: sqlite3.Cursor, sql: str) -> Call:
        execute, fetch = _executing(cursor), cursor.fetchmany

        def read(parameters: Row) -> int:
            until_ns = 0
            while True:
                try:
                    execute(sql, parameters)
                    count = len(fetch(ROWS_AT_ONCE))
                    if count == ROWS_AT_ONCE:
                        while more := len(fetch(ROWS_AT_ONCE)):
                            count += more
                except sqlite3.OperationalError as exc:
                    until_ns = self._patience(exc, until_ns)
                else:
                    return count

        return read

    def _writing(self, cursor: sqlite3.Cursor, sql: str) -> Call:
        execute, fetch = _executing(cursor), cursor.fetchmany
        connection = self._connection

        def write(parameters: Row) -> int:
            until_ns = 0
            changes = connection.total_changes
            while True:
                try:
                    execute(sql, parameters)
                    while fetch(ROWS_AT_ONCE):
                        pass  # Of a statement that returns what it changed.
                except sqlite3.OperationalError as exc:
                    until_ns = self._patience(exc, until_ns)
                else:
                    # The cursor knows none where the statement begins with WITH.
                    count = cursor.rowcount
                    return count if count >= 0 else connection.total_changes - changes

        return write

    def _patience(self, refusal: sqlite3.OperationalError, until_ns: int) -> int:
        """Until when the statement is tried again; what is no matter of patience is raised.

        *until_ns* is what it was at the last refusal, and 0 at the first.
        """
        now_ns = perf_counter_ns()
        if not until_ns:
            self._is_cut = False
            until_ns = now_ns + (LOCK_WAIT_MS - LOCK_SLICE_MS) * 1_000_000
        is_locked = refusal.sqlite_errorcode & 0xFF in BUSY
        if not is_locked or self._is_cut or now_ns >= until_ns:
            raise refusal
        return until_ns


def _executing(cursor: sqlite3.Cursor) -> Callable[[str, Row], object]:
    # The values were sampled from SQLite, which is more than their type says.
    return cursor.execute  # pyright: ignore[reportReturnType]
