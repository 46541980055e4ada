"""What a check of the record finds of those who changed it behind its back, and what it cannot."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchgate.domain.approvals import Channel, ExecutionMode
from benchgate.domain.ledger import GENESIS, Break, Entry, Link, sealed
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Finding, Trail
from benchgate.gate.home import RECORD_FILE, GateHome
from tests.unit.asked import NO, YES, ask, ask_both, home_in, record_of, start
from tests.unit.examples import NOON

ENTRIES = 6


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    return home_in(tmp_path)


@pytest.fixture
def record(home: GateHome) -> Iterator[Record]:
    """Six entries: a start (asked, approved, used, settled), and a no (asked, declined)."""
    with record_of(home) as record:
        start(record, "run-1", at=NOON)
        declined = ask(record, "run-2", at=NOON)
        record.answer(declined.approval_id, NO, through=Channel.PAGE, at=NOON)
        yield record


def tamper(home: GateHome, sql: str, *values: object) -> None:
    path = home.settings.data_dir / RECORD_FILE
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def check(record: Record, *, head: str | None = None) -> Finding:
    return Trail(record.engine).check(head=head)


def store(home: GateHome, links: list[Link]) -> None:
    tamper(home, "DELETE FROM ledger")
    for link in links:
        tamper(home, "INSERT INTO ledger VALUES (?, ?, ?)", link.seq, link.body, link.hash)


def chained(entries: list[Entry]) -> list[Link]:
    links: list[Link] = []
    for seq, entry in enumerate(entries, start=1):
        previous = links[-1].hash if links else GENESIS
        links.append(sealed(entry.model_copy(update={"seq": seq, "previous": previous})))
    return links


def test_a_record_that_nobody_touched_is_whole(record: Record) -> None:
    finding = check(record)
    assert finding.is_whole
    assert (finding.entries, finding.head) == (ENTRIES, record.head())


def test_a_record_without_entries_is_whole_and_has_no_head(home: GateHome) -> None:
    with record_of(home) as empty:
        assert check(empty) == Finding(entries=0, head=None, broken=None, drifted=())


def test_every_earlier_head_is_still_in_an_untouched_chain(record: Record) -> None:
    heads = [link.head for link in Trail(record.engine).links()]
    assert all(check(record, head=head).is_whole for head in heads)


def test_an_entry_whose_text_was_edited_is_named(record: Record, home: GateHome) -> None:
    tamper(home, "UPDATE ledger SET body = replace(body, 'not today', 'go ahead') WHERE seq = 6")
    assert check(record).broken == Break(seq=6, reason="its text is not the one that was written")


def test_an_entry_that_was_edited_and_hashed_anew_breaks_the_next(
    record: Record, home: GateHome
) -> None:
    second = Trail(record.engine).links()[1]
    forged = sealed(second.entry.model_copy(update={"note": "forged"}))
    tamper(home, "UPDATE ledger SET body = ?, hash = ? WHERE seq = 2", forged.body, forged.hash)
    assert check(record).broken == Break(seq=3, reason="it does not follow the entry before it")


def test_an_entry_that_is_no_text_is_named(record: Record, home: GateHome) -> None:
    tamper(home, "UPDATE ledger SET body = x'ff00' WHERE seq = 4")
    broken = check(record).broken
    assert broken is not None
    assert broken.seq == 4


def test_an_entry_that_was_removed_is_named(record: Record, home: GateHome) -> None:
    tamper(home, "DELETE FROM ledger WHERE seq = 3")
    broken = check(record).broken
    assert broken == Break(seq=3, reason="it is missing: the next one is number 4")


def test_an_entry_that_was_removed_and_closed_over_is_named(record: Record, home: GateHome) -> None:
    tamper(home, "DELETE FROM ledger WHERE seq = 3")
    for seq in (4, 5, 6):
        tamper(home, "UPDATE ledger SET seq = ? WHERE seq = ?", seq - 1, seq)
    assert check(record).broken == Break(seq=3, reason="its text belongs to another number")


def test_two_entries_that_changed_places_are_named(record: Record, home: GateHome) -> None:
    links = Trail(record.engine).links()
    links[1:3] = [
        links[2].model_copy(update={"seq": 2}),
        links[1].model_copy(update={"seq": 3}),
    ]
    store(home, links)
    assert check(record).broken == Break(seq=2, reason="its text belongs to another number")


def test_a_tail_that_was_cut_off_shows_only_against_a_head(record: Record, home: GateHome) -> None:
    head = record.head()
    tamper(home, "DELETE FROM ledger WHERE seq > 4")
    # The question behind the tail goes too, or the questions themselves would tell.
    tamper(home, "DELETE FROM approvals WHERE subject_id = 'run-2'")
    assert check(record).is_whole
    broken = check(record, head=head).broken
    assert broken == Break(seq=5, reason="it is missing: the given head is of a longer chain")


def test_a_chain_that_was_forged_whole_shows_only_against_a_head(
    record: Record, home: GateHome
) -> None:
    head, entries = record.head(), [link.entry for link in Trail(record.engine).links()]
    entries[5] = entries[5].model_copy(update={"note": "the person agreed"})
    store(home, chained(entries))
    # The question itself is forged to fit, or it would tell.
    tamper(home, "UPDATE approvals SET note = 'the person agreed' WHERE subject_id = 'run-2'")
    assert check(record).is_whole
    broken = check(record, head=head).broken
    assert broken == Break(seq=6, reason="it is not the entry that the given head names")


def test_a_state_that_was_changed_beside_the_ledger_is_drift(
    record: Record, home: GateHome
) -> None:
    no = record.newest("run-2", at=NOON)
    assert no is not None
    tamper(home, "UPDATE approvals SET state = 'approved' WHERE subject_id = 'run-2'")
    finding = check(record)
    assert (finding.broken, finding.drifted) == (None, (no.approval_id,))
    assert not finding.is_whole


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE approvals SET question = 'Something harmless?' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET state = 'no such state' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET answered_through = 'elicitation' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET note = 'as agreed' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET mode = 'sequential' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET facts = '{}' WHERE subject_id = 'run-1'",
        "UPDATE approvals SET facts = replace(facts, '8', '9') WHERE subject_id = 'run-1'",
        "DELETE FROM approvals WHERE subject_id = 'run-1'",
    ],
)
def test_a_question_that_is_not_as_it_was_put_is_drift(
    record: Record, home: GateHome, sql: str
) -> None:
    used = record.used("run-1")
    assert used is not None
    tamper(home, sql)
    assert check(record).drifted == (used.approval_id,)


@pytest.mark.parametrize("mode", ["'sequential'", "NULL", "'no such mode'"])
def test_a_mode_that_nobody_chose_is_drift(record: Record, home: GateHome, mode: str) -> None:
    both = ask_both(record, at=NOON)
    yes = YES.model_copy(update={"mode": ExecutionMode.PAUSE})
    record.answer(both.approval_id, yes, through=Channel.PAGE, at=NOON)
    assert check(record).is_whole
    tamper(home, f"UPDATE approvals SET mode = {mode} WHERE subject_id = 'cmp-1'")
    assert check(record).drifted == (both.approval_id,)


def test_a_question_that_the_ledger_never_told_of_is_drift(record: Record, home: GateHome) -> None:
    tamper(home, "DELETE FROM ledger WHERE seq > 4")
    no = record.newest("run-2", at=NOON)
    assert no is not None
    assert check(record).drifted == (no.approval_id,)
