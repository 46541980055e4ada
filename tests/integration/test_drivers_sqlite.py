"""What only the SQLite driver has to prove: files, locks, and tables of its own kinds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.sqlite import SqliteDriver
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, TableType
from benchgate.errors import DatabaseError
from tests.integration.databases import (
    ALL_KINDS,
    NUMBERS,
    Notes,
    SqliteDatabase,
    assignment,
    driven,
    only,
    until,
)

pytestmark = pytest.mark.anyio

LOOKUP, SCAN, UPDATE = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN, QueryKind.UPDATE


@pytest.fixture
def file(tmp_path: Path) -> SqliteDatabase:
    """A file with a small table."""
    file = SqliteDatabase(tmp_path / "items #1?.db")
    file.sql(
        "CREATE TABLE items (id integer PRIMARY KEY, label text)",
        f"{NUMBERS} INSERT INTO items SELECT i, 'item ' || i FROM n",
    )
    return file


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "unable to open database file"), (b"not a database" * 99, "not a database")],
)
async def test_a_file_that_is_no_database_is_told_and_never_made(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    target = Target(table_type=TableType.SQLITE, database=str(path), table_name="items")
    with pytest.raises(DatabaseError, match=reason):
        await SqliteDriver().describe(target)
    assert (path.read_bytes() if path.exists() else None) == content


async def test_a_lock_is_waited_for(file: SqliteDatabase) -> None:
    notes = Notes()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with driven(assignment(file.target("items"), only(UPDATE)), notes):
            assert notes.answered == []
            writer.execute("COMMIT")
            await until(lambda: len(notes.answered) > 5)
    assert notes.failures == []


async def test_waiting_for_a_lock_does_not_hold_up_a_stop(file: SqliteDatabase) -> None:
    notes = Notes()
    half = [only(kind)[0].model_copy(update={"share_pct": 50}) for kind in (LOOKUP, UPDATE)]
    given = assignment(file.target("items"), half, connections=8)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with driven(given, notes):
            await until(lambda: bool(notes.answered))
    assert notes.failures == []


async def test_a_lock_that_is_never_given_back_is_an_error(
    file: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchgate.backend.drivers.sqlite_load.LOCK_WAIT_MS", 300)
    notes = Notes()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with driven(assignment(file.target("items"), only(UPDATE)), notes):
            await until(lambda: bool(notes.failures))
    assert notes.failures[0][:2] == (UPDATE, FailureKind.LOCK)


async def test_a_file_that_is_removed_in_the_middle_is_a_lost_connection(
    file: SqliteDatabase,
) -> None:
    notes = Notes()
    async with driven(assignment(file.target("items"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 5)
        elsewhere = file.path.rename(file.path.with_suffix(".moved"))
        await until(lambda: len(notes.failures) >= 4)
        assert notes.connections == 0
        elsewhere.rename(file.path)
        await until(lambda: notes.connections == 2)
    kinds = {(kind, failure) for kind, failure, _ in notes.failures}
    assert kinds == {(None, FailureKind.CONNECTION)}
    assert "removed or replaced" in notes.failures[0][2]


@pytest.mark.parametrize(
    "columns",
    [
        "id text PRIMARY KEY, label text",
        "id text PRIMARY KEY, label text) WITHOUT ROWID --",
        "id int PRIMARY KEY, label text",
        "id real PRIMARY KEY, label text",
        "id integer PRIMARY KEY DESC, label text",
        "id PRIMARY KEY, label, twice GENERATED ALWAYS AS (id || id)",
        "rowid text, id integer PRIMARY KEY, label text UNIQUE",
    ],
)
async def test_a_table_of_any_kind_serves_every_kind_of_query(
    file: SqliteDatabase, columns: str
) -> None:
    file.sql(
        f"CREATE TABLE odd ({columns})",
        f"{NUMBERS} INSERT INTO odd (id, label) SELECT i, 'label ' || i FROM n",
    )
    workload = [part for part in ALL_KINDS if part.kind is not UPDATE]
    if "UNIQUE" not in columns:
        workload = list(ALL_KINDS)
    notes = Notes()
    async with driven(assignment(file.target("odd"), workload), notes):
        await until(lambda: len(set(notes.answered)) == len(workload))
    assert notes.failures == []


async def test_a_view_can_be_read_with_sql_of_ones_own(file: SqliteDatabase) -> None:
    file.sql("CREATE VIEW labels AS SELECT label FROM items")
    notes = Notes()
    workload = only(SCAN, "SELECT count(*) FROM {table}")
    async with driven(assignment(file.target("labels"), workload), notes):
        await until(lambda: len(notes.answered) > 5)
    assert notes.failures == []


async def test_what_a_trigger_does_is_not_the_statements_doing(file: SqliteDatabase) -> None:
    file.sql(
        "CREATE TABLE journal (id)",
        "CREATE TRIGGER tidy AFTER UPDATE ON items BEGIN DELETE FROM journal; END",
    )
    await SqliteDriver().check(file.target("items"), only(UPDATE))
