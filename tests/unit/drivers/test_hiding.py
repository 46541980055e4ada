"""Texts that would hide a part of a statement, or reach past what it says."""

import pytest

from benchgate.backend.drivers.hiding import refuse_hiding
from benchgate.backend.drivers.layouts import Dialect, Layout
from benchgate.backend.drivers.statements import statements_of
from benchgate.backend.drivers.wording import refuse_other_targets, visible
from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.errors import InvalidInput


def own(sql: str | None, *, writes: bool = False) -> QueryShare:
    return QueryShare(kind=QueryKind.GENERIC_SQL, share_pct=100, writes=writes, sql=sql)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("/* /* */ SELECT */ CREATE TABLE other AS SELECT 1", "comment inside a comment"),
        ("SELECT 1 -- \r INTO other FROM {table}", "carriage return"),
        ("SELECT $é$ ' $é$ INTO other --'", "beyond ASCII"),
        ("SELECT $aé$ ' $aé$", "beyond ASCII"),
        ("SELECT $a€b$ ' $a€b$", "beyond ASCII"),
        ("SELECT 1 AS a€$$ INTO other FROM {table} --$$", "beyond ASCII"),
        ('DELETE FROM {table}"2"', "beside a quotation mark"),
    ],
)
def test_what_databases_read_in_different_ways_is_refused(
    dialect: Dialect, sql: str, what: str
) -> None:
    layout = Layout(
        dialect=dialect, name='"t"', fields=(), key=(), has_rows=True, server_version="1"
    )
    with pytest.raises(InvalidInput, match=f"GENERIC_SQL cannot be used: it holds .*{what}"):
        statements_of((own(sql),), layout)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("INSERT // '\n INTO prod.public.orders SELECT * FROM {table} // '\n", "//"),
        (r"INSERT INTO {table} SELECT '\' || ' FROM x'", "a backslash in a literal"),
        ("SELECT $a$ x $a$", "a dollar quote with a name"),
        ("SELECT 1 ->> SELECT 2", "->>"),
        ("WITH p AS PROCEDURE () SELECT 1", "AS PROCEDURE"),
        ("WITH p AS (SELECT 1) CALL p()", "CALL"),
    ],
)
def test_what_only_snowflake_reads_in_another_way_is_refused_there(sql: str, what: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_hiding(own(sql), Dialect.SNOWFLAKE)
    assert what in str(refusal.value)
    refuse_hiding(own(sql), Dialect.POSTGRES)


@pytest.mark.parametrize(
    "call",
    [
        "set_config('default_transaction_read_only', 'off', false)",
        "pg_catalog . SET_CONFIG ('a', 'b', false)",
        "\"set_config\"('a', 'b', false)",
        "U&\"\\0073et_config\"('a', 'b', false)",
        "pg_terminate_backend(1)",
        "pg_cancel_backend(1)",
        "dblink_exec('', 'DELETE FROM t')",
        "lo_export(1, '/tmp/x')",
        "query_to_xml('SELECT 1', true, true, '')",
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_a_statement_calls_nothing_that_unlocks_its_session_or_reaches_past_it(
    call: str, *, writes: bool
) -> None:
    sql = f"UPDATE {{table}} SET a = {call}" if writes else f"SELECT {call}"
    with pytest.raises(InvalidInput, match="cannot be used: it holds"):
        refuse_hiding(own(sql, writes=writes), Dialect.POSTGRES)
    refuse_hiding(own(sql, writes=writes), Dialect.DUCKDB)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'set_config // -> CALL é$' /* set_config // */ FROM {table} -- //\r\n",
        'SELECT $$ /* é $$, $$$$, "é", {table}.id FROM {table} WHERE id = $1',
        "SELECT 1 -- the end\r",
    ],
)
def test_plain_statements_hide_nothing(dialect: Dialect, sql: str) -> None:
    refuse_hiding(own(sql), dialect)
    refuse_hiding(own(None), dialect)


def test_a_dollar_in_a_name_begins_no_literal() -> None:
    assert "DELETE" in visible("WITH a$$b$ AS (DELETE FROM t) SELECT 1 AS x$b$")
    assert "DELETE" in visible(r"SELECT 1 AS a$e'\' DELETE FROM t --'")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT /* {table} */ INTO orders SELECT 1",
        "INSERT ALL INTO {table} INTO orders SELECT 1",
        "MERGE INTO {table}.orders USING x ON 1 = 1 WHEN MATCHED THEN DELETE",
        "WITH x AS (SELECT 1) INSERT INTO {table} SELECT 1",
        "UPDATE IDENTIFIER('orders') SET a = 1",
        'DELETE FROM "orders" USING {table}',
    ],
)
def test_a_write_whose_table_nobody_tells_begins_with_the_place_holder(sql: str) -> None:
    with pytest.raises(InvalidInput, match="instead of its scratch copy"):
        refuse_other_targets([own(sql, writes=True)])
    refuse_other_targets([own(sql)])


def test_writes_that_begin_with_the_place_holder_are_allowed() -> None:
    shares = [
        own("-- a note\ninsert overwrite into {table} SELECT 1", writes=True),
        own("INSERT INTO {table}(a) VALUES (1)", writes=True),
        own("UPDATE {table} SET a = 1", writes=True),
        own("DELETE FROM\n{table}", writes=True),
        own("MERGE INTO {table} USING x ON 1 = 1 WHEN MATCHED THEN DELETE", writes=True),
        own(None, writes=True),
    ]
    refuse_other_targets(shares)
