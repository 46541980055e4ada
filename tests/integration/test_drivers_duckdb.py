"""What only the DuckDB driver has to prove: files between processes, types, plans, conflicts."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pytest

from benchgate.backend.drivers.duckdb.driver import DuckdbDriver
from benchgate.backend.drivers.port import Target
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import Operation, QueryKind, TableType
from benchgate.errors import DatabaseError, InvalidInput
from tests.integration.databases import (
    ALL_KINDS,
    DuckdbDatabase,
    Notes,
    assignment,
    driven,
    only,
    own,
    until,
)

pytestmark = pytest.mark.anyio

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE
READ, WRITE = Operation.READ, Operation.WRITE


@pytest.fixture
def file(tmp_path: Path) -> DuckdbDatabase:
    """A file with a small table."""
    file = DuckdbDatabase(tmp_path / "it's #1?.duckdb")
    file.sql(
        "CREATE TABLE items (id integer PRIMARY KEY, label text)",
        "INSERT INTO items SELECT i, 'item ' || i FROM range(500) r(i)",
    )
    return file


def elsewhere(file: DuckdbDatabase, *, read_only: bool, then: str = "") -> str:
    """What another process says that opens the file."""
    program = (
        f"import duckdb, os; c = duckdb.connect({str(file.path)!r}, read_only={read_only}); "
        f"print(c.execute('SELECT count(*) FROM items').fetchone()[0], flush=True); {then}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


@contextmanager
def read_elsewhere(file: DuckdbDatabase) -> Generator[None]:
    """Another process has the file open to read it."""
    program = (
        f"import duckdb; c = duckdb.connect({str(file.path)!r}, read_only=True); "
        "print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"open\n"
        yield
        reader.communicate(b"\n", timeout=30)


async def test_a_file_that_is_no_database_is_told_and_never_made(tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    target = Target(table_type=TableType.DUCKDB, database=str(path), table_name="items")
    with pytest.raises(DatabaseError, match="no file"):
        await DuckdbDriver().describe(target)
    assert not path.exists()
    path.write_bytes(b"not a database" * 999)
    with pytest.raises(DatabaseError, match="not a valid DuckDB database"):
        await DuckdbDriver().describe(target)


async def test_a_file_that_is_only_read_can_be_read_by_other_processes(
    file: DuckdbDatabase,
) -> None:
    notes = Notes()
    async with driven(assignment(file.target("items"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 5)
        assert elsewhere(file, read_only=True) == "500\n"
    assert DuckdbDriver().workers_max(only(LOOKUP)) is None


async def test_a_file_that_is_written_belongs_to_one_process(file: DuckdbDatabase) -> None:
    notes = Notes()
    async with driven(assignment(file.target("items"), only(UPDATE)), notes):
        await until(lambda: len(notes.answered) > 5)
        assert "Conflicting lock" in elsewhere(file, read_only=True)
    assert DuckdbDriver().workers_max(ALL_KINDS) == 1


async def test_statements_that_write_are_checked_while_others_read_the_file(
    file: DuckdbDatabase,
) -> None:
    with read_elsewhere(file):
        await DuckdbDriver().check(file.target("items"), ALL_KINDS)


@pytest.mark.parametrize(
    "columns",
    [
        "id uuid PRIMARY KEY DEFAULT gen_random_uuid(), label text UNIQUE",
        "id bigint PRIMARY KEY DEFAULT nextval('numbers'), label decimal(9,2)",
        "id integer, label text, CONSTRAINT both_ PRIMARY KEY (label, id)",
        "id timestamp PRIMARY KEY, label text, twice text GENERATED ALWAYS AS (label || label)",
        "id hugeint PRIMARY KEY, mood mood DEFAULT 'bad', label blob",
        "id double PRIMARY KEY, label date, flag boolean DEFAULT true",
    ],
)
async def test_a_table_of_any_kind_serves_every_kind_of_query(
    file: DuckdbDatabase, columns: str
) -> None:
    file.sql(
        "CREATE SEQUENCE numbers",
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        f"CREATE TABLE odd ({columns})",
    )
    names = file.sql(
        "SELECT string_agg(column_name, ',') FROM duckdb_columns() "
        "WHERE table_name = 'odd' AND column_name IN ('id', 'label')"
    )
    assert names
    made = {
        "id uuid": "gen_random_uuid(), 'label ' || i",
        "id timestamp": "TIMESTAMP '2024-01-01' + to_days(i::integer), 'label ' || i",
        "id hugeint": "i, encode('label ' || i)",
        "id double": "i, DATE '2024-01-01' + i::integer",
        "id bigint": "nextval('numbers'), i",
    }.get(" ".join(columns.split()[:2]), "i, 'label ' || i")
    file.sql(f"INSERT INTO odd (id, label) SELECT {made} FROM range(300) r(i)")
    workload = [part for part in ALL_KINDS if part.kind is not UPDATE or "UNIQUE" not in columns]
    if "both_" in columns:
        workload = [part for part in workload if part.kind is not UPDATE]
    await DuckdbDriver().check(file.target("odd"), tuple(workload))
    notes = Notes()
    # One connection, because DuckDB refuses updates of the same row at the same time.
    async with driven(assignment(file.target("odd"), workload, connections=1), notes):
        await until(lambda: len(set(notes.answered)) == len(workload))
    assert notes.failures == []


async def test_a_view_can_be_read_with_sql_of_ones_own(file: DuckdbDatabase) -> None:
    file.sql("CREATE VIEW labels AS SELECT label FROM items")
    notes = Notes()
    workload = only(SCAN, "SELECT count(*) FROM {table}")
    async with driven(assignment(file.target("labels"), workload), notes):
        await until(lambda: len(notes.answered) > 5)
    assert notes.failures == []


async def test_an_insert_that_may_meet_its_like_is_an_insert(file: DuckdbDatabase) -> None:
    driver, target = DuckdbDriver(), file.target("items")
    for action in ("NOTHING", "UPDATE SET label = 'again'"):
        sql = f"INSERT INTO {{table}} VALUES (?, ?) ON CONFLICT (id) DO {action}"
        await driver.check(target, only(INSERT, sql))


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        (LOOKUP, "WITH a$$b$ AS (DELETE FROM {table} RETURNING 1) SELECT 1 AS x$b$ WHERE false"),
        (
            INSERT,
            "WITH a$$b$ AS (DELETE FROM {table} RETURNING 1) "
            "INSERT INTO {table} SELECT 1, 'x' AS x$b$",
        ),
        (UPDATE, "WITH a AS (SELECT 1) -- \r DELETE FROM {table} --\nUPDATE {table} SET label = 1"),
    ],
)
async def test_rows_are_not_deleted_under_another_name(
    file: DuckdbDatabase, kind: QueryKind, sql: str
) -> None:
    with pytest.raises(
        InvalidInput, match=f"{kind} (would delete rows|cannot be used|holds DELETE FROM)"
    ):
        await DuckdbDriver().check(file.target("items"), only(kind, sql))
    assert file.sql("SELECT count(*) FROM items") == "500"


@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize(
    ("sql", "type_name"),
    [
        ("COPY (SELECT 42) TO '{aside}'", "COPY"),
        ("DROP TABLE {{table}}", "DROP"),
        ("ATTACH '{aside}'", "ATTACH"),
    ],
)
async def test_a_nested_comment_hides_no_other_statement(
    file: DuckdbDatabase, operation: Operation, sql: str, type_name: str
) -> None:
    aside = file.path.with_name("aside")
    word = "SELECT" if operation is READ else "DELETE"
    hidden = f"/* /* */ {word} */ {sql.format(aside=aside)}"
    with pytest.raises(InvalidInput, match=f"GENERIC_SQL.*({type_name}|comment)"):
        await DuckdbDriver().check(file.target("items"), (own(operation, hidden),))
    assert not aside.exists()
    assert file.sql("SELECT count(*) FROM items") == "500"


async def test_a_statement_reads_no_file_but_its_own(file: DuckdbDatabase) -> None:
    aside = file.path.with_name("aside.csv")
    aside.write_text("a,b\n1,2\n")
    driver, target = DuckdbDriver(), file.target("items")
    reading = f"SELECT * FROM read_csv('{aside}')"
    for workload in (
        (own(READ, reading),),
        (own(WRITE, f"INSERT INTO {{table}} {reading}"),),
    ):
        with pytest.raises(InvalidInput, match=r"GENERIC_SQL cannot be used.*disabled"):
            await driver.check(target, workload)


async def test_the_sessions_of_a_load_reach_no_other_file(file: DuckdbDatabase) -> None:
    aside = file.path.with_name("aside.csv")
    aside.write_text("a,b\n1,2\n")
    notes = Notes()
    # As if it had not been checked.
    workload = (own(READ, f"SELECT * FROM read_csv('{aside}')"),)
    async with driven(assignment(file.target("items"), workload, connections=1), notes):
        await until(lambda: len(notes.failures) > 0)
    assert notes.answered == []
    assert "disabled" in notes.failures[0][2]


async def test_writers_of_the_same_row_are_told_of_their_conflict(file: DuckdbDatabase) -> None:
    notes = Notes()
    workload = only(UPDATE, "UPDATE {table} SET label = label || '!' WHERE id = 7")
    async with driven(assignment(file.target("items"), workload, connections=4), notes):
        await until(lambda: len(notes.failures) > 3 and len(notes.answered) > 3)
    kinds = {(kind, failure) for kind, failure, _ in notes.failures}
    assert kinds == {(UPDATE, FailureKind.SERIALIZATION)}
    assert set(notes.meter(UPDATE).rows) == {1}


async def test_a_statement_that_returns_what_it_changed_counts_its_rows(
    file: DuckdbDatabase,
) -> None:
    notes = Notes()
    workload = only(UPDATE, "UPDATE {table} SET label = 'new' WHERE id < 10 RETURNING id")
    async with driven(assignment(file.target("items"), workload, connections=1), notes):
        await until(lambda: len(notes.answered) > 3)
    assert set(notes.meter(UPDATE).rows) == {10}


async def test_a_file_that_is_replaced_in_the_middle_is_a_lost_connection(
    file: DuckdbDatabase,
) -> None:
    notes = Notes()
    async with driven(assignment(file.target("items"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 5)
        moved = file.path.rename(file.path.with_suffix(".moved"))
        await until(lambda: len(notes.failures) >= 4)
        assert notes.connections == 0
        moved.rename(file.path)
        await until(lambda: notes.connections == 2)
    kinds = {(kind, failure) for kind, failure, _ in notes.failures}
    assert kinds == {(None, FailureKind.CONNECTION)}
    assert "removed or replaced" in notes.failures[0][2]


async def updated(file: DuckdbDatabase) -> set[str]:
    """The keys of the first rows that a load updates."""
    notes = Notes()
    workload = only(UPDATE, "UPDATE {table} SET label = 'seen' WHERE id = ?")
    given = assignment(file.target("items"), workload, connections=1)
    async with driven(given.model_copy(update={"think_time_ms": 20}), notes):
        await until(lambda: len(notes.answered) >= 5)
    keys = set(file.sql("SELECT id FROM items WHERE label = 'seen'").splitlines())
    file.sql("UPDATE items SET label = 'item'")
    return keys


async def test_the_same_seed_draws_the_same_rows(file: DuckdbDatabase) -> None:
    one, other = sorted([await updated(file), await updated(file)], key=len)
    assert one <= other


async def test_a_copy_holds_what_a_crash_left_in_the_log(file: DuckdbDatabase) -> None:
    elsewhere(
        file,
        read_only=False,
        then="c.execute(\"INSERT INTO items VALUES (1000, 'late')\"); os._exit(1)",
    )
    assert any(".wal" in entry.name for entry in file.path.parent.iterdir())
    driver, target = DuckdbDriver(), file.target("items")
    scratch = driver.scratch(target, "run-1")
    await driver.make_scratch(target, scratch)
    assert DuckdbDatabase(Path(scratch.database)).sql("SELECT count(*) FROM items") == "501"
    await driver.drop_scratch(scratch)
    assert not [entry for entry in file.path.parent.iterdir() if "benchgate" in entry.name]


async def test_a_file_that_is_being_written_is_not_copied(file: DuckdbDatabase) -> None:
    driver, target = DuckdbDriver(), file.target("items")
    with (
        closing(duckdb.connect(file.path)),
        pytest.raises(DatabaseError, match="cannot be copied"),
    ):
        await driver.make_scratch(target, driver.scratch(target, "run-2"))
    assert sorted(file.path.parent.iterdir()) == [file.path]
