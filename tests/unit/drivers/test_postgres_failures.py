import psycopg
import pytest
from psycopg import errors

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.drivers.postgres.failures import (
    BY_SQLSTATE,
    failure_of,
    is_stale,
    message_of,
    refusal_of,
)
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import TableType

AT_PORT = 'connection failed: connection to server at "db.example" (192.0.2.1), port 5432 failed: '
AT_SOCKET = 'connection failed: connection to server on socket "/run/.s.PGSQL.5432" failed: '
TARGET = Target(
    table_type=TableType.POSTGRES,
    database="sales",
    table_name="orders",
    connection=ConnectionReference(host="db.example", port=5432),
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.DeadlockDetected, FailureKind.SERIALIZATION),
        (errors.SerializationFailure, FailureKind.SERIALIZATION),
        (errors.LockNotAvailable, FailureKind.LOCK),
        (errors.QueryCanceled, FailureKind.TIMEOUT),
        (errors.UniqueViolation, FailureKind.CONSTRAINT),
        (errors.UndefinedTable, FailureKind.MISSING),
        (errors.SyntaxError, FailureKind.SYNTAX),
        (errors.InsufficientPrivilege, FailureKind.CREDENTIALS),
        (errors.TooManyConnections, FailureKind.RESOURCES),
        (errors.DiskFull, FailureKind.RESOURCES),
        (errors.AdminShutdown, FailureKind.CONNECTION),
        (errors.DivisionByZero, FailureKind.OTHER),
        (errors.InternalError_, FailureKind.OTHER),
    ],
)
def test_a_servers_error_is_sorted_by_its_sqlstate(
    error: type[psycopg.Error], kind: FailureKind
) -> None:
    assert failure_of(error("no words")) is kind


def test_every_sqlstate_of_the_table_is_a_code_or_begins_one() -> None:
    assert all(2 <= len(state) <= 5 and state.isalnum() for state in BY_SQLSTATE)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        (
            AT_PORT + "FATAL:  sorry, too many clients already",
            FailureKind.RESOURCES,
            "sorry, too many clients already",
        ),
        (
            AT_PORT + 'FATAL:  password authentication failed for user "x"\n'
            "connection to server at more\n",
            FailureKind.CREDENTIALS,
            'password authentication failed for user "x"',
        ),
        (
            AT_SOCKET + 'FATAL:  database "sales" does not exist',
            FailureKind.MISSING,
            'database "sales" does not exist',
        ),
        (
            AT_SOCKET + "FATAL:  the database system is starting up",
            FailureKind.CONNECTION,
            "the database system is starting up",
        ),
        (
            AT_PORT + "fe_sendauth: no password supplied",
            FailureKind.CREDENTIALS,
            AT_PORT + "fe_sendauth: no password supplied",
        ),
        (
            AT_PORT + "Connection refused\n\tIs the server running on that host?",
            FailureKind.CONNECTION,
            "db.example:5432 does not answer: Connection refused",
        ),
        (
            AT_SOCKET + "No such file or directory\n\tIs the server running locally?",
            FailureKind.CONNECTION,
            "db.example:5432 does not answer: No such file or directory",
        ),
        (
            "connection timeout expired",
            FailureKind.CONNECTION,
            "db.example:5432 does not answer: connection timeout expired",
        ),
    ],
)
def test_a_refusal_is_told_in_the_words_of_whoever_refused(
    said: str, kind: FailureKind, told: str
) -> None:
    refusal = psycopg.OperationalError(said)
    assert failure_of(refusal) is kind
    assert refusal_of(refusal, TARGET) == told


@pytest.mark.parametrize(
    ("reference", "where"),
    [
        (None, "the default host"),
        (ConnectionReference(service="sales"), "the service sales"),
        (ConnectionReference(host="/run"), "/run"),
    ],
)
def test_the_server_that_does_not_answer_is_named(
    reference: ConnectionReference | None, where: str
) -> None:
    target = TARGET.model_copy(update={"connection": reference})
    silence = TimeoutError("nothing within 10 s")
    assert refusal_of(silence, target) == f"{where} does not answer: nothing within 10 s"
    assert refusal_of(TimeoutError(), target).startswith(f"{where} does not answer: ")


def test_what_is_no_error_of_the_server_keeps_its_words() -> None:
    assert failure_of(ValueError("a NUL")) is FailureKind.OTHER
    assert refusal_of(ValueError("a NUL"), TARGET) == "a NUL"
    assert message_of(psycopg.DataError()) == "DataError"
    assert failure_of(psycopg.InterfaceError("closed")) is FailureKind.CONNECTION


def test_only_a_statement_that_is_not_there_any_more_is_stale() -> None:
    assert is_stale(errors.InvalidSqlStatementName())
    assert not is_stale(errors.FeatureNotSupported())
    assert not is_stale(errors.UndefinedTable())
