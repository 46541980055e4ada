"""Kinds of failure that a person can act on; knows no database and no message text."""

from enum import StrEnum


class FailureKind(StrEnum):
    """Why an operation or a run failed, as far as its reader can do something about it."""

    CONNECTION = "connection"  # the server does not answer, or the connection was lost
    CREDENTIALS = "credentials"
    TIMEOUT = "timeout"
    LOCK = "lock"  # lock waits, deadlocks, serialization failures, a busy database
    CONSTRAINT = "constraint"  # duplicate keys and violated constraints
    SYNTAX = "syntax"  # the statement itself
    MISSING = "missing"  # a table, column, file or database that is not there
    RESOURCES = "resources"  # connections, memory or disk used up
    OTHER = "other"
