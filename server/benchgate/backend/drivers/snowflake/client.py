"""The only module that touches the Snowflake connector: connects, and says what its errors mean.

It reads a secret where the connection's reference points, hands it to the connector and keeps it
nowhere. What the connector's types are is declared here, as far as the driver uses them.
"""

import atexit
import logging
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import snowflake.connector
from snowflake.connector import errors

from benchgate.backend import credentials
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.failures import FailureKind, kind_of
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import DatabaseError

CONNECT_LIMIT_S = 8
CANCEL_LIMIT_S = 5


class Limits(NamedTuple):
    """How long a session waits, in seconds."""

    statement: int  # enforced by Snowflake, in the queue of the warehouse and in execution each
    silence: int  # of the socket
    answer: int | None  # in all, with what the connector tries again


LOOK_LIMITS = Limits(statement=10, silence=9, answer=9)
# Snowflake says that a statement is under way after 45 s of silence.
SAMPLE_LIMITS = Limits(statement=30, silence=50, answer=100)
# With a limit in all, the connector starts a thread for each statement to watch it, which becomes
# a part of what is measured. Nothing is tried again under load, so that silence is the limit.
LOAD_LIMITS = Limits(statement=30, silence=50, answer=None)
# The rows of a hybrid table are copied one by one.
COPY_LIMITS = Limits(statement=150, silence=50, answer=170)
DEFAULT_NAME = "benchgate"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

# What goes wrong is told by its exception; the connector would write it to the log as well.
logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)


class Batch(Protocol):
    """A part of a result, which may still lie on the server."""

    def populate_data(self, connection: object) -> object:
        """Fetch it from the server without decoding it."""
        ...


class Cursor(Protocol):
    """Where one statement at a time is executed."""

    rowcount: int | None

    def execute(self, command: str, params: Sequence[object] | None = None) -> object:
        """Run *command* with its parameters bound by the server."""
        ...

    def fetchall(self) -> list[Any]:
        """Take all rows as Python objects."""
        ...

    def get_result_batches(self) -> list[Batch] | None:
        """The parts of the result, the first of which came with the answer."""
        ...


class Connection(Protocol):
    """A session on the server; threads may share it."""

    session_id: int
    expired: bool

    def cursor(self, cursor_class: type[object] = ...) -> Cursor:
        """A cursor of its own."""
        ...

    def cmd_query(
        self, sql: str, sequence_counter: int, request_id: uuid.UUID, *, describe_only: bool
    ) -> dict[str, Any]:
        """Send *sql*, only to have it described if so wanted, and take the answer as it is."""
        ...

    def is_closed(self) -> bool:
        """Whether it was closed from this side."""
        ...

    def close(self, retry: bool = ...) -> None:
        """End the session on the server as well; never raises."""
        ...


class Described(Value):
    """How Snowflake has understood a statement that it did not run."""

    type_id: int
    parameters: int | None


CLIENT_ERRORS: tuple[type[Exception], ...] = (errors.Error, OSError, ValueError)

# Where the number of an error says more than its SQLSTATE, which is often a general one.
BY_ERRNO = {
    604: FailureKind.TIMEOUT,  # cancelled
    606: FailureKind.MISSING,  # no warehouse
    625: FailureKind.LOCK,  # more than 20 statements wait for one table
    630: FailureKind.TIMEOUT,  # statement timeout
    904: FailureKind.MISSING,
    1003: FailureKind.SYNTAX,
    2003: FailureKind.MISSING,
    2043: FailureKind.MISSING,
    2140: FailureKind.MISSING,
    3001: FailureKind.CREDENTIALS,
    90064: FailureKind.RESOURCES,
    90073: FailureKind.RESOURCES,  # a resource monitor has used up its quota
    90105: FailureKind.MISSING,
    90106: FailureKind.MISSING,
    100072: FailureKind.CONSTRAINT,
    200001: FailureKind.CONSTRAINT,  # hybrid tables: the key is there already
    250002: FailureKind.CONNECTION,
    250003: FailureKind.CONNECTION,
    250005: FailureKind.CONNECTION,
    251001: FailureKind.MISSING,  # no account
    251005: FailureKind.CREDENTIALS,
    251006: FailureKind.CREDENTIALS,
    251008: FailureKind.CREDENTIALS,
    251010: FailureKind.CREDENTIALS,
    251011: FailureKind.CONNECTION,
    251012: FailureKind.CONNECTION,
    252006: FailureKind.CONNECTION,
    390104: FailureKind.CONNECTION,  # the session is gone
    390111: FailureKind.CONNECTION,
    390112: FailureKind.CONNECTION,
    390114: FailureKind.CONNECTION,
    390201: FailureKind.MISSING,  # a warehouse, role or database to begin with
}
CREDENTIALS_ERRNO = range(390100, 391000)
# The connector adds its base to the HTTP status, and in some versions twice.
HTTP_BASES = (290_000, 580_000)
TOO_MANY_REQUESTS = 429
NO_SUCH_CONNECTION = 250_001  # also what it says when the login is refused

