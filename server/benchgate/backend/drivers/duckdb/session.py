"""A connection under load to a DuckDB file, and what opens it.

DuckDB knows no time limit for a statement and no name for a session. It goes on working on a file
that was deleted or replaced under it, which is taken for a lost connection.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from benchgate.backend.drivers.copies import identity_of, path_of
from benchgate.backend.drivers.duckdb.file import failure_of, open_file
from benchgate.backend.drivers.lanes import Call
from benchgate.backend.drivers.operations import Row
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.failures import FailureKind

ROWS_AT_ONCE = 1_000  # that lie in memory
FILE_GONE = "the database file was removed or replaced"
COUNT = "Count"  # the only column of what a write answers that returns no rows


@dataclass(frozen=True, slots=True)
class DuckdbClient:
    """What opens connections for a load; all of one process share one instance of the database."""

    target: Target
    statements: Sequence[Statement]
    errors: tuple[type[Exception], ...] = (duckdb.Error, ValueError, OverflowError)

    def open(self) -> "DuckdbSession":
        """Connect, so that other processes can read the file as well unless it is written."""
        writes = any(statement.writes for statement in self.statements)
        identity = identity_of(path_of(self.target))
        return DuckdbSession(open_file(self.target, read_only=not writes), self, identity)

    def failure_of(self, exc: Exception) -> tuple[FailureKind, str]:
        """What kind of failure *exc* is; a value that DuckDB cannot take is none of its kinds."""
        is_duckdbs = isinstance(exc, duckdb.Error)
        return failure_of(exc) if is_duckdbs else FailureKind.OTHER, str(exc)


class DuckdbSession:
    """One connection of a load."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        client: DuckdbClient,
        identity: tuple[int, int] | None,
    ) -> None:
        self._connection = connection
        self._path = path_of(client.target)
        self._identity = identity
        self.calls = [self._call(statement) for statement in client.statements]

    def interrupt(self) -> None:
        """End the statement in flight."""
        # It may have been closed by its thread in this very moment.
        with suppress(duckdb.Error):
            self._connection.interrupt()

    def lost(self) -> str | None:
        """Say so when the file is not the one that was opened."""
        return None if identity_of(self._path) == self._identity else FILE_GONE

    def close(self) -> None:
        """Give the connection back; a closed one stays closed."""
        with suppress(duckdb.Error):
            self._connection.close()

    def _call(self, statement: Statement) -> Call:
        connection, sql = self._connection, statement.sql
        execute, fetch = connection.execute, connection.fetchmany

        def read(parameters: Row) -> int:
            execute(sql, parameters)
            count = len(fetch(ROWS_AT_ONCE))
            if count == ROWS_AT_ONCE:
                while more := len(fetch(ROWS_AT_ONCE)):
                    count += more
            return count

        def write(parameters: Row) -> int:
            execute(sql, parameters)
            rows = fetch(ROWS_AT_ONCE)
            if len(rows) == 1 and connection.description[0][0] == COUNT:
                return rows[0][0]
            count = len(rows)
            while more := len(fetch(ROWS_AT_ONCE)):
                count += more
            return count

        return write if statement.writes else read
