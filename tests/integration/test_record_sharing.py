"""The record on each database, shared: by threads, by processes, and by those that are killed."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchgate.database import BUSY_TIMEOUT_MS, open_database, sqlite_url, writing_alone
from benchgate.domain.approvals import ApprovalState, Standing
from benchgate.domain.ledger import GENESIS, Entry, Moment
from benchgate.errors import Conflict, StoreError
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Finding, Trail
from benchgate.gate.store import CHANGES, open_store
from tests.integration.record_process import sharers
from tests.integration.records import (
    FACTS,
    NO,
    about,
    answer,
    approved,
    ask,
    draft_of,
    events,
    opened,
)
from tests.integration.servers import PostgresServer
from tests.unit.examples import NOON

THREADS = 8
APPENDS = 20
PROCESSES = 4
KILLED_AT_ONCE = 5
# Bounded, because SQLite lets no writer stand in line: who writes without a pause starves others.
QUESTIONS_PER_LIFE = 4
# What a question may be of which a process said that before it died.
AS_TOLD = {
    "approved": {ApprovalState.APPROVED, ApprovalState.USED},
    "taken": {ApprovalState.USED},
}


def check(url: str) -> Finding:
    """What a check of the whole record at *url* finds."""
    engine = open_store(url)
    finding = Trail(engine).check()
    engine.dispose()
    return finding


def unchanged(_: sa.Connection) -> None:
    """A schema change that changes nothing."""


def test_of_many_threads_that_take_one_yes_exactly_one_gets_it(
    record: Record, record_url: str
) -> None:
    approved(record)
    others = [opened(record_url) for _ in range(4)]

    def take(number: int) -> bool:
        try:
            others[number % 4].take("a1", at=NOON)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        taken = list(pool.map(take, range(32)))
    for other in others:
        other.close()
    assert taken.count(True) == 1
    assert events(record).count("use") == 1


def test_of_many_processes_that_take_one_yes_exactly_one_gets_it(
    record: Record, record_url: str
) -> None:
    approved(record)
    with sharers([("take", record_url, "a1")] * PROCESSES) as processes:
        for process in processes:
            process.begin()
        said = Counter(process.line() for process in processes)
    assert said == {"taken": 1, "conflict": PROCESSES - 1}
    assert record.get("a1").state is ApprovalState.USED


def test_of_a_yes_and_a_no_at_the_same_moment_one_counts_and_both_are_told(
    record: Record,
) -> None:
    approved(record)

    def refuse() -> bool:
        try:
            answer(record, NO)
        except Conflict:
            return False
        return True

    def take() -> bool:
        try:
            record.take("a1", at=NOON)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        refused, taken = pool.submit(refuse), pool.submit(take)
    assert refused.result() != taken.result()
    expected = ApprovalState.USED if taken.result() else ApprovalState.DECLINED
    assert record.get("a1").state is expected


def test_of_many_who_ask_at_once_all_have_the_same_question(record: Record) -> None:
    drafts = [draft_of(f"a{number}") for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(partial(ask, record), drafts))
    assert len({one.approval.approval_id for one in found}) == 1
    standings = Counter(one.standing for one in found)
    assert standings == {Standing.FRESH: 1, Standing.OPEN: THREADS - 1}


def test_of_many_who_want_the_dialog_at_once_exactly_one_shows_it(record: Record) -> None:
    ask(record)
    until = NOON.replace(hour=13)

    def hold(number: int) -> bool:
        return record.hold_dialog("a1", holder=f"h{number}", until=until, at=NOON)

    with ThreadPoolExecutor(THREADS) as pool:
        held = list(pool.map(hold, range(THREADS)))
    assert held.count(True) == 1


def test_what_many_write_at_once_is_one_chain(record: Record, record_url: str) -> None:
    others = [opened(record_url) for _ in range(THREADS)]
    entry = Entry(seq=1, at=NOON, event=Moment.WRONG_PIN, previous=GENESIS)

    def write(other: Record) -> None:
        for _ in range(APPENDS):
            other.note(entry)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, others))
    for other in others:
        other.close()
    finding = check(record_url)
    assert (finding.broken, finding.entries) == (None, THREADS * APPENDS)


def test_a_record_that_two_processes_open_at_once_gets_its_tables_once(record_url: str) -> None:
    with sharers([("open", record_url)] * PROCESSES) as processes:
        for process in processes:
            process.begin()
        assert [process.line() for process in processes] == ["opened"] * PROCESSES
    engine = open_store(record_url)
    with engine.begin() as tx:
        versions = tx.scalars(sa.text("SELECT version FROM schema_version")).all()
    engine.dispose()
    assert sorted(versions) == list(range(1, len(CHANGES) + 1))
    assert check(record_url).is_whole


def test_killed_processes_leave_a_whole_record_and_lose_no_yes_they_told_of(
    record: Record, record_url: str
) -> None:
    fate = random.Random(7)
    told: list[str] = []
    for generation in range(2):
        calls = [("live", record_url, f"g{generation}p{n}") for n in range(KILLED_AT_ONCE)]
        with sharers(calls) as processes:
            for process in processes:
                process.begin(QUESTIONS_PER_LIFE)
            for process in processes:
                lines = range(fate.randint(1, 2 * QUESTIONS_PER_LIFE))
                told += [process.line() for _ in lines]
                told += process.kill()
        assert check(record_url).is_whole
    for what, approval_id in (line.split() for line in told):
        assert record.get(approval_id).state in AS_TOLD[what]
    approved(record)
    assert record.take("a1", at=NOON).state is ApprovalState.USED


def test_a_look_waits_for_no_writer(record: Record, record_url: str) -> None:
    yes = approved(record)
    engine = open_store(record_url)
    with writing_alone(engine) as tx, ThreadPoolExecutor(1) as pool:
        tx.execute(sa.text("UPDATE approvals SET state = 'declined'"))
        looks = [
            pool.submit(record.get, "a1"),
            pool.submit(record.newest, FACTS.run_id, at=NOON),
        ]
        # A writer is waited for as long as this; a look is not.
        assert [look.result(timeout=BUSY_TIMEOUT_MS / 2_000) for look in looks] == [yes, yes]
        tx.rollback()
    engine.dispose()


def test_a_look_at_what_is_in_time_writes_nothing(record: Record, record_url: str) -> None:
    ask(record)
    before = events(record)
    record.get("a1")
    record.newest(FACTS.run_id, at=NOON)
    record.open_questions(at=NOON)
    record.closed_lately(at=NOON)
    record.used(FACTS.run_id)
    record.head()
    assert events(record) == before


def test_a_record_of_a_newer_version_is_refused_and_left_alone(
    record: Record, record_url: str
) -> None:
    newer = open_database(record_url, [*CHANGES, unchanged])
    newer.dispose()
    known = len(CHANGES)
    told = f"schema version {known + 1}; this benchgate knows {known}"
    with pytest.raises(StoreError, match=told):
        open_store(record_url)
    assert ask(record).standing is Standing.FRESH


def test_a_change_that_fails_leaves_the_schema_as_it_was(record_url: str) -> None:
    def broken(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half (id INTEGER)"))
        connection.execute(sa.text("CREATE GARBAGE"))

    with pytest.raises(StoreError, match="could not be used"):
        open_database(record_url, [*CHANGES, broken])
    engine = open_store(record_url)
    tables = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    assert "half" not in tables


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be used"):
        open_store(sqlite_url(tmp_path / "missing" / "record.sqlite3"))


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite3"
    path.write_text("no database" * 100)
    with pytest.raises(StoreError, match="could not be used"):
        open_store(sqlite_url(path))


def test_a_server_that_cannot_be_reached_is_told_without_the_password(tmp_path: Path) -> None:
    url = f"postgresql://me:s3cret@/benchgate?host={tmp_path}"
    with pytest.raises(StoreError, match="could not be used") as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_names_no_driver_is_reached_through_psycopg(postgres: PostgresServer) -> None:
    engine = open_database(postgres.url(), [])
    assert engine.dialect.driver == "psycopg"
    engine.dispose()


def test_a_strict_database_still_shows_what_was_written_while_one_waited(
    postgres: PostgresServer,
) -> None:
    schema = "record_of_a_strict_database"
    postgres.sql(f"CREATE SCHEMA {schema}")
    url = postgres.url(search_path=schema, default_transaction_isolation="serializable")
    record = opened(url)
    approved(record)

    def take(_: int) -> bool:
        try:
            record.take("a1", at=NOON)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        taken = list(pool.map(take, range(THREADS)))
    record.close()
    assert taken.count(True) == 1


def test_a_record_outlives_its_server(mortal_postgres: PostgresServer) -> None:
    record = opened(mortal_postgres.url())
    yes = approved(record)
    mortal_postgres.stop()
    with pytest.raises(StoreError):
        record.get("a1")
    mortal_postgres.start()
    assert record.get("a1") == yes
    assert record.take("a1", at=NOON).state is ApprovalState.USED
    ask(record, draft_of("a2", about("r2")))
    record.close()
