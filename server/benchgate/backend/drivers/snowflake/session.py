"""The load on Snowflake as the threads drive it: a session for each, a cursor in each session.

The connector waits in Python for one answer at a time, so a connection is a thread. The rows of a
small result come with the answer, in one encoded piece; only further pieces lie elsewhere.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress

from benchgate.backend.drivers.lanes import Call
from benchgate.backend.drivers.operations import Row
from benchgate.backend.drivers.port import Assignment
from benchgate.backend.drivers.snowflake.client import (
    CLIENT_ERRORS,
    LOAD_LIMITS,
    Connection,
    Cursor,
    cancel,
    connect,
    execute,
    failure_of,
    message_of,
)
from benchgate.backend.drivers.snowflake.table import Place
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.failures import FailureKind
from benchgate.errors import DatabaseError


class SnowflakeClient:
    """Opens the sessions of one worker."""

    errors = (*CLIENT_ERRORS, DatabaseError)

    def __init__(
        self, assignment: Assignment, place: Place, statements: Sequence[Statement]
    ) -> None:
        self._assignment = assignment
        self._place = place
        self._sql = tuple(statement.sql for statement in statements)

    def open(self) -> "SnowflakeSession":
        """A session in the table's schema, where names without one are looked for."""
        connection = connect(
            self._assignment.target,
            name=self._assignment.application_name,
            use_cached_result=self._assignment.use_cached_result,
            limits=LOAD_LIMITS,
        )
        try:
            execute(connection.cursor(), f"USE SCHEMA {self._place.within}", ())
        except BaseException:
            connection.close(retry=False)
            raise
        return SnowflakeSession(connection, self._sql, decode_rows=self._assignment.decode_rows)

    def failure_of(self, exc: Exception) -> tuple[FailureKind, str]:
        """What kind of failure *exc* is, and its words."""
        if isinstance(exc, DatabaseError):
            return FailureKind.CREDENTIALS, str(exc)
        return failure_of(exc), message_of(exc)


class SnowflakeSession:
    """A session with the cursor that its thread executes on."""

    def __init__(self, connection: Connection, sql: Sequence[str], *, decode_rows: bool) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._take = _decoded if decode_rows else self._fetched
        self._under_way: str | None = None
        self._is_cancelling = threading.Event()
        self.calls: Sequence[Call] = tuple(self._call(text) for text in sql)

    def _call(self, sql: str) -> Call:
        cursor = self._cursor

        def call(parameters: Row) -> int:
            self._under_way = sql
            try:
                execute(cursor, sql, parameters)
                return self._take(cursor)
            finally:
                self._under_way = None

        return call

    def _fetched(self, cursor: Cursor) -> int:
        """Fetch what did not come with the answer, and leave it as it came."""
        _, *elsewhere = cursor.get_result_batches() or [None]
        for batch in elsewhere:
            assert batch is not None
            batch.populate_data(self._connection)
        return cursor.rowcount or 0

    def interrupt(self) -> None:
        """Have the server cancel the statement that is under way.

        That takes a request of its own, so it is left to a thread: one for each session at most,
        because many are interrupted one after the other, and again before there is an answer.
        """
        if self._under_way is not None and not self._is_cancelling.is_set():
            self._is_cancelling.set()
            threading.Thread(target=self._cancel, daemon=True).start()

    def _cancel(self) -> None:
        sql = self._under_way
        try:
            if sql is not None:
                with suppress(*CLIENT_ERRORS):
                    cancel(self._connection, self._cursor, sql)
        finally:
            self._is_cancelling.clear()

    def lost(self) -> str | None:
        """Whether the login has expired, which no statement can mend."""
        return "the login has expired" if self._connection.expired else None

    def close(self) -> None:
        """End the session on the server."""
        self._connection.close(retry=False)


def _decoded(cursor: Cursor) -> int:
    """Fetch all rows as Python objects; the answer to a write counts what it changed."""
    cursor.fetchall()
    return cursor.rowcount or 0
