"""A scratch copy of a DuckDB file: byte by byte, with what its log holds."""

import shutil
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import duckdb

from benchgate.backend.drivers.copies import Abandoned, FileKind
from benchgate.backend.drivers.duckdb.file import LOG_SUFFIX, LOG_SUFFIXES, beside, connected
from benchgate.errors import DatabaseError

BYTES_AT_ONCE = 16 * 2**20
# The last is the folder of what did not fit into memory.
SUFFIXES = (*LOG_SUFFIXES, ".tmp")


def copy_file(source: Path, path: Path, abandoned: threading.Event) -> None:
    """Copy *source* and its log to *path*, while nobody can write to it.

    Raises:
        DatabaseError: another process writes to it, or it is no DuckDB file.
        OSError: it cannot be read, or the copy cannot be written.
        Abandoned: the event was set.
    """
    try:
        # A file that is open to be read, no process can open to write.
        # Closing any handle of it gives that lock up: all stay open to the end.
        with closing(connected(source, read_only=True)), ExitStack() as handles:
            for whole, place in (
                (source, path),
                (beside(source, LOG_SUFFIX), beside(path, LOG_SUFFIX)),
            ):
                if whole.exists():
                    _copy_bytes(handles.enter_context(whole.open("rb")), place, abandoned)
                    shutil.copymode(whole, place)
    except duckdb.Error as exc:
        raise DatabaseError(
            f"{source} cannot be copied: {exc}",
            hint="Close the programs that have the file open to write.",
        ) from exc


def _copy_bytes(original: BinaryIO, path: Path, abandoned: threading.Event) -> None:
    with path.open("wb") as copy:
        while chunk := original.read(BYTES_AT_ONCE):
            if abandoned.is_set():
                raise Abandoned
            copy.write(chunk)


DUCKDB_FILE = FileKind(suffixes=SUFFIXES, copy=copy_file)
