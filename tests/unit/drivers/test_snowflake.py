"""What the Snowflake driver makes of errors, and the SQL that only Snowflake gets."""

from types import SimpleNamespace
from typing import Any

import pytest
from snowflake.connector import errors

from benchgate.backend.drivers.layouts import Dialect, Field, Layout
from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.drivers.snowflake import scratch
from benchgate.backend.drivers.snowflake.client import execute, failure_of, refusal_of
from benchgate.backend.drivers.snowflake.table import Place, literal
from benchgate.backend.drivers.statements import statements_of
from benchgate.backend.drivers.wording import refuse_writes_beside_copy
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchgate.errors import InvalidInput, NameTaken

LINES = Layout(
    dialect=Dialect.SNOWFLAKE,
    name='"D"."S"."LINES"',
    fields=(
        Field(name="ORDER_ID", type_name="NUMBER(38,0)"),
        Field(name="LINE_NO", type_name="NUMBER(38,0)"),
        Field(name="SKU", type_name="VARCHAR(20)"),
    ),
    key=("ORDER_ID", "LINE_NO"),
    has_rows=True,
    server_version="Snowflake",
)


def share(kind: QueryKind, sql: str | None = None) -> QueryShare:
    writes = kind in {QueryKind.INSERT, QueryKind.UPDATE}
    return QueryShare(kind=kind, share_pct=100, writes=writes, sql=sql)


@pytest.mark.parametrize(("errno", "meaning"), [(2002, NameTaken), (2003, errors.ProgrammingError)])
def test_a_name_that_is_taken_is_known_by_its_number(
    monkeypatch: pytest.MonkeyPatch, errno: int, meaning: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise errors.ProgrammingError(msg="there already", errno=errno)

    def found(*_: object) -> Place:
        return Place(database="D", schema_name="S", table_name="LINES")

    def no_defaults(*_: object) -> list[object]:
        return []

    for name, stand_in in (("enter", found), ("rows_of", no_defaults), ("execute", refuse)):
        monkeypatch.setattr(scratch, name, stand_in)
    session: Any = SimpleNamespace(cursor=object)
    target = Target(table_type=TableType.STANDARD, database="D", table_name="LINES")
    with pytest.raises(meaning):
        scratch.make(session, target, scratch.target_of(target, "run-1"))


@pytest.mark.parametrize(
    ("errno", "sqlstate", "message", "kind"),
    [
        (625, "57014", "the number of waiters for this lock exceeds 20", FailureKind.LOCK),
        (604, "57014", "SQL execution canceled", FailureKind.TIMEOUT),
        (630, "57014", "Statement reached its statement timeout", FailureKind.TIMEOUT),
        (606, "57P03", "No active warehouse selected", FailureKind.MISSING),
        (2003, "42S02", "Object does not exist or not authorized", FailureKind.MISSING),
        (904, "42000", "invalid identifier", FailureKind.MISSING),
        (1003, "42000", "syntax error", FailureKind.SYNTAX),
        (100072, "22000", "NULL result in a non-nullable column", FailureKind.CONSTRAINT),
        (90073, "57014", "resource monitor has exceeded its quota", FailureKind.RESOURCES),
        (250001, "08001", "Incorrect username or password", FailureKind.CREDENTIALS),
        (250001, "08001", "Could not connect", FailureKind.CONNECTION),
        (390144, "08001", "JWT token is invalid", FailureKind.CREDENTIALS),
        (390111, None, "Session no longer exists", FailureKind.CONNECTION),
        (390201, "08001", "The requested warehouse does not exist", FailureKind.MISSING),
        (290503, None, "HTTP 503", FailureKind.CONNECTION),
        (580503, None, "HTTP 503", FailureKind.CONNECTION),
        (290429, None, "HTTP 429", FailureKind.RESOURCES),
        (3540, "42501", "Insufficient privileges", FailureKind.CREDENTIALS),
        (99999, "23001", "a constraint", FailureKind.CONSTRAINT),
        (99999, None, "Duplicate key value violates unique constraint", FailureKind.CONSTRAINT),
        (99999, None, "something else", FailureKind.OTHER),
    ],
)
def test_an_error_is_told_by_its_number_its_sqlstate_or_its_words(
    errno: int, sqlstate: str | None, message: str, kind: FailureKind
) -> None:
    exc = errors.ProgrammingError(message, errno, sqlstate, send_telemetry=False)
    assert failure_of(exc) is kind


def test_a_broken_socket_is_a_lost_connection_and_names_the_account() -> None:
    target = Target(
        table_type=TableType.STANDARD,
        database="d",
        table_name="t",
        connection=ConnectionReference(account="acme-one"),
    )
    refusal = refusal_of(ConnectionResetError("reset by peer"), target)
    assert refusal == "The account acme-one does not answer: reset by peer"


class Emptied:
    """A cursor whose server gave the connector what is no answer."""

    rowcount: int | None = None

    def execute(self, command: str, params: object = None, *, _no_retry: bool = False) -> object:
        raise KeyError("success")

    def fetchall(self) -> list[object]:
        return []

    def get_result_batches(self) -> None:
        return None


def test_what_is_no_answer_is_a_lost_connection() -> None:
    with pytest.raises(errors.InterfaceError) as caught:
        execute(Emptied(), "SELECT 1", ())
    assert failure_of(caught.value) is FailureKind.CONNECTION


def test_a_scan_of_a_composite_key_compares_no_rows() -> None:
    (scan,) = statements_of((share(QueryKind.RANGE_SCAN),), LINES)
    assert scan.sql == (
        'SELECT * FROM "D"."S"."LINES" WHERE ("ORDER_ID" > :1 OR ("ORDER_ID" = :1 AND '
        '"LINE_NO" >= :2)) ORDER BY "ORDER_ID", "LINE_NO" LIMIT 100'
    )
    assert scan.parameters == 2


def test_parameters_become_numbered_whichever_way_they_are_written() -> None:
    for first, second in (("?", "?"), ("$1", "$2")):
        sql = f"SELECT 1 FROM {{table}} WHERE a = {first} AND b = {second}"
        (lookup,) = statements_of((share(QueryKind.POINT_LOOKUP, sql),), LINES)
        assert lookup.sql == 'SELECT 1 FROM "D"."S"."LINES" WHERE a = :1 AND b = :2'


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO lines VALUES (?, ?, ?)",
        "UPDATE lines SET sku = ? -- {table}",
        "UPDATE /* {table} */ lines SET sku = ?",
        "INSERT INTO lines SELECT * FROM {table}",
    ],
)
def test_a_write_that_names_its_table_is_refused_beside_a_copy(sql: str) -> None:
    kind = QueryKind.UPDATE if sql.startswith("UPDATE") else QueryKind.INSERT
    with pytest.raises(InvalidInput, match=f"The SQL of {kind} names the table"):
        refuse_writes_beside_copy([share(kind, sql)])


def test_writes_that_leave_the_table_open_and_reads_are_allowed_beside_a_copy() -> None:
    refuse_writes_beside_copy(
        [
            share(QueryKind.INSERT),
            share(QueryKind.INSERT, "INSERT INTO {table} SELECT * FROM lines WHERE a = 'INTO x'"),
            share(QueryKind.UPDATE, "UPDATE\n{table} SET sku = ?"),
            share(QueryKind.POINT_LOOKUP, "SELECT 1 FROM lines"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "quoted"), [("it's", "'it''s'"), ("a\\' OR 1=1 --", "'a\\\\'' OR 1=1 --'")]
)
def test_a_text_cannot_leave_its_quotes(text: str, quoted: str) -> None:
    assert literal(text) == quoted
