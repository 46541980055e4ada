"""An SQLite file as a driver sees it: how it is opened, what its table looks like, its errors.

Everything here blocks and belongs in a thread. Nothing here ever creates a file.
"""

import random
import re
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager

from benchgate.backend.drivers.copies import path_of
from benchgate.backend.drivers.layouts import Dialect, Field, Layout, qualified, quoted
from benchgate.backend.drivers.operations import (
    KEYS_MAX,
    ROWS_MAX,
    VALUES_MAX,
    Pool,
    Row,
    columns_drawn,
    needs_keys,
    needs_rows,
    seeded,
)
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

LOCK_WAIT_MS = 5_000
# A file without a rowid offers no random access by position: the sample comes from its first rows.
SCAN_MAX = 50_000

COMPUTED = (2, 3)  # the values of `hidden` for generated columns
ROWID_NAMES = ("rowid", "_rowid_", "oid")

BY_CODE = {
    sqlite3.SQLITE_BUSY: FailureKind.LOCK,
    sqlite3.SQLITE_LOCKED: FailureKind.LOCK,
    sqlite3.SQLITE_CONSTRAINT: FailureKind.CONSTRAINT,
    sqlite3.SQLITE_FULL: FailureKind.RESOURCES,
    sqlite3.SQLITE_NOMEM: FailureKind.RESOURCES,
    sqlite3.SQLITE_TOOBIG: FailureKind.RESOURCES,
    sqlite3.SQLITE_CANTOPEN: FailureKind.CONNECTION,
    sqlite3.SQLITE_IOERR: FailureKind.CONNECTION,
    sqlite3.SQLITE_NOTADB: FailureKind.CONNECTION,
    sqlite3.SQLITE_CORRUPT: FailureKind.CONNECTION,
    sqlite3.SQLITE_INTERRUPT: FailureKind.TIMEOUT,
    sqlite3.SQLITE_PERM: FailureKind.CREDENTIALS,
    sqlite3.SQLITE_READONLY: FailureKind.CREDENTIALS,
}


