"""The only module that touches asyncpg: connects, and says what its errors mean.

It reads a password where the connection's reference points, hands it to the client and keeps it
nowhere. What the client's types are is declared here, as far as the driver uses them.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it has none

from benchgate.backend import credentials
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

CONNECT_LIMIT_S = 10
STATEMENT_LIMIT_S = 30
# A statement outlives a client that is killed unless the server looks for it now and then.
CLIENT_CHECK_MS = 500
DEFAULT_NAME = "benchgate"


class Statement(Protocol):
    """A prepared statement."""

    def get_parameters(self) -> Sequence[object]:
        """The types of its parameters."""
        ...

    async def fetch(self, *args: object) -> list[Sequence[object]]:
        """Run it and take all rows."""
        ...


Call = Callable[[Sequence[object]], Awaitable[object]]


class Connection(Protocol):
    """A session on the server."""

    async def prepare(self, query: str) -> Statement:
        """Prepare *query* under a name of its own."""
        ...

    async def fetch(self, query: str, *args: object) -> list[Sequence[object]]:
        """Run *query* and take all rows."""
        ...

    async def execute(self, query: str) -> str:
        """Run *query* without parameters."""
        ...

    def get_server_pid(self) -> int:
        """The process that serves this session."""
        ...

    def is_closed(self) -> bool:
        """Whether the session is known to be gone."""
        ...

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - the client's signature
        """End the session in good order."""
        ...

    def terminate(self) -> None:
        """Cut the session off."""
        ...


CLIENT_ERRORS: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    ValueError,
)
# The statement has to be prepared again: the table has changed under it.
STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)

# The longest prefix of an SQLSTATE decides.
BY_SQLSTATE = {
    "08": FailureKind.CONNECTION,
    "22": FailureKind.OTHER,
    "23": FailureKind.CONSTRAINT,
    "25P03": FailureKind.TIMEOUT,
    "25P04": FailureKind.TIMEOUT,
    "28": FailureKind.CREDENTIALS,
    "3D000": FailureKind.MISSING,
    "3F000": FailureKind.MISSING,
    "40001": FailureKind.LOCK,
    "40P01": FailureKind.LOCK,
    "42": FailureKind.SYNTAX,
    "42501": FailureKind.CREDENTIALS,
    "42703": FailureKind.MISSING,
    "42704": FailureKind.MISSING,
    "42883": FailureKind.MISSING,
    "42P01": FailureKind.MISSING,
    "53": FailureKind.RESOURCES,
    "54": FailureKind.RESOURCES,
    "55006": FailureKind.LOCK,
    "55P03": FailureKind.LOCK,
    "57014": FailureKind.TIMEOUT,
    "57P": FailureKind.CONNECTION,
    "58": FailureKind.RESOURCES,
}
SQLSTATE_CHARACTERS = 5


async def connect(target: Target, *, name: str = DEFAULT_NAME, read_only: bool) -> Connection:
    """A session on the database of *target*, under *name*, with its time limits set.

    Raises:
        DatabaseError: a password that is referred to cannot be found.
        Exception: one of `CLIENT_ERRORS`.
    """
    reference = target.connection or ConnectionReference()
    missing = credentials.missing(reference)
    if missing is not None:
        raise DatabaseError(
            missing,
            hint="Provide it, then call `benchgate backend --restart`: it takes your environment.",
        )
    connection = cast(
        "Connection",
        await asyncpg.connect(  # pyright: ignore[reportUnknownMemberType]
            # The client looks at a service only beside a URL, even one that says nothing.
            dsn="postgresql://" if reference.service else None,
            service=reference.service,
            host=reference.host,
            port=reference.port,
            user=reference.username,
            password=_password(reference),
            passfile=_passfile(reference),
            database=target.database,
            timeout=CONNECT_LIMIT_S,
            server_settings={"application_name": name},
        ),
    )
    try:
        await _limit(connection, read_only=read_only)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _password(reference: ConnectionReference) -> str | None:
    if reference.password_env is None:
        return None
    return os.environ.get(reference.password_env)  # noqa: TID251 - this is the credential lookup


def _passfile(reference: ConnectionReference) -> str | None:
    if reference.passfile is None:
        return None
    return str(Path(reference.passfile).expanduser())


def call_of(connection: Connection, statement: Statement) -> Call:
    """How to run *statement* with given parameters, all rows taken, as fast as the client can.

    Its `fetch` passes through four coroutines before it reaches the protocol, which is a quarter
    of its own time and none of the server's. Where this version of the client keeps its protocol
    elsewhere, `fetch` it is.
    """
    protocol: Any = getattr(connection, "_protocol", None)
    state: Any = getattr(statement, "_state", None)
    run = getattr(protocol, "bind_execute", None)
    if run is None or state is None:
        return lambda parameters: statement.fetch(*parameters)
    all_rows, no_extra, no_limit = 0, False, None
    # The state keeps the prepared statement alive only as long as somebody holds the statement.
    return lambda parameters, _=statement: run(state, parameters, "", all_rows, no_extra, no_limit)


async def _limit(connection: Connection, *, read_only: bool) -> None:
    """Set what the server shall enforce by itself.

    Not among the settings that a session starts with, because a pooler refuses most of those and
    an older server those that it does not know.
    """
    limits = f"SET statement_timeout = '{STATEMENT_LIMIT_S}s'"
    if read_only:
        limits += "; SET default_transaction_read_only = on"
    await connection.execute(limits)
    # Servers before 14 do not know it, and those on some systems cannot do it.
    with suppress(asyncpg.PostgresError):
        await connection.execute(f"SET client_connection_check_interval = '{CLIENT_CHECK_MS}ms'")


def failure_of(exc: Exception) -> FailureKind:
    """What kind of failure *exc* is, by its SQLSTATE where it has one."""
    # The client loses track of a session that the server ends between two operations.
    if isinstance(exc, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return FailureKind.CONNECTION
    sqlstate = str(getattr(exc, "sqlstate", None) or "")
    for length in range(SQLSTATE_CHARACTERS, 1, -1):
        kind = BY_SQLSTATE.get(sqlstate[:length])
        if kind is not None:
            return kind
    return FailureKind.OTHER


def message_of(exc: Exception) -> str:
    """What *exc* says, or what it is where it says nothing."""
    if isinstance(exc, TimeoutError) and not str(exc):
        return f"the server did not answer within {CONNECT_LIMIT_S} s"
    if isinstance(exc, asyncpg.InternalClientError):
        return f"the session was lost: {exc}"
    return str(exc) or type(exc).__name__


def refusal_of(exc: Exception, target: Target) -> str:
    """Why there is no session on the server of *target*, on one line."""
    message = one_line(message_of(exc))
    if isinstance(exc, OSError):
        return f"{one_line(_whereabouts(target))} does not answer: {message}"
    return message


def _whereabouts(target: Target) -> str:
    reference = target.connection or ConnectionReference()
    if reference.service is not None:
        return f"the service {reference.service}"
    host = reference.host or "the default host"
    return host if reference.port is None else f"{host}:{reference.port}"
