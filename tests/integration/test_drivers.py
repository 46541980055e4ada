"""The contract of the driver port, held by every driver on its real database."""

import re
from collections import Counter
from time import perf_counter_ns

import pytest

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Removal, SessionsEnded
from benchgate.domain.arrivals import Arrivals, Spacing, due
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import FILE_TABLES, Operation, QueryKind, QueryShare, TableType
from benchgate.errors import DatabaseError, InvalidInput, NameTaken
from tests.integration.databases import (
    ALL_KINDS,
    NUMBERS,
    Database,
    Notes,
    assignment,
    driven,
    only,
    own,
    share,
    until,
)

pytestmark = pytest.mark.anyio

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE


def make(database: Database, name: str, *, columns: str, values: str = "") -> None:
    fill = [f"{NUMBERS} INSERT INTO {name} SELECT {values} FROM n"] if values else []
    database.sql(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({columns})", *fill)


def make_orders(database: Database) -> None:
    columns = "id integer PRIMARY KEY, customer varchar(40) NOT NULL, amount integer NOT NULL"
    make(database, "orders", columns=columns, values="i * 3, 'customer ' || i, i")


async def run_until_each_kind_was_answered(
    database: Database, table: str, workload: tuple[QueryShare, ...] = ALL_KINDS
) -> Notes:
    target, notes = database.target(table), Notes()
    kinds = {part.kind for part in workload}
    # Two transactions of DuckDB's that meet at one row do not wait for each other.
    connections = 1 if target.table_type is TableType.DUCKDB else 2
    async with driven(assignment(target, workload, connections=connections), notes):
        await until(lambda: kinds <= set(notes.answered) and len(notes.answered) > database.enough)
    return notes


async def test_a_table_is_described_with_its_columns_key_and_rows(database: Database) -> None:
    make(
        database,
        "lines",
        columns="line_no integer, order_id integer, sku text, PRIMARY KEY (order_id, line_no)",
    )
    target = database.target("lines")
    shape = await driver_for(target.table_type).describe(target)
    assert [column.name for column in shape.columns] == ["line_no", "order_id", "sku"]
    assert shape.columns[0].type_name.lower() == "integer"
    assert shape.key == ("order_id", "line_no")
    assert not shape.has_rows
    assert shape.server_version.startswith(("SQLite 3", "DuckDB ", "PostgreSQL 1"))


async def test_a_server_says_what_it_is_without_any_table(database: Database) -> None:
    greeting = await driver_for(database.target("none").table_type).greet(database.target("none"))
    assert greeting.startswith(("SQLite 3", "DuckDB ", "PostgreSQL 1"))


async def test_a_missing_table_is_named_in_the_databases_own_words(database: Database) -> None:
    target = database.target("nowhere")
    with pytest.raises(DatabaseError, match=r"no such table: nowhere|nowhere.* does not exist"):
        await driver_for(target.table_type).describe(target)


async def test_the_default_statements_suit_the_tables_real_key(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    await driver_for(target.table_type).check(target, ALL_KINDS)


async def test_every_kind_runs_and_what_was_inserted_is_there(database: Database) -> None:
    make_orders(database)
    notes = await run_until_each_kind_was_answered(database, "orders")
    assert notes.failures == []
    inserted = Counter(notes.answered)[INSERT]
    # An insert that was in flight when the load was stopped may have been made without an answer.
    assert 0 <= int(database.sql("SELECT count(*) FROM orders")) - 500 - inserted <= 2


async def test_checking_runs_nothing(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    await driver_for(target.table_type).check(
        target, (*only(INSERT), *only(UPDATE, "UPDATE {table} SET amount = -1"))
    )
    assert database.sql("SELECT count(*), min(amount) FROM orders") == "500|1"


async def test_a_composite_key_serves_every_kind(database: Database) -> None:
    make(
        database,
        "lines",
        columns="order_id integer, line_no integer, sku text, PRIMARY KEY (order_id, line_no)",
        values="i / 5, i % 5, 'sku ' || i",
    )
    notes = await run_until_each_kind_was_answered(database, "lines")
    assert notes.failures == []


async def test_text_keys_and_unique_columns_get_fresh_values_that_fit(database: Database) -> None:
    make(
        database,
        "people",
        columns="code varchar(12) PRIMARY KEY, email varchar(60) UNIQUE, badge integer UNIQUE, "
        "city text",
        values="'code ' || i, i || '@example.org', i, 'city ' || i",
    )
    notes = await run_until_each_kind_was_answered(database, "people")
    assert notes.failures == []
    # DuckDB does not keep the length that a type names.
    if database.target("people").table_type is not TableType.DUCKDB:
        assert int(database.sql("SELECT max(length(code)) FROM people")) <= 12


async def test_a_second_run_with_the_same_seed_inserts_other_keys(database: Database) -> None:
    make_orders(database)
    for _ in range(2):
        notes = await run_until_each_kind_was_answered(database, "orders", only(INSERT))
        assert notes.failures == []


@pytest.mark.parametrize("places", [("?", "?"), ("$1", "$2")])
async def test_sql_of_ones_own_is_bound_by_its_kind(
    database: Database, places: tuple[str, str]
) -> None:
    make_orders(database)
    one, two = places
    workload = (
        *only(LOOKUP, f"SELECT amount FROM {{table}} WHERE id = {one}"),
        *only(SCAN, f"SELECT id FROM {{table}} WHERE id BETWEEN {one} AND {two} -- why?"),
        *only(UPDATE, f"UPDATE {{table}} SET customer = {one} WHERE id = {two}"),
    )
    notes = await run_until_each_kind_was_answered(database, "orders", workload)
    assert notes.failures == []
    assert database.sql("SELECT count(*) FROM orders WHERE customer LIKE 'customer %'") == "500"


async def test_a_name_made_of_sql_stays_a_name(database: Database) -> None:
    name = 'or"ders; DROP TABLE x; --'
    quoted = '"' + name.replace('"', '""') + '"'
    make(database, quoted, columns='"id$1" integer PRIMARY KEY, "a?" integer', values="i, i")
    notes = await run_until_each_kind_was_answered(database, name)
    assert notes.failures == []
    database.sql(f"DROP TABLE {quoted}")


@pytest.mark.parametrize(
    ("kind", "sql", "reason"),
    [
        (LOOKUP, "SELECT nothing_such FROM {table} WHERE id = ?", "POINT_LOOKUP.*nothing_such"),
        (UPDATE, "UPDATE {table} SET WHERE", "UPDATE.*syntax error"),
        (LOOKUP, "SELECT 1 FROM {table} WHERE id IN (?, ?)", "has 2 parameters.*0 or 1"),
        (INSERT, "INSERT INTO {table} VALUES (?)", "INSERT has 1 parameter;.*0.* or 3"),
        (LOOKUP, "DELETE FROM {table}", "begins with DELETE"),
        (SCAN, "WITH d AS (DELETE FROM {table} RETURNING 1) SELECT 1", "holds DELETE FROM"),
        (LOOKUP, "SELECT 1; DROP TABLE {table}", "POINT_LOOKUP cannot be used"),
    ],
)
async def test_a_statement_that_cannot_be_meant_is_refused(
    database: Database, kind: QueryKind, sql: str, reason: str
) -> None:
    make_orders(database)
    target = database.target("orders")
    with pytest.raises(InvalidInput, match=reason):
        await driver_for(target.table_type).check(target, only(kind, sql))
    assert database.sql("SELECT count(*) FROM orders") == "500"


SQLITE_READS_OTHERWISE = (
    "WITH q AS (SELECT 1 AS [x']) DELETE FROM {table} WHERE 'a' <> 'b'",
    "WITH q AS (SELECT $a$) DELETE FROM {table} WHERE $a$ IS NOT ?1",
)
POSTGRES_READS_OTHERWISE = (
    "WITH a$$b$ AS (DELETE FROM {table} RETURNING 1) SELECT 1 AS x$b$",
    "WITH a AS (SELECT 1) -- \r, d AS (DELETE FROM {table} RETURNING 1)\nSELECT 1",
    "WITH a AS (SELECT E'a'\n'\\' '), d AS (DELETE FROM {table} RETURNING 1) SELECT 'y'",
)


READS_OTHERWISE = {
    TableType.SQLITE: SQLITE_READS_OTHERWISE,
    TableType.DUCKDB: POSTGRES_READS_OTHERWISE[:2],
    TableType.POSTGRES: POSTGRES_READS_OTHERWISE,
}


async def test_a_write_is_found_however_its_text_hides_it(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    for sql in READS_OTHERWISE[target.table_type]:
        with pytest.raises(InvalidInput, match=r"POINT_LOOKUP (would delete rows|.*holds)"):
            await driver_for(target.table_type).check(target, only(LOOKUP, sql))
        with pytest.raises(InvalidInput, match=r"GENERIC_SQL (would delete rows|.*holds)"):
            await driver_for(target.table_type).check(target, (own(Operation.READ, sql),))
    assert database.sql("SELECT count(*) FROM orders") == "500"


async def test_a_table_without_a_key_needs_sql_of_ones_own(database: Database) -> None:
    make(database, "log", columns="line text, day integer", values="'line ' || i, i")
    target = database.target("log")
    with pytest.raises(InvalidInput, match=r"needs SQL of your own.*no primary key"):
        await driver_for(target.table_type).check(target, only(LOOKUP))
    workload = (*only(INSERT), *only(SCAN, "SELECT max(day) FROM {table}"))
    notes = await run_until_each_kind_was_answered(database, "log", workload)
    assert notes.failures == []


async def test_an_empty_table_is_refused_because_values_come_from_its_rows(
    database: Database,
) -> None:
    make(database, "bare", columns="id integer PRIMARY KEY, a integer")
    target = database.target("bare")
    driver = driver_for(target.table_type)
    with pytest.raises(InvalidInput, match=r"bare.* is empty"):
        await driver.check(target, only(LOOKUP))
    await driver.check(target, only(LOOKUP, "SELECT count(*) FROM {table}"))


async def test_an_operation_that_fails_is_counted_by_what_it_failed_of(database: Database) -> None:
    make_orders(database)
    clash = only(INSERT, "INSERT INTO {table} VALUES (3, 'again', 1)")
    notes = Notes()
    async with driven(assignment(database.target("orders"), clash), notes):
        await until(lambda: len(notes.failures) > 10)
    kind, failure, message = notes.failures[0]
    assert (kind, failure) == (INSERT, FailureKind.CONSTRAINT)
    assert re.search("unique|duplicate", message.lower())
    assert notes.answered == []


async def test_a_table_that_is_dropped_in_the_middle_is_missing(database: Database) -> None:
    make_orders(database)
    notes = Notes()
    # With writes among it, because DuckDB lets nobody drop what is only read.
    workload = (share(LOOKUP, 90), share(UPDATE, 10))
    async with driven(assignment(database.target("orders"), workload), notes):
        await until(lambda: len(notes.answered) > 10)
        database.sql("DROP TABLE orders")
        await until(lambda: len(notes.failures) > 10)
    assert FailureKind.MISSING in {failure for _, failure, _ in notes.failures}


async def test_a_statement_that_never_ends_does_not_hold_up_a_stop(database: Database) -> None:
    make_orders(database)
    notes = Notes()
    given = assignment(database.target("orders"), only(SCAN, database.forever), connections=4)
    async with driven(given, notes):
        await until(lambda: notes.connections == 4)
    assert notes.failures == []


async def test_thinking_does_not_hold_up_a_stop(database: Database) -> None:
    make_orders(database)
    notes = Notes()
    given = assignment(database.target("orders"), only(LOOKUP))
    async with driven(given.model_copy(update={"think_time_ms": 3_600_000}), notes) as course:
        await until(lambda: perf_counter_ns() > course.start_ns)
        assert notes.connections == 2
    assert notes.failures == []


async def test_an_open_loop_is_driven_at_its_rate(database: Database) -> None:
    make_orders(database)
    notes, arrivals = Notes(), Arrivals(rate_per_s=100, spacing=Spacing.POISSON, seed=5)
    given = assignment(
        database.target("orders"), only(LOOKUP), connections=4, at_start=1, arrivals=arrivals
    )
    async with driven(given, notes) as course:
        await until(lambda: len(notes.answered) >= 50)
        course.stopped.set()
        elapsed_ns = perf_counter_ns() - course.start_ns
    assert notes.failures == []
    assert len(notes.lag_ns) <= due(arrivals, elapsed_ns) + 1
    meter = notes.meter(LOOKUP)
    assert len(meter.response_ns) == len(meter.service_ns) == len(meter.rows)
    assert set(meter.rows) == {1}


async def test_connections_follow_the_course(database: Database) -> None:
    make_orders(database)
    notes = Notes()
    given = assignment(database.target("orders"), only(LOOKUP), connections=6, at_start=2)
    async with driven(given, notes) as course:
        for wanted in (6, 1, 3):
            course.connections = wanted
            await until(lambda wanted=wanted: notes.connections == wanted)
    assert notes.failures == []


async def test_rows_are_counted_whether_they_are_read_or_written(database: Database) -> None:
    make_orders(database)
    notes = Notes()
    workload = (*only(SCAN), *only(INSERT), *only(UPDATE, "UPDATE {table} SET amount = 1"))
    async with driven(assignment(database.target("orders"), workload, connections=1), notes):
        await until(lambda: {SCAN, INSERT, UPDATE} <= set(notes.answered))
    assert set(notes.meter(INSERT).rows) == {1}
    assert 1 < max(notes.meter(SCAN).rows) <= 100
    assert min(notes.meter(UPDATE).rows) >= 500


async def test_a_survey_tells_how_large_the_table_is(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    survey = await driver_for(target.table_type).survey(target)
    assert survey.table_bytes
    assert survey.is_on_this_machine
    assert survey.no_copy is None
    assert not survey.is_replica


async def test_a_scratch_copy_bears_the_load_in_place_of_its_original(database: Database) -> None:
    make_orders(database)
    database.sql("CREATE UNIQUE INDEX orders_by_customer ON orders (customer)")
    target = database.target("orders")
    driver = driver_for(target.table_type)
    scratch = driver.scratch(target, "run-1")
    assert await driver.drop_scratch(scratch) is Removal.ABSENT
    await driver.make_scratch(target, scratch)
    try:
        assert scratch.copy_of
        assert await driver.describe(scratch) == await driver.describe(target)
        notes = Notes()
        clash = only(INSERT, "INSERT INTO {table} VALUES (-1, 'customer 1', 1)")
        async with driven(assignment(scratch, clash), notes):
            await until(lambda: bool(notes.failures))
        assert notes.failures[0][1] is FailureKind.CONSTRAINT
        async with driven(assignment(scratch, only(INSERT)), notes):
            await until(lambda: len(notes.answered) > 10)
        with pytest.raises(NameTaken):
            await driver.make_scratch(target, scratch)
        assert (await driver.describe(scratch)).has_rows
    finally:
        assert await driver.drop_scratch(scratch) is Removal.REMOVED
    assert await driver.drop_scratch(scratch) is Removal.ABSENT
    with pytest.raises(DatabaseError):
        await driver.describe(scratch)
    assert database.sql("SELECT count(*) FROM orders") == "500"


async def test_the_place_of_a_copy_is_known_again(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    driver = driver_for(target.table_type)
    scratch = driver.scratch(target, "run-1")
    there = await driver.identity(target)
    assert there is not None
    assert await driver.identity(scratch) == there


async def test_nothing_that_lacks_the_mark_of_a_scratch_copy_is_dropped(
    database: Database,
) -> None:
    make_orders(database)
    target = database.target("orders")
    disguised = target.model_copy(update={"copy_of": "another"})
    for unmarked in (target, disguised):
        assert await driver_for(target.table_type).drop_scratch(unmarked) is Removal.UNMARKED
    assert database.sql("SELECT count(*) FROM orders") == "500"


async def test_no_session_of_a_run_is_left(database: Database) -> None:
    make_orders(database)
    target = database.target("orders")
    given = assignment(target, only(LOOKUP))
    async with driven(given, Notes()):
        pass
    ended = await driver_for(target.table_type).end_sessions(target, given.application_name)
    is_file = target.table_type in FILE_TABLES
    assert ended is None if is_file else ended == SessionsEnded(found=0, left=0)
