"""Snowflake through its real connector, on a stand-in that answers over HTTP on this machine.

Of the contract of the drivers, these cases cannot be carried, and have a counterpart here:

* the description of a table, an empty table and the refused statements, because Snowflake gives
  unquoted names back in upper case and the stand-in words syntax errors in its own way;
* the survey, because a server of Snowflake's is on no machine of ours and does not say who may
  make a copy;
* the scratch copy, because Snowflake's standard tables have no unique indexes;
* what a statement of one's own is refused for, for its words of syntax errors;
* a write that only the database sees, because Snowflake has no statement that hides one in a WITH.
"""

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Removal, SessionsEnded
from benchgate.backend.drivers.snowflake.client import CLIENT_ERRORS, connect, execute, failure_of
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import Operation, QueryKind, TableType
from benchgate.errors import DatabaseError, InvalidInput
from tests.integration import test_drivers as contract
from tests.integration import test_drivers_own_sql as own_sql
from tests.integration.databases import (
    ALL_KINDS,
    Notes,
    SnowflakeDatabase,
    assignment,
    driven,
    only,
    own,
    share,
    until,
)
from tests.integration.snowflakes import WAREHOUSE, SnowflakeServer

pytestmark = pytest.mark.anyio

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE
DRIVER = driver_for(TableType.STANDARD)

CARRIED = (
    contract.test_a_composite_key_serves_every_kind,
    contract.test_a_missing_table_is_named_in_the_databases_own_words,
    contract.test_a_name_made_of_sql_stays_a_name,
    contract.test_a_second_run_with_the_same_seed_inserts_other_keys,
    contract.test_a_statement_that_never_ends_does_not_hold_up_a_stop,
    contract.test_a_table_that_is_dropped_in_the_middle_is_missing,
    contract.test_an_operation_that_fails_is_counted_by_what_it_failed_of,
    contract.test_checking_runs_nothing,
    contract.test_every_kind_runs_and_what_was_inserted_is_there,
    contract.test_sql_of_ones_own_is_bound_by_its_kind,
    contract.test_text_keys_and_unique_columns_get_fresh_values_that_fit,
    contract.test_the_default_statements_suit_the_tables_real_key,
    contract.test_thinking_does_not_hold_up_a_stop,
    contract.test_a_table_without_a_key_needs_sql_of_ones_own,
    contract.test_an_open_loop_is_driven_at_its_rate,
    contract.test_connections_follow_the_course,
    contract.test_no_session_of_a_run_is_left,
    contract.test_nothing_that_lacks_the_mark_of_a_scratch_copy_is_dropped,
    contract.test_rows_are_counted_whether_they_are_read_or_written,
    own_sql.test_a_statement_of_ones_own_reads_with_what_its_template_gives,
    own_sql.test_a_statement_of_ones_own_writes_and_its_rows_are_written_ones,
    own_sql.test_checking_a_write_of_ones_own_runs_nothing,
    own_sql.test_numbers_texts_and_truths_are_bound_as_they_are,
)
globals().update({test.__name__: test for test in CARRIED})


@pytest.fixture
def database(snowflake_database: SnowflakeDatabase) -> SnowflakeDatabase:
    """What the carried cases are to run on."""
    return snowflake_database


@pytest.fixture
def mortal_server() -> Iterator[SnowflakeServer]:
    """A stand-in of the test's own, which it may stop."""
    server = SnowflakeServer()
    yield server
    server.stop()


async def test_a_table_is_described_with_its_columns_key_and_rows(
    database: SnowflakeDatabase,
) -> None:
    database.sql(
        "CREATE TABLE lines (line_no integer, order_id integer, sku varchar(20), "
        "PRIMARY KEY (order_id, line_no))"
    )
    shape = await DRIVER.describe(database.target("lines"))
    assert [column.name for column in shape.columns] == ["LINE_NO", "ORDER_ID", "SKU"]
    assert [column.type_name for column in shape.columns][1:] == ["NUMBER(38,0)", "VARCHAR(20)"]
    assert shape.key == ("ORDER_ID", "LINE_NO")
    assert not shape.has_rows
    assert shape.server_version.startswith("Snowflake 1")


