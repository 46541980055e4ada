"""`benchgate audit` as somebody types it: to read the ledger, to keep it, and to check it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchgate.domain.approvals import Channel
from benchgate.domain.text import digest_of
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.home import RECORD_FILE, GateHome
from tests.acceptance.terminal import COLUMNS, terminal
from tests.integration.servers import PostgresServer
from tests.unit.asked import NO, ask, home_in, record_of, start
from tests.unit.examples import NOON

HEAD = f"3:{'0' * 64}"


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    """A record of a start, of a no with a note, and of a question that is long overdue."""
    home = home_in(tmp_path)
    with record_of(home) as record:
        start(record, "run-1", at=NOON, note="for the night")
        declined = ask(record, "run-2", at=NOON, name="Returns \x1b[31mlookup\nx")
        note = NO.model_copy(update={"note": "not \x1b]0;title\x07today\u202e"})
        record.answer(declined.approval_id, note, through=Channel.PAGE, at=NOON)
        ask(record, "run-3", at=NOON)
    return home


def environment_of(home: GateHome) -> dict[str, str]:
    folder = str(home.settings.data_dir)
    return {"PATH": os.defpath, "LANG": "C.UTF-8", "BENCHGATE_DATA_DIR": folder}


def audit(
    home: GateHome, *words: str, stdout: int = subprocess.PIPE, extra: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "benchgate", "audit", *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment_of(home) | (extra or {}),
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done


def tamper(home: GateHome, sql: str) -> None:
    with closing(sqlite3.connect(home.settings.data_dir / RECORD_FILE)) as connection, connection:
        connection.execute(sql)


def head_of(home: GateHome) -> str:
    with record_of(home) as record:
        head = record.head()
    assert head is not None
    return head


def test_the_ledger_is_a_table_that_a_person_can_read(home: GateHome) -> None:
    done = audit(home)
    title, *lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert title.split() == [
        *("seq", "time", "(UTC)", "event", "what", "channel", "state", "note", "or", "result")
    ]
    told = [line.split(maxsplit=3)[3] for line in lines[:7]]
    assert [" ".join(text.split()) for text in told] == [
        "ask Orders lookup, run-1 page asked asked by some-host 1.2",
        "approve Orders lookup, run-1 page approved for the night",
        "use Orders lookup, run-1 page used -",
        "settle Orders lookup, run-1 page used RUNNING",
        "ask Returns [31mlookup x, run-2 page asked asked by some-host 1.2",
        "decline Returns [31mlookup x, run-2 page declined not ]0;titletoday",
        "ask Orders lookup, run-3 page asked asked by some-host 1.2",
    ]
    assert lines[1].startswith("  2  2026-01-01 12:00:00  approve")
    assert lines[7:] == ["", f"The ledger's head is {head_of(home)}"]


@pytest.mark.parametrize("words", [[], ["--json"], ["--verify"]])
def test_reading_changes_nothing_and_prints_nothing_that_a_terminal_obeys(
    home: GateHome, words: list[str]
) -> None:
    before = head_of(home)
    done = audit(home, *words)
    assert head_of(home) == before
    assert all(character.isprintable() or character == "\n" for character in done.stdout)


def test_at_a_terminal_the_table_is_no_wider_than_it(home: GateHome) -> None:
    with record_of(home) as record:
        start(record, "run-4", at=NOON, note="a long note " * 20)
    with terminal(["-m", "benchgate", "audit"], environment=environment_of(home)) as screen:
        assert screen.exit_code() == 0
    lines = screen.text.splitlines()
    assert all(len(line) <= COLUMNS for line in lines if "head" not in line)
    assert "".join(screen.text.split()).count("alongnote" * 20) == 1
    assert "     Orders lookup, run-1; for the night" in lines


def test_each_line_of_json_can_be_hashed_by_somebody_else(home: GateHome) -> None:
    lines = [json.loads(line) for line in audit(home, "--json").stdout.splitlines()]
    assert [line["seq"] for line in lines] == [*range(1, 8)]
    assert lines[1]["entry"]["note"] == "for the night"
    for line in lines:
        body = json.dumps(line["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert digest_of(body) == line["hash"]
    previous = [line["entry"]["previous"] for line in lines[1:]]
    assert previous == [line["hash"] for line in lines[:-1]]


def test_a_whole_chain_is_told_with_its_head(home: GateHome) -> None:
    head = head_of(home)
    done = audit(home, "--verify", "--head", head)
    assert (done.returncode, done.stdout) == (0, f"The chain is whole: 7 entries, head {head}\n")


def test_the_first_broken_entry_is_named(home: GateHome) -> None:
    tamper(home, "UPDATE ledger SET body = replace(body, 'run-1', 'run-9') WHERE seq IN (3, 4)")
    done = audit(home, "--verify")
    assert done.returncode == 1
    assert done.stdout == (
        "The chain is broken at entry 3: its text is not the one that was written.\n"
    )


def test_a_removed_entry_is_named(home: GateHome) -> None:
    tamper(home, "DELETE FROM ledger WHERE seq = 2")
    done = audit(home, "--verify")
    assert done.returncode == 1
    assert "broken at entry 2: it is missing" in done.stdout


def test_a_cut_tail_shows_against_a_head_alone(home: GateHome) -> None:
    head = head_of(home)
    tamper(home, "DELETE FROM ledger WHERE seq = 7")
    tamper(home, "DELETE FROM approvals WHERE subject_id = 'run-3'")
    assert audit(home, "--verify").returncode == 0
    done = audit(home, "--verify", "--head", head)
    assert done.returncode == 1
    assert "broken at entry 7: it is missing: the given head is of a longer chain" in done.stdout


def test_a_question_that_was_changed_behind_the_ledger_is_named(home: GateHome) -> None:
    with record_of(home) as record:
        declined = record.newest("run-2", at=utc_now())
    assert declined is not None
    tamper(home, "UPDATE approvals SET state = 'approved' WHERE subject_id = 'run-2'")
    done = audit(home, "--verify")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        "But these questions are not stored as the ledger tells them:",
        f"- {declined.approval_id}",
    ]


def test_an_entry_that_nobody_can_read_hides_none_of_the_others(home: GateHome) -> None:
    tamper(home, "UPDATE ledger SET body = 'no\x1b[2J sense' WHERE seq = 2")
    table, lines = audit(home).stdout.splitlines(), audit(home, "--json").stdout.splitlines()
    assert table[2].split()[:3] == ["2", "-", "unreadable"]
    assert len(table) == 10
    assert json.loads(lines[1])["entry"] == "no\x1b[2J sense"


@pytest.mark.parametrize(
    ("words", "code"), [([], 0), (["--json"], 0), (["--verify"], 0), (["--verify", "--head"], 1)]
)
def test_where_there_is_no_record_it_says_so_and_makes_none(
    tmp_path: Path, words: list[str], code: int
) -> None:
    home = home_in(tmp_path)
    done = audit(home, *words, *([HEAD] if "--head" in words else []))
    assert done.returncode == code
    assert done.stdout == "" if "--json" in words else "Nothing is recorded yet" in done.stdout
    assert not home.settings.data_dir.exists()


@pytest.mark.parametrize("words", [[], ["--json"], ["--verify"]])
def test_a_reader_who_has_gone_is_no_error(home: GateHome, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert audit(home, *words, stdout=writer).returncode == 0
    finally:
        os.close(writer)


def test_a_terminal_that_lacks_letters_gets_what_it_can_show(home: GateHome) -> None:
    with record_of(home) as record:
        start(record, "run-5", at=NOON, note="für die Nacht ⚙")
    done = audit(home, extra={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"f\xfcr die Nacht \u2699" in done.stdout


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with TemporaryDirectory(prefix="benchgate-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "data")
        try:
            host = server.reference.host
            yield f"postgresql+psycopg://postgres@/postgres?host={host}"
        finally:
            server.close()


def test_a_record_on_postgresql_is_printed_and_checked_too(
    tmp_path: Path, postgres_url: str
) -> None:
    home = home_in(tmp_path, database_url=postgres_url)
    extra = {"BENCHGATE_DATABASE_URL": postgres_url}
    nothing = audit(home, extra=extra)
    assert "Nothing is recorded yet in the database of BENCHGATE_DATABASE_URL." in nothing.stdout
    with record_of(home) as record:
        start(record, "run-1", at=NOON, note="for the night")
        head = record.head()
    assert "for the night" in audit(home, extra=extra).stdout
    whole = audit(home, "--verify", extra=extra)
    assert (whole.returncode, whole.stdout) == (0, f"The chain is whole: 4 entries, head {head}\n")
    broken = audit(home, "--verify", "--head", HEAD, extra=extra)
    assert broken.returncode == 1
    assert "broken at entry 3" in broken.stdout