def open_file(target: Target, *, read_only: bool, busy_timeout_ms: int) -> sqlite3.Connection:
    """A connection in autocommit mode; the journal mode stays as the file has it."""
    connection = sqlite3.connect(
        f"{path_of(target).as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


@contextmanager
def looking_at(target: Target) -> Generator[sqlite3.Connection]:
    """A connection for one look, whose errors come out as ours.

    Raises:
        DatabaseError: the file cannot be opened or read, in SQLite's words.
    """
    try:
        with closing(open_file(target, read_only=True, busy_timeout_ms=LOCK_WAIT_MS)) as connection:
            yield connection
    except (sqlite3.Error, ValueError) as exc:
        raise DatabaseError(
            f"{one_line(target.database)}: {one_line(str(exc))}",
            hint="Check the path of the file and the name of the table.",
        ) from exc


def failure_of(exc: sqlite3.Error | sqlite3.Warning) -> FailureKind:
    """What kind of failure *exc* is, by SQLite's primary result code."""
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return FailureKind.OTHER
    kind = BY_CODE.get(code & 0xFF)
    if kind is not None:
        return kind
    # One code covers everything that is wrong with a statement; only the text tells them apart.
    text = str(exc)
    if text.startswith("no such"):
        return FailureKind.MISSING
    return FailureKind.SYNTAX if "syntax error" in text else FailureKind.OTHER


def layout_of(connection: sqlite3.Connection, target: Target) -> Layout:
    """What the table looks like; SQLite's own error where there is none."""
    name = qualified(target.schema_name, target.table_name)
    # Asked first, because the catalog answers with an empty list for a table that is not there.
    has_rows = connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted
    columns = connection.execute(
        "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?, ?) "
        "WHERE hidden <> 1 ORDER BY cid",
        (target.table_name, target.schema_name or None),
    ).fetchall()
    key = tuple(row[0] for row in sorted(columns, key=lambda row: row[2]) if row[2])
    alias = _is_rowid_alias(connection, target, key)
    fields = tuple(
        Field(
            name=column,
            type_name=declared or "",
            generated=alias and column in key,
            computed=hidden in COMPUTED,
            has_maximum=True,
            characters_max=_characters_max(declared),
        )
        for column, declared, _, hidden in columns
    )
    return Layout(
        dialect=Dialect.SQLITE,
        name=name,
        fields=fields,
        key=key,
        uniques=_uniques(connection, target),
        integer_key=alias or _is_integer(connection, name, key=key),
        has_rows=has_rows,
        server_version=f"SQLite {sqlite3.sqlite_version}",
    )


def _characters_max(declared: str | None) -> int | None:
    """The length that a declared type names; SQLite itself does not enforce it."""
    match = re.search(r"char\s*\((\d+)\)", declared or "", re.IGNORECASE)
    return int(match[1]) if match else None


def _is_rowid_alias(connection: sqlite3.Connection, target: Target, key: tuple[str, ...]) -> bool:
    """Whether the key is the rowid under another name, which SQLite numbers by itself.

    An `INTEGER PRIMARY KEY` is the only key for which SQLite makes no index.
    """
    if len(key) != 1:
        return False
    rows = connection.execute(
        "SELECT origin FROM pragma_index_list(?, ?)",
        (target.table_name, target.schema_name or None),
    ).fetchall()
    return ("pk",) not in rows and _has_rowid(connection, qualified(*_names(target)))


def _names(target: Target) -> tuple[str, str]:
    return target.schema_name, target.table_name


def _has_rowid(connection: sqlite3.Connection, name: str) -> bool:
    try:
        connection.execute(f"SELECT rowid FROM {name} LIMIT 0")  # noqa: S608 - quoted
    except sqlite3.OperationalError:
        return False
    return True


def _is_integer(connection: sqlite3.Connection, name: str, *, key: tuple[str, ...]) -> bool:
    if len(key) != 1:
        return False
    return all(isinstance(bound, int) for bound in _bounds(connection, name, column=quoted(key[0])))


def _bounds(connection: sqlite3.Connection, name: str, *, column: str) -> tuple[object, object]:
    # Two statements, because SQLite answers each from the index but both together by a scan.
    low, high = (
        connection.execute(f"SELECT {function}({column}) FROM {name}").fetchone()[0]  # noqa: S608 - quoted
        for function in ("min", "max")
    )
    return low, high


def _uniques(connection: sqlite3.Connection, target: Target) -> tuple[tuple[str, ...], ...]:
    """The columns of each unique index but the primary key's; expressions have no name."""
    schema = target.schema_name or None
    names = connection.execute(
        "SELECT name FROM pragma_index_list(?, ?) WHERE \"unique\" AND origin <> 'pk'",
        (target.table_name, schema),
    ).fetchall()
    return tuple(
        tuple(
            column
            for (column,) in connection.execute(
                "SELECT name FROM pragma_index_info(?, ?) ORDER BY seqno", (index, schema)
            )
            if column is not None
        )
        for (index,) in names
    )


def sample(
    connection: sqlite3.Connection,
    layout: Layout,
    *,
    statements: Sequence[Statement],
    seed: int,
) -> Pool:
    """The keys and whole rows that *statements* draw from, from random points of the table."""
    generator = seeded(seed, "pool")
    keys: list[Row] = []
    rows: list[Row] = []
    maxima: dict[str, object] = {}
    if needs_keys(statements):
        keys = _sampled(connection, layout, columns=layout.key, limit=KEYS_MAX, generator=generator)
    if needs_rows(statements):
        rows = _sampled(
            connection, layout, columns=layout.names, limit=ROWS_MAX, generator=generator
        )
        maxima = {
            name: connection.execute(f"SELECT max({quoted(name)}) FROM {layout.name}").fetchone()[0]  # noqa: S608 - quoted
            for name in layout.fresh
        }
    columns = columns_drawn(statements)
    values = _sampled(connection, layout, columns=columns, limit=VALUES_MAX, generator=generator)
    return Pool(keys=keys, rows=rows, values=values, maxima=maxima)


def _sampled(
    connection: sqlite3.Connection,
    layout: Layout,
    *,
    columns: tuple[str, ...],
    limit: int,
    generator: random.Random,
) -> list[Row]:
    if not columns or not layout.has_rows:
        return []
    listed = ", ".join(quoted(name) for name in columns)
    order = _order(connection, layout)
    low, high = _bounds(connection, layout.name, column=order) if order else (None, None)
    # The rowid of a view is NULL.
    if not isinstance(low, int) or not isinstance(high, int):
        rows = connection.execute(
            f"SELECT {listed} FROM {layout.name} LIMIT {SCAN_MAX}"  # noqa: S608 - quoted
        ).fetchall()
        return generator.sample(rows, min(limit, len(rows)))
    query = f"SELECT {listed} FROM {layout.name} WHERE {order} >= ? ORDER BY {order} LIMIT 1"  # noqa: S608 - quoted
    points = [generator.randint(low, high) for _ in range(limit)]
    found = (connection.execute(query, (point,)).fetchone() for point in points)
    return [row for row in found if row is not None]


def _order(connection: sqlite3.Connection, layout: Layout) -> str | None:
    """The integer column by which the table can be entered at any point, quoted."""
    if layout.integer_key:
        return quoted(layout.key[0])
    taken = {name.lower() for name in layout.names}
    free = next((name for name in ROWID_NAMES if name not in taken), None)
    return free if free and _has_rowid(connection, layout.name) else None
