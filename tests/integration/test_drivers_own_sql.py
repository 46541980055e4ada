"""Statements of a person's own, on every driver: what they are bound to, count and are refused for.

A part of the contract of the driver port.
"""

import pytest

from benchgate.backend.drivers.catalog import driver_for
from benchgate.domain.templates import FILE_TABLES, Operation, QueryKind, TableType
from benchgate.errors import InvalidInput
from tests.integration.databases import (
    Database,
    Notes,
    assignment,
    driven,
    own,
    share,
    until,
)
from tests.integration.test_drivers import make, make_orders, run_until_each_kind_was_answered

pytestmark = pytest.mark.anyio

LOOKUP, OWN = QueryKind.POINT_LOOKUP, QueryKind.GENERIC_SQL
READ, WRITE = Operation.READ, Operation.WRITE

BY_ID = "SELECT * FROM {table} WHERE id = ?"
BY_BOTH = "SELECT * FROM {table} WHERE amount = ? AND customer = ?"
BY_AMOUNT = "SELECT * FROM {table} WHERE amount BETWEEN ? AND ?"
BY_SHARE = "SELECT * FROM {table} WHERE amount * 1.0 BETWEEN ? AND ?"


@pytest.mark.parametrize(
    ("sql", "parameters", "rows"),
    [
        ("SELECT * FROM {table} WHERE amount < 8", (), {7}),
        (BY_ID, (), {1}),
        (BY_ID, ({"key": True},), {1}),
        (BY_ID, (3,), {1}),
        (BY_ID, ({"min": 3, "max": 5},), {0, 1}),
        (BY_ID, ({"choice": [3, 6]},), {1}),
        (BY_BOTH, ({"column": "amount"}, {"column": "CUSTOMER"}), {1}),
        (BY_BOTH, (5, "customer 5"), {1}),
        (BY_BOTH, (5, None), {0}),
        (BY_AMOUNT, (2, {"min": 4, "max": 4}), {3}),
        (BY_SHARE, (1.5, {"min": 4.0, "max": 4.5}), {3}),
        ("SELECT * FROM {table} WHERE amount = $2 AND id = 3 * $1", (9, 9), {1}),
        (BY_ID, ({"strategy": "sample_from_table", "column": "ID", "pool_id": "p"},), {1}),
    ],
    ids=str,
)
async def test_a_statement_of_ones_own_reads_with_what_its_template_gives(
    database: Database, sql: str, parameters: tuple[object, ...], rows: set[int]
) -> None:
    make_orders(database)
    workload = (own(READ, sql, *parameters, share_pct=50), share(LOOKUP, 50))
    notes = await run_until_each_kind_was_answered(database, "orders", workload)
    assert notes.failures == []
    assert set(notes.meter(OWN).rows) == rows
    assert notes.meter(OWN, writes=True).rows == []


@pytest.mark.parametrize(
    ("sql", "parameters", "written"),
    [
        ("UPDATE {table} SET amount = ? WHERE id = ?", (-1, {"key": True}), "amount = -1"),
        (
            "INSERT INTO {table} SELECT id + 9000, ?, ? FROM {table} WHERE id = ? "
            "AND NOT EXISTS (SELECT 1 FROM {table} WHERE id >= 9000)",
            ("new", {"column": "amount"}, 3),
            "customer = 'new'",
        ),
        ("DELETE FROM {table} WHERE id = ?", (), None),
    ],
    ids=str,
)
async def test_a_statement_of_ones_own_writes_and_its_rows_are_written_ones(
    database: Database, sql: str, parameters: tuple[object, ...], written: str | None
) -> None:
    make_orders(database)
    notes = Notes()
    workload = (own(WRITE, sql, *parameters), own(READ, BY_ID))
    given = assignment(database.target("orders"), workload, connections=1)
    async with driven(given, notes):
        await until(lambda: 1 in notes.meter(OWN, writes=True).rows and len(notes.answered) > 50)
    assert notes.failures == []
    assert set(notes.meter(OWN, writes=True).rows) <= {0, 1}
    if written is None:
        assert int(database.sql("SELECT count(*) FROM orders")) < 500
    else:
        assert int(database.sql(f"SELECT count(*) FROM orders WHERE {written}")) > 0


async def test_the_rows_of_a_write_behind_a_with_are_counted(database: Database) -> None:
    make_orders(database)
    sql = "WITH x AS (SELECT 5 AS a) UPDATE {table} SET amount = (SELECT a FROM x) WHERE id <= ?"
    notes = Notes()
    given = assignment(database.target("orders"), [own(WRITE, sql, 9)], connections=1)
    async with driven(given, notes):
        await until(lambda: len(notes.answered) > 3)
    assert notes.failures == []
    assert set(notes.meter(OWN, writes=True).rows) == {3}


async def test_numbers_texts_and_truths_are_bound_as_they_are(database: Database) -> None:
    make(database, "facts", columns="id integer, ratio double precision, is_so boolean, note text")
    database.sql("INSERT INTO facts VALUES (1, 0.5, true, 'it''s'), (2, 1.5, false, NULL)")
    sql = "SELECT * FROM {table} WHERE id = ? AND ratio = ? AND is_so = ? AND note = ?"
    workload = (own(READ, sql, 1, 0.5, True, "it's"),)
    notes = await run_until_each_kind_was_answered(database, "facts", workload)
    assert notes.failures == []
    assert set(notes.meter(OWN).rows) == {1}


