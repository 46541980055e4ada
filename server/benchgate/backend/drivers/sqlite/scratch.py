"""A scratch copy of an SQLite file: page by page, so that it is laid out as its original."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from benchgate.backend.drivers.copies import Abandoned, FileKind
from benchgate.errors import DatabaseError

LOCK_WAIT_S = 5.0
PAGES_AT_ONCE = 4_096


def copy_file(source: Path, path: Path, abandoned: threading.Event) -> None:
    """Copy *source*, with what its log holds, into the empty file at *path*.

    Raises:
        DatabaseError: SQLite cannot read the one or write the other.
        Abandoned: the event was set.
    """

    def heed(*_: int) -> None:
        if abandoned.is_set():
            raise Abandoned

    try:
        with closing(_opened(source)) as original, closing(_opened(path)) as copy:
            # One state of the original throughout; else every write to it would start it anew.
            original.execute("BEGIN")
            original.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            original.backup(copy, pages=PAGES_AT_ONCE, progress=heed, sleep=0.01)
    except sqlite3.Error as exc:
        raise DatabaseError(
            f"{source} cannot be copied: {exc}",
            hint="A scratch copy lies beside the file: check the free space on its disk.",
        ) from exc


SQLITE_FILE = FileKind(suffixes=("-wal", "-shm", "-journal"), copy=copy_file)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=LOCK_WAIT_S, isolation_level=None
    )
