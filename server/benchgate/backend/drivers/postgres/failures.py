"""What psycopg's errors mean: which kind of failure each is, and what it says.

Knows SQLSTATEs, and the words in which libpq refuses a connection, for which it has no code.
"""

import re

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.failures import FailureKind, kind_of
from benchgate.domain.text import one_line

CLIENT_ERRORS: tuple[type[Exception], ...] = (psycopg.Error, OSError, ValueError)

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
    "40001": FailureKind.SERIALIZATION,
    "40P01": FailureKind.SERIALIZATION,
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
# The statement has to be prepared again: its rows have changed their type, or a pooler lost it.
FEATURE_NOT_SUPPORTED = "0A000"
PLAN_CHECK = "RevalidateCachedQuery"  # the server's function, which has a name in every language
NO_SUCH_STATEMENT = "26000"

# libpq puts its own words before the server's, once for each address that it has tried.
REFUSED_BY_SERVER = re.compile(r"FATAL:\s+(.+)")
TRIED = re.compile(r".* failed: (.+)")


def failure_of(exc: Exception) -> FailureKind:
    """What kind of failure *exc* is, by its SQLSTATE where it has one."""
    sqlstate = getattr(exc, "sqlstate", None)
    if sqlstate is not None:
        return _kind_of_state(str(sqlstate))
    if isinstance(exc, psycopg.OperationalError):
        return _kind_of_refusal(str(exc))
    # The client loses track of a session that the server ends between two operations.
    if isinstance(exc, OSError | psycopg.InterfaceError | psycopg.InternalError):
        return FailureKind.CONNECTION
    return FailureKind.OTHER


def _kind_of_state(sqlstate: str) -> FailureKind:
    for length in range(SQLSTATE_CHARACTERS, 1, -1):
        kind = BY_SQLSTATE.get(sqlstate[:length])
        if kind is not None:
            return kind
    return FailureKind.OTHER


def _kind_of_refusal(text: str) -> FailureKind:
    """Where libpq has no code: the server's words count, and of its own those on passwords."""
    refused = REFUSED_BY_SERVER.findall(text)
    kind = kind_of(refused[-1] if refused else _tried(text))
    if kind is FailureKind.CREDENTIALS or (refused and kind is not FailureKind.OTHER):
        return kind
    return FailureKind.CONNECTION


def message_of(exc: Exception) -> str:
    """What *exc* says, or what it is where it says nothing."""
    if isinstance(exc, psycopg.Error) and exc.diag.message_primary:
        details = (exc.diag.message_primary, exc.diag.message_detail)
        return "\n".join(part for part in details if part)
    refused = REFUSED_BY_SERVER.findall(str(exc))
    return refused[-1] if refused else str(exc) or type(exc).__name__


def refusal_of(exc: Exception, target: Target) -> str:
    """Why there is no session on the server of *target*, on one line."""
    message = one_line(message_of(exc))
    has_code = getattr(exc, "sqlstate", None) is not None
    if has_code or REFUSED_BY_SERVER.search(str(exc)) or not _is_lost(exc):
        return message
    return f"{one_line(_whereabouts(target))} does not answer: {one_line(_tried(str(exc)))}"


def error_of(result: pq.abc.PGresult) -> psycopg.Error:
    """The error that *result* is, as psycopg would raise it."""
    return error_from_result(result)


def is_stale(exc: psycopg.Error) -> bool:
    """Whether what has been prepared in the session does not hold any more."""
    is_plan = exc.sqlstate == FEATURE_NOT_SUPPORTED and exc.diag.source_function == PLAN_CHECK
    return is_plan or exc.sqlstate == NO_SUCH_STATEMENT


def _is_lost(exc: Exception) -> bool:
    return failure_of(exc) is FailureKind.CONNECTION


def _tried(text: str) -> str:
    """The reason in *text* without the address, or all of it."""
    reasons = TRIED.findall(text)
    return reasons[-1] if reasons else text or "it was silent for too long"


def _whereabouts(target: Target) -> str:
    reference = target.connection or ConnectionReference()
    if reference.service is not None:
        return f"the service {reference.service}"
    host = reference.host or reference.hostaddr or "the default host"
    return host if reference.port is None else f"{host}:{reference.port}"
