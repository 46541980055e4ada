"""What `benchgate audit` prints: the ledger for a reader or a program, or a verdict on it.

Only reads. What a person or a backend wrote is shown as `one_line` leaves it.
"""

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC
from textwrap import wrap
from typing import TypeVar

from pydantic import ValidationError

from benchgate.domain.ledger import Entry, Link
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.gate.approvals.desk import open_record
from benchgate.gate.approvals.trail import Finding, Trail
from benchgate.gate.home import GateHome

T = TypeVar("T")

TITLES = ("seq", "time (UTC)", "event", "what", "channel", "state", "note or result")
NAME_CHARACTERS_MAX = 32
WHAT = TITLES.index("what")
GAP = "  "
NOTHING = "-"
DRIFTED_SHOWN_MAX = 20


class Report(Value):
    """What to print, and whether something is wrong with the record."""

    text: str
    is_broken: bool = False


def as_table(home: GateHome, *, columns: int | None) -> Report:
    """The ledger of *home* as a table, no wider than *columns* if they are given."""
    with _trail(home) as trail:
        links = trail.links() if trail else []
    if not links:
        return Report(text=_nothing_in(home))
    after = f"The ledger's head is {links[-1].head}"
    return Report(text="\n".join([*_table(links, columns), "", after]))


def as_json(home: GateHome) -> Report:
    """The ledger of *home*: on each line an entry with its number and its hash, as JSON."""
    with _trail(home) as trail:
        links = trail.links() if trail else []
    # Only ASCII: what a terminal would obey is escaped, and no reader needs to know the encoding.
    return Report(text="\n".join(json.dumps(_plain(link), sort_keys=True) for link in links))


def verdict(home: GateHome, *, head: str | None) -> Report:
    """Whether the record of *home* is what was written, and still holds *head* if it is given."""
    with _trail(home) as trail:
        if trail is not None:
            return _told(trail.check(head=head))
    if head is None:
        return Report(text=_nothing_in(home))
    return Report(
        text=f"{_nothing_in(home)} The given head is of another record, or of one that is gone.",
        is_broken=True,
    )


@contextmanager
def _trail(home: GateHome) -> Generator[Trail | None]:
    """The trail of *home*; None where there is no record, and then none is made."""
    if not home.has_record:
        yield None
        return
    record = open_record(home)
    try:
        yield Trail(record.engine)
    finally:
        record.close()


def _nothing_in(home: GateHome) -> str:
    if home.settings.database_url is not None:
        return "Nothing is recorded yet in the database of BENCHGATE_DATABASE_URL."
    return f"Nothing is recorded yet in {home.settings.data_dir}."


def _told(finding: Finding) -> Report:
    if finding.broken:
        text = f"The chain is broken at entry {finding.broken.seq}: {finding.broken.reason}."
        return Report(text=text, is_broken=True)
    entries = "1 entry" if finding.entries == 1 else f"{finding.entries} entries"
    head = f", head {finding.head}" if finding.head else ""
    lines = [f"The chain is whole: {entries}{head}"]
    if finding.drifted:
        lines.append("But these questions are not stored as the ledger tells them:")
        lines += [f"- {one_line(name)}" for name in finding.drifted[:DRIFTED_SHOWN_MAX]]
        more = len(finding.drifted) - DRIFTED_SHOWN_MAX
        lines += [f"- and {more} more"] if more > 0 else []
    return Report(text="\n".join(lines), is_broken=not finding.is_whole)


def _plain(link: Link) -> dict[str, object]:
    """*link* for a program; an entry that is no JSON any more is handed on as the text it is."""
    try:
        entry: object = json.loads(link.body)
    except (ValueError, RecursionError):
        entry = link.body
    return {"seq": link.seq, "hash": link.hash, "entry": entry}


def _table(links: Sequence[Link], columns: int | None) -> list[str]:
    """One line for each link; in too narrow a terminal, what is of any length stands below it."""
    rows = [TITLES, *_rows(links)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if columns is None or sum(widths) + len(GAP) * (len(widths) - 1) <= columns:
        return [_line(row, widths) for row in rows]
    indent = " " * (widths[0] + len(GAP))
    lines: list[str] = []
    for row in rows:
        below = "; ".join(cell for cell in (row[WHAT], row[-1]) if cell != NOTHING)
        lines.append(_line(_without_what(row), _without_what(widths)))
        lines += wrap(below, columns, initial_indent=indent, subsequent_indent=indent)
    return lines


def _without_what(cells: Sequence[T]) -> Sequence[T]:
    """The cells that are short in every row."""
    return [*cells[:WHAT], *cells[WHAT + 1 : -1]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    seq, *rest = row
    cells = [cell.ljust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    return GAP.join([seq.rjust(widths[0]), *cells]).rstrip()


def _rows(links: Iterable[Link]) -> list[tuple[str, ...]]:
    """What each link says. Its first entry names a question, the later ones do not."""
    names: dict[str | None, str] = {}
    rows: list[tuple[str, ...]] = []
    for link in links:
        try:
            entry = link.entry
        except ValidationError:
            rows.append((str(link.seq), NOTHING, "unreadable", *[NOTHING] * 4))
            continue
        if entry.approval_id is not None and entry.name is not None:
            names[entry.approval_id] = entry.name
        rows.append(_row(link.seq, entry, entry.name or names.get(entry.approval_id, "")))
    return rows


def _row(seq: int, entry: Entry, name: str) -> tuple[str, ...]:
    subject = entry.subject.subject_id if entry.subject else ""
    what = [one_line(part, NAME_CHARACTERS_MAX) for part in (name, subject)]
    return (
        str(seq),
        f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        entry.event,
        ", ".join(part for part in what if part) or NOTHING,
        entry.channel or (entry.asked.channel if entry.asked else NOTHING),
        entry.state or NOTHING,
        _remark(entry) or NOTHING,
    )


def _remark(entry: Entry) -> str:
    client = ""
    if entry.asked and entry.asked.client_name:
        client = f"asked by {entry.asked.client_name} {entry.asked.client_version}"
    parts = (entry.mode, entry.note or entry.result or client)
    return one_line("; ".join(part for part in parts if part))