async def test_a_name_is_looked_for_as_it_is_written_before_it_is_in_upper_case(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    assert (await DRIVER.describe(database.target("Orders"))).columns[0].name == "ID"
    with pytest.raises(DatabaseError, match=r"The database nowhere does not exist"):
        await DRIVER.describe(database.target("orders").model_copy(update={"database": "nowhere"}))


@pytest.mark.parametrize(
    ("kind", "sql", "reason"),
    [
        (LOOKUP, "SELECT nothing_such FROM {table} WHERE id = ?", "POINT_LOOKUP.*NOTHING_SUCH"),
        (UPDATE, "UPDATE {table} SET WHERE", "The SQL of UPDATE cannot be used: 001003"),
        (LOOKUP, "SELECT 1 FROM {table} WHERE id IN (?, ?)", "has 2 parameters.*0 or 1"),
        (LOOKUP, "SELECT 1 FROM {table} WHERE id = :1", "has 1 parameters for Snowflake, 0 were"),
        (INSERT, "INSERT OVERWRITE INTO {table} VALUES (?, ?, ?)", "holds INSERT OVERWRITE"),
        (LOOKUP, "DELETE FROM {table}", "begins with DELETE"),
        (LOOKUP, "SELECT 1; DROP TABLE {table}", "POINT_LOOKUP cannot be used.*statement count 2"),
        (LOOKUP, "SELECT 1 -- \r; DELETE FROM {table}", "cannot be used|would delete|of another"),
    ],
)
async def test_a_statement_that_cannot_be_used_is_refused(
    database: SnowflakeDatabase, kind: QueryKind, sql: str, reason: str
) -> None:
    contract.make_orders(database)
    with pytest.raises(InvalidInput, match=reason):
        await DRIVER.check(database.target("orders"), only(kind, sql))
    assert database.sql("SELECT count(*) FROM orders") == "500"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT // '\n INTO orders SELECT * FROM {table} // '\n",
        "INSERT /* */ INTO orders SELECT * FROM {table}",
        "WITH x AS (SELECT 1) INSERT INTO {table} SELECT * FROM {table}",
    ],
)
async def test_a_write_goes_past_the_copy_under_no_pretext(
    database: SnowflakeDatabase, sql: str
) -> None:
    contract.make_orders(database)
    target = database.target("orders")
    copied = target.model_copy(update={"copy_of": target.table_name})
    with pytest.raises(InvalidInput, match="instead of its scratch copy"):
        await DRIVER.check(copied, (own(Operation.WRITE, sql),))


async def test_an_empty_table_is_refused_because_values_come_from_its_rows(
    database: SnowflakeDatabase,
) -> None:
    database.sql("CREATE TABLE bare (id integer PRIMARY KEY, a integer)")
    with pytest.raises(InvalidInput, match=r"BARE.* is empty"):
        await DRIVER.check(database.target("bare"), only(LOOKUP))
    await DRIVER.check(database.target("bare"), only(LOOKUP, "SELECT count(*) FROM {table}"))