@pytest.mark.parametrize(
    ("operation", "sql", "parameters", "reason"),
    [
        (READ, "DELETE FROM {table} WHERE id = ?", (), "begins with DELETE"),
        (READ, "WITH d AS (DELETE FROM {table} RETURNING 1) SELECT 1", (), "holds DELETE FROM"),
        (WRITE, "SELECT * FROM {table}", (), "begins with SELECT"),
        (WRITE, "DROP TABLE {table}", (), "begins with DROP"),
        (WRITE, "TRUNCATE TABLE {table}", (), "begins with TRUNCATE"),
        (WRITE, "CREATE TABLE others (id integer)", (), "begins with CREATE"),
        (WRITE, "BEGIN", (), "begins with BEGIN"),
        (WRITE, "COPY {table} FROM 'orders.csv'", (), "begins with COPY"),
        (WRITE, "DELETE FROM {table}; DROP TABLE {table}", (), "GENERIC_SQL cannot be used"),
        (WRITE, "DELETE FORM {table}", (), "GENERIC_SQL cannot be used.*[sS]yntax error"),
        (READ, BY_ID, (1, 2), "has 1 parameter; the template gives values for 2"),
        (READ, BY_BOTH, (), "has 2 parameters, and the template does not say"),
        (READ, BY_ID, ({"column": "nowhere"},), "column nowhere, which .* does not have"),
        (READ, BY_ID, ({"column": "id", "modulo": 3},), 'Parameter 1 .*"modulo": 3.* no form'),
    ],
    ids=str,
)
async def test_a_statement_of_ones_own_that_cannot_be_meant_is_refused(
    database: Database,
    operation: Operation,
    sql: str,
    parameters: tuple[object, ...],
    reason: str,
) -> None:
    make_orders(database)
    target = database.target("orders")
    with pytest.raises(InvalidInput, match=reason):
        await driver_for(target.table_type).check(target, (own(operation, sql, *parameters),))
    assert database.sql("SELECT count(*) FROM orders") == "500"


async def test_a_write_that_changes_nothing_is_refused_where_the_plan_tells(
    database: Database,
) -> None:
    make_orders(database)
    target = database.target("orders")
    check = driver_for(target.table_type).check
    returning = "WITH d AS (DELETE FROM {table} RETURNING id) SELECT id FROM d"
    if target.table_type is TableType.SQLITE:
        return  # It would only read.
    await check(target, (own(WRITE, returning),))
    with pytest.raises(InvalidInput, match="GENERIC_SQL changes no rows"):
        await check(target, (own(WRITE, "WITH x AS (SELECT 1 AS a) SELECT a FROM x"),))


async def test_checking_a_write_of_ones_own_runs_nothing(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    workload = (own(WRITE, "DELETE FROM {table} WHERE amount > ?", 0),)
    await driver_for(target.table_type).check(target, workload)
    assert database.sql("SELECT count(*) FROM orders") == "500"


UPSERT = (
    "INSERT INTO {table} VALUES (?, 'again', 0) "
    "ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"
)
MERGE = (
    "MERGE INTO {table} AS t USING (SELECT 3 AS id) AS s ON t.id = s.id AND t.amount > ? "
    "WHEN MATCHED THEN UPDATE SET amount = 0"
)
DELETE = "DELETE FROM {table} WHERE id = (SELECT id FROM {table} WHERE id = ?)"


async def test_every_way_to_write_is_led_to_the_scratch_copy(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    knows_merge = target.table_type is not TableType.SQLITE
    workload = [own(WRITE, UPSERT, {"key": True}), own(WRITE, DELETE, {"column": "id"})]
    workload += [own(WRITE, MERGE, 0)] if knows_merge else []
    driver = driver_for(target.table_type)
    scratch = driver.scratch(target, "run-1")
    await driver.make_scratch(target, scratch)
    try:
        await driver.check(scratch, tuple(workload))
        notes = Notes()
        async with driven(assignment(scratch, workload, connections=1), notes):
            await until(lambda: sum(notes.meter(OWN, writes=True).rows) > 10)
        assert notes.failures == []
    finally:
        await driver.drop_scratch(scratch)
    assert database.sql("SELECT count(*), min(amount) FROM orders") == "500|1"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders WHERE id = ?",
        "UPDATE orders SET amount = 0 WHERE id = ?",
        "INSERT INTO orders VALUES (?, '', 0)",
        "WITH d AS (DELETE FROM orders RETURNING id) INSERT INTO {table} "
        "SELECT id, '', 0 FROM d WHERE id = ?",
    ],
)
async def test_a_write_beside_the_copy_of_a_server_is_refused(database: Database, sql: str) -> None:
    make_orders(database)
    target = database.target("orders")
    if target.table_type in FILE_TABLES:
        return  # The copy of a file has all its tables.
    driver = driver_for(target.table_type)
    beside = target.model_copy(update={"copy_of": target.schema_name})
    with pytest.raises(InvalidInput, match="instead of its scratch copy"):
        await driver.check(beside, (own(WRITE, sql),))