# The longest prefix of an SQLSTATE decides.
BY_SQLSTATE = {
    "02000": FailureKind.MISSING,
    "08": FailureKind.CONNECTION,
    "23": FailureKind.CONSTRAINT,
    "28": FailureKind.CREDENTIALS,
    "40001": FailureKind.LOCK,
    "42": FailureKind.SYNTAX,
    "42501": FailureKind.CREDENTIALS,
    "42S02": FailureKind.MISSING,
    "53": FailureKind.RESOURCES,
    "57014": FailureKind.TIMEOUT,
    "57P03": FailureKind.MISSING,
}
SQLSTATE_CHARACTERS = 5
NUMBERS = re.compile(r"^\d{6}(?: \(\w+\))?: ")


def connect(
    target: Target,
    *,
    name: str = DEFAULT_NAME,
    use_cached_result: bool = False,
    limits: Limits = LOOK_LIMITS,
) -> Connection:
    """A session for *target*, tagged with *name*, with its limits set and no database chosen.

    Raises:
        DatabaseError: a secret that is referred to cannot be found or used.
        Exception: one of `CLIENT_ERRORS`.
    """
    reference = target.connection or ConnectionReference()
    missing = credentials.missing(reference)
    if missing is not None:
        raise DatabaseError(
            missing,
            hint="Provide it, then call `benchgate backend --restart`: it takes your environment.",
        )
    session = _session_parameters(name, limits) | {"USE_CACHED_RESULT": use_cached_result}
    try:
        return _open(target, reference, limits=limits, session_parameters=session)
    except (TypeError, ValueError) as exc:
        # So the connector passes on what a library has to say of the key's file.
        raise DatabaseError(f"The private key cannot be used: {message_of(exc)}") from exc


def _session_parameters(name: str, limits: Limits) -> dict[str, object]:
    return {
        "QUERY_TAG": name,
        "STATEMENT_TIMEOUT_IN_SECONDS": limits.statement,
        "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": limits.statement,
        "LOCK_TIMEOUT": limits.statement,
        "ABORT_DETACHED_QUERY": True,
        # A user's own defaults must not change what a statement of ours means.
        "MULTI_STATEMENT_COUNT": 1,
        "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
        "CLIENT_TELEMETRY_ENABLED": False,
    }


def _open(
    target: Target,
    reference: ConnectionReference,
    *,
    limits: Limits,
    session_parameters: dict[str, object],
) -> Connection:
    wanted = {
        "account": reference.account,
        "user": reference.username,
        "role": reference.role,
        "warehouse": target.warehouse_name,
        **_whereabouts(reference),
        **_secret(reference),
    }
    connection = cast(
        "Connection",
        snowflake.connector.connect(  # pyright: ignore[reportUnknownMemberType]
            **{key: value for key, value in wanted.items() if value is not None},
            login_timeout=CONNECT_LIMIT_S,
            socket_timeout=limits.silence,
            network_timeout=limits.answer,
            platform_detection_timeout_seconds=0.0,  # it would ask the cloud's metadata service
            client_session_keep_alive=True,
            autocommit=True,
            paramstyle="numeric",  # bound by the server
            validate_default_parameters=True,
            log_imported_packages_in_telemetry=False,
            session_parameters=session_parameters,
        ),
    )
    # At the process's end the connector would take its leave of each session that is still open,
    # one after the other, and wait for an answer to each.
    atexit.unregister(getattr(connection, "_close_at_exit", connection.close))
    return connection


def _whereabouts(reference: ConnectionReference) -> dict[str, object]:
    """Where a stand-in of Snowflake listens; Snowflake itself follows from the account."""
    # Only a machine's own loopback is spoken to in clear text: nobody else can listen there.
    protocol = "http" if reference.host in LOOPBACK else None
    return {"host": reference.host, "port": reference.port, "protocol": protocol}


