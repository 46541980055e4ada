"""Scratch copies of a database that is one file, and what the file's place tells.

A copy lies beside its original, on the same disk. Its mark is a small file beside it, written
before the copy begins and removed after it, so that a copy that was cut off by a crash is known
as one too, and so that nothing else is ever removed.
"""

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint_if_cancelled

from benchgate.backend.drivers.port import NoCopy, Removal, Survey, Target
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError, NameTaken

INFIX = ".benchgate-"
STEM_CHARACTERS_MAX = 40
MARK_SUFFIX = ".mark"
MARK = "This marks {name} as a scratch copy that benchgate made, and removes after its run.\n"
ROOM_TO_SPARE = 1.1  # of the original's size; the load needs some as well

# Copies a file to a new one, and raises `Abandoned` soon after the event was set.
Copy = Callable[[Path, Path, threading.Event], None]


class Abandoned(Exception):
    """Whoever wanted the copy does not want it any more."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What has to be known of a database that is a file, to copy it and to remove the copy."""

    suffixes: Sequence[str]  # of the files that come to lie beside it
    copy: Copy


def path_of(target: Target) -> Path:
    """Where the file of *target* lies."""
    return Path(target.database).expanduser().absolute()


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which file lies at *path*; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def scratch_of(target: Target, run_id: str) -> Target:
    """The copy of the file of *target* for that run: hidden, and beside it."""
    path = path_of(target)
    # DuckDB takes a question mark for the beginning of something else than a name.
    stem = path.stem[:STEM_CHARACTERS_MAX].replace("?", "_")
    name = f".{stem}{INFIX}{run_id}{path.suffix}"
    update = {"database": str(path.with_name(name)), "copy_of": target.database}
    return target.model_copy(update=update)


def survey_of(target: Target, kind: FileKind) -> Survey:
    """What the place of a file tells; a copy takes as much as the file and its logs.

    Raises:
        DatabaseError: there is no such file.
    """
    path = path_of(target)
    try:
        size = path.stat().st_size
        free = shutil.disk_usage(path.parent).free
    except OSError as exc:
        raise DatabaseError(
            f"{one_line(target.database)}: {exc.strerror}", hint="Check the path of the file."
        ) from exc
    return Survey(
        is_on_this_machine=True,
        is_replica=False,
        table_bytes=size + sum(map(_size, _companions(path, kind))),
        disk_free_bytes=free,
        no_copy=None if os.access(path.parent, os.W_OK | os.X_OK) else NoCopy.FOLDER,
    )


async def make_copy(target: Target, scratch: Target, kind: FileKind) -> None:
    """Make *scratch*, a copy of the file of *target*, which must not be there.

    Raises:
        NameTaken: what bears its name, or that of its mark, is not ours.
        DatabaseError: it cannot be made; nothing of it is left then.
    """
    abandoned = threading.Event()

    async def heed_cancellation() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            abandoned.set()

    refusal: DatabaseError | None = None
    was_abandoned = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heed_cancellation)
        try:
            await anyio.to_thread.run_sync(_make, target, scratch, kind, abandoned)
        except DatabaseError as exc:
            refusal = exc  # A task group would wrap it.
        was_abandoned = abandoned.is_set()
        tasks.cancel_scope.cancel()
    if was_abandoned:
        await checkpoint_if_cancelled()
    if refusal is not None:
        raise refusal


async def drop_copy(scratch: Target, kind: FileKind) -> Removal:
    """Remove *scratch* and what lies beside it, if it bears our mark.

    Raises:
        DatabaseError: it cannot be removed.
    """
    return await anyio.to_thread.run_sync(_drop, scratch, kind)


async def folder_identity(target: Target) -> str | None:
    """Which folder the file of *target* lies in: a disk that is not mounted is another one."""
    found = await anyio.to_thread.run_sync(identity_of, path_of(target).parent)
    return None if found is None else "{}:{}".format(*found)


def _make(target: Target, scratch: Target, kind: FileKind, abandoned: threading.Event) -> None:
    source, path = path_of(target), path_of(scratch)
    _check_room(source, kind)
    try:
        with _mark_of(path).open("x", encoding="utf-8") as mark:
            mark.write(_marking(path))
        made = False
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, source.stat().st_mode))
            made = True
            kind.copy(source, path, abandoned)
        except BaseException:
            _remove(path, kind if made else None)
            raise
    except Abandoned:
        return
    except FileExistsError as exc:
        raise NameTaken(f"{one_line(str(exc.filename or path))} is there already.") from exc
    except OSError as exc:
        raise DatabaseError(
            f"{one_line(target.database)} cannot be copied: {exc.strerror}",
            hint="A scratch copy lies beside the file: check the folder's permissions.",
        ) from exc


def _check_room(source: Path, kind: FileKind) -> None:
    needed = int(ROOM_TO_SPARE * (_size(source) + sum(map(_size, _companions(source, kind)))))
    free = shutil.disk_usage(source.parent).free if source.parent.exists() else needed
    if free < needed:
        raise DatabaseError(
            f"A scratch copy needs {needed // 2**20} MB beside the file, and {free // 2**20} MB "
            "are free.",
            hint="Free some space, or load a smaller file.",
        )


def _drop(scratch: Target, kind: FileKind) -> Removal:
    path = path_of(scratch)
    # The mark is there before the copy, and after it.
    if not any(map(os.path.lexists, (path, _mark_of(path)))):
        return Removal.ABSENT
    if scratch.copy_of is None or not _is_marked(path):
        return Removal.UNMARKED
    try:
        _remove(path, kind)
    except OSError as exc:
        raise DatabaseError(
            f"The scratch copy {one_line(str(path))} cannot be removed: {exc.strerror}",
            hint="Remove it by hand, with the files beside it that begin with its name.",
        ) from exc
    return Removal.REMOVED


def _is_marked(path: Path) -> bool:
    try:
        return _mark_of(path).read_text(encoding="utf-8") == _marking(path)
    except (OSError, UnicodeDecodeError):
        return False


def _remove(path: Path, kind: FileKind | None) -> None:
    """Remove a copy and, last, its mark; without a kind the mark alone."""
    if kind is not None:
        for part in (path, *_companions(path, kind)):
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)
    _mark_of(path).unlink(missing_ok=True)


def _mark_of(path: Path) -> Path:
    return path.with_name(path.name + MARK_SUFFIX)


def _marking(path: Path) -> str:
    return MARK.format(name=path.name)


def _companions(path: Path, kind: FileKind) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in kind.suffixes]


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
