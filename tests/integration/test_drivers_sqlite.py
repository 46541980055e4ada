"""What only the SQLite driver has to prove: files, locks, and tables of its own kinds."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from benchgate.backend.drivers.port import Removal, Target
from benchgate.backend.drivers.sqlite.driver import SqliteDriver
from benchgate.backend.drivers.sqlite.file import open_file
from benchgate.backend.drivers.sqlite.log import LogKeeper
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, TableType
from benchgate.errors import DatabaseError, NameTaken
from tests.integration.databases import (
    ALL_KINDS,
    NUMBERS,
    Notes,
    SqliteDatabase,
    assignment,
    driven,
    only,
    share,
    until,
)

pytestmark = pytest.mark.anyio

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE


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
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.session.LOCK_WAIT_MS", 300)
    notes = Notes()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        async with driven(assignment(file.target("items"), only(UPDATE)), notes):
            await until(lambda: bool(notes.failures))
    assert notes.failures[0][:2] == (UPDATE, FailureKind.LOCK)


def filled_up(most_pages: int) -> Callable[..., sqlite3.Connection]:
    """What opens files that can grow by so many pages, as on a disk that is nearly full."""

    def opened(target: Target, *, read_only: bool, busy_timeout_ms: int) -> sqlite3.Connection:
        connection = open_file(target, read_only=read_only, busy_timeout_ms=busy_timeout_ms)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + most_pages}")
        return connection

    return opened


async def test_a_full_disk_is_told_as_such_and_the_load_goes_on(
    file: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.session.open_file", filled_up(3))
    notes = Notes()
    workload = (share(INSERT, 50), share(LOOKUP, 50))
    async with driven(assignment(file.target("items"), workload), notes):
        await until(lambda: len(notes.failures) > 5)
        looked_up = len(notes.meter(LOOKUP).rows)
        await until(lambda: len(notes.meter(LOOKUP).rows) > looked_up)
    assert notes.meter(INSERT).rows
    assert {failure[:2] for failure in notes.failures} == {(INSERT, FailureKind.RESOURCES)}
    assert "full" in notes.failures[0][2]


def log_of(file: SqliteDatabase) -> Path:
    return file.path.with_name(file.path.name + "-wal")


async def test_the_write_ahead_log_is_emptied_before_and_after_a_load_that_writes(
    file: SqliteDatabase,
) -> None:
    with closing(sqlite3.connect(file.path)) as other, other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("UPDATE items SET label = label || '!'")
        other.commit()
        assert log_of(file).stat().st_size > 0
        async with driven(assignment(file.target("items"), only(LOOKUP)), Notes()):
            assert log_of(file).stat().st_size > 0
        notes = Notes()
        async with driven(assignment(file.target("items"), only(UPDATE)), notes):
            await until(lambda: len(notes.answered) > 50)
        # The other connection keeps the log itself where it is.
        assert log_of(file).stat().st_size == 0
    assert sorted(file.path.parent.iterdir()) == [file.path]


async def test_a_log_that_grows_past_its_bound_is_written_back_and_told(
    file: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.log.BOUND_BYTES", 20_000)
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.log.LOOK_EVERY_S", 0.05)
    notes = Notes()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM items").fetchone()
        async with driven(assignment(file.target("items"), only(UPDATE)), notes):
            await until(lambda: log_of(file).stat().st_size > 5_000_000)
            reader.execute("COMMIT")
            answered = len(notes.answered)
            await until(lambda: len(notes.answered) > answered + 2_000)
    assert notes.failures == []
    assert any("write-ahead log grew to" in notice for notice in notes.notices)
    assert sorted(file.path.parent.iterdir()) == [file.path]


async def test_the_log_is_kept_by_whoever_becomes_the_first_worker(
    file: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.log.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("benchgate.backend.drivers.sqlite.log.BOUND_BYTES", 20_000)
    with closing(sqlite3.connect(file.path)) as other, other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("UPDATE items SET label = label || '!'")
        other.commit()
        turns: list[bool] = []
        is_its_turn = threading.Event()

        def look() -> bool:
            turns.append(is_its_turn.is_set())
            return turns[-1]

        keeper = LogKeeper(file.target("items"), lambda _: None, look)
        await anyio.to_thread.run_sync(keeper.begin)
        await until(lambda: len(turns) > 2)
        assert keeper.peak_bytes == 0
        assert log_of(file).stat().st_size > 0
        is_its_turn.set()
        await until(lambda: log_of(file).stat().st_size == 0)
        await anyio.to_thread.run_sync(keeper.end)
        idle = LogKeeper(file.target("items"), lambda _: None, lambda: False)
        await anyio.to_thread.run_sync(idle.begin)
        await anyio.to_thread.run_sync(idle.end)
        assert idle.peak_bytes == 0


async def test_a_rollback_journal_is_left_as_it_is(file: SqliteDatabase) -> None:
    file.sql("PRAGMA journal_mode = DELETE")
    notes = Notes()
    async with driven(assignment(file.target("items"), only(UPDATE)), notes):
        await until(lambda: len(notes.answered) > 5)
    assert file.sql("PRAGMA journal_mode") == "delete"
    assert notes.failures == []


async def test_a_copy_holds_what_the_log_holds_while_others_write(file: SqliteDatabase) -> None:
    driver, target = SqliteDriver(), file.target("items")
    scratch = driver.scratch(target, "run-2")
    notes = Notes()
    async with driven(assignment(target, only(UPDATE)), notes):
        await until(lambda: len(notes.answered) > 50)
        await driver.make_scratch(target, scratch)
    copy = SqliteDatabase(Path(scratch.database))
    assert copy.sql("PRAGMA integrity_check") == "ok"
    assert copy.sql("SELECT count(*) FROM items") == "500"
    await driver.drop_scratch(scratch)
    assert sorted(file.path.parent.iterdir()) == [file.path]


def cut_off(path: Path) -> Path:
    """Leave the copy at *path* as a crash in the midst of copying does."""
    path.write_bytes(path.read_bytes()[:5_000])
    path.with_name(path.name + "-journal").touch()
    path.with_name(path.name + "-other").touch()  # that somebody else may have there
    return path


async def test_the_copy_that_a_crash_left_behind_is_removed_by_its_name(
    file: SqliteDatabase,
) -> None:
    driver = SqliteDriver()
    scratch = driver.scratch(file.target("items"), "run-3")
    await driver.make_scratch(file.target("items"), scratch)
    path = cut_off(Path(scratch.database))
    await SqliteDriver().drop_scratch(scratch)
    left = {entry.name for entry in file.path.parent.iterdir()}
    assert left == {file.path.name, path.name + "-other"}


async def test_a_copy_that_cannot_be_made_leaves_nothing(
    file: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, target = SqliteDriver(), file.target("items")
    scratch = driver.scratch(target, "run-4")
    broken = file.path.with_name("broken.db")
    broken.write_bytes(b"not a database" * 999)
    with pytest.raises(DatabaseError, match="not a database"):
        await driver.make_scratch(target.model_copy(update={"database": str(broken)}), scratch)
    monkeypatch.setattr("benchgate.backend.drivers.copies.ROOM_TO_SPARE", 1e12)
    with pytest.raises(DatabaseError, match="MB are free"):
        await driver.make_scratch(target, scratch)
    assert sorted(file.path.parent.iterdir()) == [broken, file.path]


async def test_a_file_that_was_there_before_is_neither_overwritten_nor_removed(
    file: SqliteDatabase,
) -> None:
    driver, target = SqliteDriver(), file.target("items")
    scratch = driver.scratch(target, "run-5")
    path = Path(scratch.database)
    file.path.with_name(path.name).write_text("mine")
    with pytest.raises(NameTaken):
        await driver.make_scratch(target, scratch)
    assert await driver.drop_scratch(scratch) is Removal.UNMARKED
    assert file.path.with_name(path.name).read_text() == "mine"
    assert sorted(file.path.parent.iterdir()) == [path, file.path]


async def test_a_copy_whose_mark_is_somebody_elses_is_left_alone(file: SqliteDatabase) -> None:
    driver = SqliteDriver()
    scratch = driver.scratch(file.target("items"), "run-7")
    await driver.make_scratch(file.target("items"), scratch)
    mark = file.path.with_name(Path(scratch.database).name + ".mark")
    for theirs in (b"mine", b"\xff"):
        mark.write_bytes(theirs)
        assert await driver.drop_scratch(scratch) is Removal.UNMARKED
    mark.unlink()
    assert await driver.drop_scratch(scratch) is Removal.UNMARKED


async def test_a_folder_that_is_another_one_or_gone_is_not_taken_for_the_first(
    file: SqliteDatabase,
) -> None:
    driver, target = SqliteDriver(), file.target("items")
    other = target.model_copy(update={"database": str(file.path.parent / "deeper" / "items.db")})
    assert await driver.identity(other) is None
    file.path.with_name("deeper").mkdir()
    assert await driver.identity(other) not in {None, await driver.identity(target)}


async def test_a_copy_that_is_called_off_is_not_left_behind(file: SqliteDatabase) -> None:
    file.sql(
        "CREATE TABLE large AS SELECT randomblob(9000) AS b FROM items i, items j LIMIT 9000",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    driver, target = SqliteDriver(), file.target("items")
    with anyio.move_on_after(0.01) as scope:
        await driver.make_scratch(target, driver.scratch(target, "run-6"))
    assert scope.cancelled_caught
    assert sorted(file.path.parent.iterdir()) == [file.path]


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
