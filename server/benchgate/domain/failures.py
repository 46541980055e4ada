"""Kinds of failure that a person can act on, and how a free text is sorted into them.

Drivers know the kind from their database's own codes. Only where nothing but a text has come
through (a run's reason, another backend's error) is it guessed here, and only to choose advice.
"""

from enum import StrEnum

TEXT_CHARACTERS_MAX = 2_000


class FailureKind(StrEnum):
    """Why an operation or a run failed, as far as its reader can do something about it."""

    CONNECTION = "connection"  # the server does not answer, or the connection was lost
    CREDENTIALS = "credentials"
    TIMEOUT = "timeout"
    LOCK = "lock"  # lock waits, a busy database
    SERIALIZATION = "serialization"  # also deadlocks: the same again may work
    CONSTRAINT = "constraint"  # duplicate keys and violated constraints
    SYNTAX = "syntax"  # the statement itself
    MISSING = "missing"  # a table, column, file or database that is not there
    RESOURCES = "resources"  # connections, memory or disk used up
    OTHER = "other"


KIND_NAMES = frozenset(kind.value for kind in FailureKind)

# In this order, because texts overlap: "lock timeout" is a lock, "does not exist or not
# authorized" is something missing, and a refused password also closes a connection.
WORDINGS: tuple[tuple[FailureKind, tuple[str, ...]], ...] = (
    (
        FailureKind.RESOURCES,
        (
            "pool exhausted",
            "too many clients",
            "too many connections",
            "connection slots",
            "connection limit",
            "out of memory",
            "out of shared memory",
            "disk is full",
            "disk full",
            "no space left",
            "too many open files",
            "exceeded quota",
            "exceeded its quota",
        ),
    ),
    (
        FailureKind.SERIALIZATION,
        ("deadlock", "could not serialize", "serialization failure"),
    ),
    (
        FailureKind.LOCK,
        (
            "is locked",
            "lock timeout",
            "could not obtain lock",
            "lock wait",
            "number of waiters",
            "database is busy",
        ),
    ),
    (
        FailureKind.MISSING,
        (
            "no such table",
            "no such column",
            "does not exist or not authorized",
            "invalid identifier",
            "unable to open database file",
            "not a database",
        ),
    ),
    (
        FailureKind.CREDENTIALS,
        (
            "password",
            "authentication",
            "not authorized",
            "permission denied",
            "access denied",
            "insufficient privilege",
            "username",
            "pg_hba",
            "jwt token",
            'role "',
            "readonly database",
        ),
    ),
    (
        FailureKind.CONSTRAINT,
        ("duplicate key", "constraint failed", "violates", "unique constraint", "not null"),
    ),
    (
        FailureKind.SYNTAX,
        ("syntax error", "compilation error", "bind variable", "unrecognized token"),
    ),
    (FailureKind.TIMEOUT, ("timeout", "timed out", "deadline exceeded")),
    (
        FailureKind.CONNECTION,
        (
            "connection refused",
            "connection reset",
            "connection was closed",
            "connection is closed",
            "connection lost",
            "lost connection",
            "connection has been closed",
            "closed the connection",
            "terminating connection",
            "could not connect",
            "connect call failed",
            "failed to connect",
            "broken pipe",
            "unreachable",
            "network",
            "name or service not known",
            "name resolution",
            "shutting down",
            "starting up",
            "no connection",
        ),
    ),
    (FailureKind.MISSING, ("does not exist", "not found", "no such")),
)


def kind_of(message: str) -> FailureKind:
    """The kind that *message*, in the words of PostgreSQL, SQLite or Snowflake, points to.

    The name of a kind, as a backend of ours writes it, is that kind.
    """
    text = message[:TEXT_CHARACTERS_MAX].casefold()
    if text in KIND_NAMES:
        return FailureKind(text)
    for kind, wordings in WORDINGS:
        if any(wording in text for wording in wordings):
            return kind
    return FailureKind.OTHER
