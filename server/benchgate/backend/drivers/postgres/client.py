"""The only module that makes sessions with psycopg, with their limits, and looks over them.

It reads a password where the connection's reference points, hands it to libpq and keeps it
nowhere. Its calls block: they belong into threads.
"""

import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import psycopg
from anyio import to_thread
from psycopg import pq
from psycopg.conninfo import make_conninfo

from benchgate.backend import credentials
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.drivers.postgres.failures import CLIENT_ERRORS, refusal_of
from benchgate.backend.drivers.postgres.scratch import leading_to
from benchgate.backend.drivers.postgres.whereabouts import server_of
from benchgate.errors import DatabaseError

LOOK_LIMIT_S = 10.0
CONNECT_LIMIT_S = 10
STATEMENT_LIMIT_S = 30
# A statement outlives a client that is killed unless the server looks for it now and then.
CLIENT_CHECK_MS = 500
DEFAULT_NAME = "benchgate"

Connection = psycopg.Connection[tuple[object, ...]]
Row = Sequence[object]
Texts = Sequence[bytes | None]
Found = TypeVar("Found")


class Line:
    """A way to cut a session off from a thread that must not touch it otherwise.

    It holds the socket by a number of its own, which cannot come to mean another socket. Whoever
    waits for the server on the session is then told that it is gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    def hold(self, connection: Connection) -> None:
        """Take hold of *connection*; it ends here if it was cut off before it was there."""
        with self._lock:
            borrowed = socket.socket(fileno=connection.fileno())
            self._socket = borrowed.dup()
            borrowed.detach()
            # To copy the number has made the socket a blocking one, which libpq must not have.
            self._socket.setblocking(False)
            if self._is_cut:
                self._shut()
                # Whoever would let go of it has done so already.
                self._socket.close()
                self._socket = None

    def cut(self) -> None:
        """Cut the session off, as a broken network would."""
        with self._lock:
            self._is_cut = True
            self._shut()

    def release(self) -> None:
        """Let go of the session, whatever has become of it."""
        with self._lock:
            held, self._socket = self._socket, None
        if held is not None:
            held.close()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the server may have been faster
                self._socket.shutdown(socket.SHUT_RDWR)


def connect(
    target: Target, *, name: str = DEFAULT_NAME, read_only: bool, line: Line | None = None
) -> Connection:
    """A session on the database of *target*, under *name*, with its limits set.

    Raises:
        DatabaseError: a password that is referred to cannot be found.
        Exception: one of `CLIENT_ERRORS`.
    """
    connection = psycopg.connect(_conninfo(target, name), autocommit=True)
    try:
        if line is not None:
            line.hold(connection)
        _limit(connection, target, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def fetch(connection: Connection, query: str, *parameters: object) -> list[Row]:
    """All rows of *query*, with parameters written as $1 and on."""
    cursor = psycopg.RawCursor(connection)
    return [*cursor.execute(query.encode(), parameters)]


def fetch_texts(connection: Connection, query: str, *parameters: object) -> list[Texts]:
    """All rows of *query*, each value as the server sent it."""
    result = answer(connection, query, *parameters)
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]


def answer(connection: Connection, query: str, *parameters: object) -> pq.abc.PGresult:
    """The server's whole answer to *query*, with parameters written as $1 and on."""
    result = psycopg.RawCursor(connection).execute(query.encode(), parameters).pgresult
    assert result is not None
    return result


async def looked(
    target: Target,
    look: Callable[[Connection], Found],
    *,
    read_only: bool,
    limit_s: float = LOOK_LIMIT_S,
) -> Found:
    """What *look* finds over a session of its own, in a thread, within *limit_s*.

    Raises:
        DatabaseError: there is no session, or the server did not answer in time.
        Exception: what *look* raises, with psycopg's own errors as a `DatabaseError`.
    """
    line = Line()
    try:
        with anyio.move_on_after(limit_s):
            work = partial(_look, target, look, line=line, read_only=read_only)
            return await to_thread.run_sync(work, abandon_on_cancel=True)
        raise TimeoutError(f"nothing within {limit_s:.0f} s")
    except CLIENT_ERRORS as exc:
        raise DatabaseError(refusal_of(exc, target)) from exc
    finally:
        line.cut()
        line.release()


def _look(
    target: Target, look: Callable[[Connection], Found], *, line: Line, read_only: bool
) -> Found:
    connection = connect(target, read_only=read_only, line=line)
    try:
        return look(connection)
    finally:
        connection.close()


def _conninfo(target: Target, name: str) -> str:
    reference = target.connection or ConnectionReference()
    missing = credentials.missing(reference)
    if missing is not None:
        raise DatabaseError(
            missing,
            hint="Provide it, then call `benchgate backend --restart`: it takes your environment.",
        )
    given: dict[str, str | int | None] = {
        **server_of(reference),
        "password": _password(reference),
        "passfile": _passfile(reference),
        "dbname": target.database,
        "connect_timeout": CONNECT_LIMIT_S,
        "application_name": name,
        "client_encoding": "UTF8",
    }
    return make_conninfo("", **given)


def _password(reference: ConnectionReference) -> str | None:
    if reference.password_env is None:
        return None
    return os.environ.get(reference.password_env)  # noqa: TID251 - this is the credential lookup


def _passfile(reference: ConnectionReference) -> str | None:
    if reference.passfile is None:
        return None
    return str(Path(reference.passfile).expanduser())


def _limit(connection: Connection, target: Target, *, read_only: bool) -> None:
    """Set what the server shall enforce by itself.

    Not among the settings that a session starts with, because a pooler refuses most of those and
    an older server those that it does not know. Behind a pooler that shares sessions nothing is
    set: it would stay with whoever comes next.
    """
    ((pid,),) = fetch(connection, "SELECT pg_backend_pid()")
    if pid != connection.info.backend_pid:
        return
    limits = f"SET statement_timeout = '{STATEMENT_LIMIT_S}s'"
    if read_only:
        limits += "; SET default_transaction_read_only = on"
    connection.execute(limits.encode())
    if target.copy_of is not None:
        connection.execute(leading_to(target).encode())
    # Servers before 14 do not know it, and those on some systems cannot do it.
    with suppress(psycopg.DatabaseError):
        check = f"SET client_connection_check_interval = '{CLIENT_CHECK_MS}ms'"
        connection.execute(check.encode())