async def test_the_survey_tells_the_size_of_the_table_and_the_state_of_the_warehouse(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    survey = await DRIVER.survey(database.target("orders"))
    assert survey.warehouse is not None
    assert (survey.warehouse.name, survey.warehouse.state) == (WAREHOUSE, "STARTED")
    assert survey.warehouse.statements_at_once == 8
    assert survey.warehouse.clusters_max >= 1
    assert survey.active_sessions == 0
    assert survey.table_bytes is not None
    without = database.target("orders").model_copy(update={"warehouse_name": None})
    assert (await DRIVER.survey(without)).warehouse is None


async def test_writes_count_the_rows_that_they_changed_and_scans_those_that_they_returned(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    workload = (
        share(SCAN, 50, "SELECT * FROM {table} ORDER BY id LIMIT 7"),
        share(UPDATE, 50, "UPDATE {table} SET amount = 0 WHERE id <= 9"),
    )
    for decode_rows in (False, True):
        notes = Notes()
        given = assignment(database.target("orders"), workload, connections=1)
        async with driven(given.model_copy(update={"decode_rows": decode_rows}), notes):
            await until(lambda: {SCAN, UPDATE} <= set(notes.answered))  # noqa: B023 - this round's
        assert set(notes.meter(SCAN).rows) == {7}
        assert set(notes.meter(UPDATE).rows) == {3}


async def test_every_session_bears_the_tag_and_the_limits(database: SnowflakeDatabase) -> None:
    contract.make_orders(database)
    notes = Notes()
    given = assignment(database.target("orders"), only(LOOKUP), connections=1)
    given = given.model_copy(update={"application_name": f"benchgate {database.schema_name}"})
    async with driven(given, notes):
        await until(lambda: len(notes.answered) > 3)
        found = database.sql(f"SELECT FAKE$SETTINGS('{given.application_name}')").splitlines()
    settings = dict(line.split("|") for line in found)
    assert settings["STATEMENT_TIMEOUT_IN_SECONDS"] == "30"
    assert settings["USE_CACHED_RESULT"] == "False"
    assert settings["ABORT_DETACHED_QUERY"] == "True"
    assert settings["CLIENT_TELEMETRY_ENABLED"] == "False"
    assert settings["CLIENT_VALIDATE_DEFAULT_PARAMETERS"] == "True"


async def test_sessions_that_the_server_forgot_are_reported_and_made_again(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    notes = Notes()
    async with driven(assignment(database.target("orders"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 10)
        database.sql("SELECT FAKE$FORGET()")
        await until(lambda: len(notes.failures) == 2)
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) > answered + 10)
    assert {(kind, failure) for kind, failure, _ in notes.failures} == {
        (LOOKUP, FailureKind.CONNECTION)
    }


async def test_a_server_that_dies_is_a_lost_connection_and_holds_up_no_stop(
    mortal_server: SnowflakeServer, snowflake_database: SnowflakeDatabase
) -> None:
    database = SnowflakeDatabase(mortal_server, schema_name="mortal")
    contract.make_orders(database)
    notes = Notes()
    async with driven(assignment(database.target("orders"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 10)
        mortal_server.stop()
        await until(lambda: len(notes.failures) >= 2)
    assert {failure for _, failure, _ in notes.failures} == {FailureKind.CONNECTION}


async def test_what_sessions_of_a_run_have_under_way_is_found_and_cancelled(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    target, name = database.target("orders"), f"benchgate {database.schema_name}"
    assert await DRIVER.end_sessions(target, name) == SessionsEnded(found=0, left=0)
    refused: list[FailureKind] = []

    def run_for_ever() -> None:
        connection = connect(target, name=name)
        try:
            execute(connection.cursor(), database.forever, ())
        except CLIENT_ERRORS as exc:
            refused.append(failure_of(exc))
        connection.close()

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(anyio.to_thread.run_sync, run_for_ever)
        await until(lambda: database.sql(f"SELECT FAKE$UNDER_WAY('{name}')") == "3")
        assert await DRIVER.end_sessions(target, name) == SessionsEnded(found=3, left=0)
    assert refused == [FailureKind.TIMEOUT] * 3


@pytest.mark.parametrize("table_type", [TableType.STANDARD, TableType.HYBRID])
async def test_a_scratch_copy_takes_the_writes_and_is_removed_by_its_mark(
    database: SnowflakeDatabase, table_type: TableType
) -> None:
    contract.make_orders(database)
    target = database.target("orders", table_type)
    scratch = DRIVER.scratch(target, "run-1a")
    assert (scratch.table_name, scratch.copy_of) == ("BENCHGATE_SCRATCH_RUN_1A", "orders")
    await DRIVER.make_scratch(target, scratch)
    await DRIVER.check(scratch, ALL_KINDS if table_type is TableType.STANDARD else only(INSERT))
    notes = Notes()
    async with driven(assignment(scratch, only(INSERT)), notes):
        await until(lambda: len(notes.answered) > 5)
    assert notes.failures == []
    assert int(database.sql(f"SELECT count(*) FROM {scratch.table_name}")) > 505
    assert database.sql("SELECT count(*) FROM orders") == "500"
    # The stand-in has another number for it, and breaks over a clone to where something is.
    with pytest.raises(DatabaseError):
        await DRIVER.make_scratch(target, scratch)
    assert await DRIVER.identity(scratch) == await DRIVER.identity(target)
    assert await DRIVER.drop_scratch(scratch) is Removal.REMOVED
    assert await DRIVER.drop_scratch(scratch) is Removal.ABSENT
    with pytest.raises(DatabaseError, match="BENCHGATE_SCRATCH_RUN_1A does not exist"):
        await DRIVER.describe(scratch)


async def test_a_table_without_the_mark_is_never_dropped(database: SnowflakeDatabase) -> None:
    contract.make_orders(database)
    scratch = DRIVER.scratch(database.target("orders"), "mine")
    database.sql("CREATE TABLE benchgate_scratch_mine (id integer)")
    assert await DRIVER.drop_scratch(scratch) is Removal.UNMARKED
    assert await DRIVER.drop_scratch(database.target("orders")) is Removal.UNMARKED
    assert database.sql("SELECT count(*) FROM benchgate_scratch_mine") == "0"
    assert database.sql("SELECT count(*) FROM orders") == "500"


async def test_a_write_that_would_miss_the_scratch_copy_is_refused(
    database: SnowflakeDatabase,
) -> None:
    contract.make_orders(database)
    target = database.target("orders")
    workload = only(UPDATE, "UPDATE orders SET amount = 1 WHERE id = ? -- {table}")
    await DRIVER.check(target, workload)
    with pytest.raises(InvalidInput, match="names the table that it writes to"):
        await DRIVER.check(DRIVER.scratch(target, "r"), workload)