def _secret(reference: ConnectionReference) -> dict[str, object]:
    """The key pair where one is referred to, or the password."""
    if reference.private_key_file is None:
        return {"password": _environment(reference.password_env)}
    return {
        "authenticator": "SNOWFLAKE_JWT",
        "private_key_file": str(Path(reference.private_key_file).expanduser()),
        "private_key_file_pwd": _environment(reference.private_key_passphrase_env),
    }


def _environment(name: str | None) -> str | None:
    return None if name is None else os.environ.get(name)  # noqa: TID251 - the credential lookup


def rows_of(
    connection: Connection, sql: str, parameters: Sequence[object] = ()
) -> list[dict[str, Any]]:
    """The rows of *sql*, each by the names of its columns."""
    cursor = connection.cursor(snowflake.connector.DictCursor)
    cursor.execute(sql, parameters or None)
    return cursor.fetchall()


def described(connection: Connection, sql: str) -> Described:
    """What *sql* is, told by Snowflake without running it.

    The connector's own `describe` keeps the columns of the answer and drops the rest.
    """
    answer = connection.cmd_query(sql, 0, uuid.uuid4(), describe_only=True)
    data = answer["data"]
    if not answer.get("success"):
        raise errors.ProgrammingError(
            answer.get("message"),
            int(answer.get("code") or -1),
            data.get("sqlState"),
            send_telemetry=False,
        )
    return Described(type_id=data["statementTypeId"], parameters=data.get("numberOfBinds"))


def execute(cursor: Cursor, sql: str, parameters: Sequence[object]) -> None:
    """Run *sql* once, whatever comes of it.

    The connector would try again after an HTTP error, and the load would see a slow answer where
    the database gave none.
    """
    run: Any = cursor.execute
    try:
        run(sql, parameters or None, _no_retry=True)
    except KeyError as exc:
        # It takes what is not an answer, such as a session that is gone, for an empty one.
        raise errors.InterfaceError(
            "the server gave no answer", 250003, send_telemetry=False
        ) from exc


def cancel(connection: Connection, cursor: Cursor, sql: str) -> None:
    """Have the statement that *cursor* waits for cancelled by the server, from another thread.

    It goes by the request's own id, as the connector does it after a timeout: the id of the
    query is not known before there is an answer.
    """
    rest: Any = getattr(connection, "rest", None)
    request_id: Any = getattr(cursor, "_request_id", None)
    if rest is not None and request_id is not None:
        url = f"/queries/v1/abort-request?requestId={uuid.uuid4()}"
        rest.request(url, {"sqlText": sql, "requestId": str(request_id)}, timeout=CANCEL_LIMIT_S)


def failure_of(exc: Exception) -> FailureKind:
    """What kind of failure *exc* is, by its number, its SQLSTATE or its words."""
    if isinstance(exc, OSError):
        return FailureKind.CONNECTION
    number = getattr(exc, "errno", None)
    errno = number if isinstance(number, int) else -1
    if errno in BY_ERRNO:
        return BY_ERRNO[errno]
    if errno in CREDENTIALS_ERRNO:
        return FailureKind.CREDENTIALS
    if any(base < errno < base + 1_000 for base in HTTP_BASES):
        return (
            FailureKind.RESOURCES if errno % 1_000 == TOO_MANY_REQUESTS else FailureKind.CONNECTION
        )
    if errno == NO_SUCH_CONNECTION:
        guessed = kind_of(message_of(exc))
        return guessed if guessed is FailureKind.CREDENTIALS else FailureKind.CONNECTION
    return _by_sqlstate(exc) or kind_of(message_of(exc))


def _by_sqlstate(exc: Exception) -> FailureKind | None:
    sqlstate = str(getattr(exc, "sqlstate", None) or "")
    for length in range(SQLSTATE_CHARACTERS, 1, -1):
        kind = BY_SQLSTATE.get(sqlstate[:length])
        if kind is not None:
            return kind
    return None


def message_of(exc: Exception) -> str:
    """What *exc* says, with the number and SQLSTATE that Snowflake's users look for."""
    return one_line(str(exc)) or type(exc).__name__


def refusal_of(exc: Exception, target: Target) -> str:
    """Why there is no session for *target*, on one line."""
    reference = target.connection or ConnectionReference()
    account = one_line(reference.account or reference.host or "without a name")
    if failure_of(exc) is FailureKind.CONNECTION:
        return f"The account {account} does not answer: {NUMBERS.sub('', message_of(exc))}"
    return message_of(exc)
