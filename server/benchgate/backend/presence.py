"""How the one backend of a data folder makes itself known: a lock, a record and a port.

The lock is held as long as the process lives and is what makes it the only one. The record, which
its user alone can read, says where it listens and with which token. The port outlives both, so
that the next life listens where old links point.
"""

import contextlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from benchgate.domain.rendezvous import LOCK_FILE, RECORD_FILE, BackendRecord
from benchgate.errors import StoreError

PORT_FILE = "backend.port"
PORT_MAX = 65_535


class Presence:
    """The files by which a data folder's backend is found."""

    def __init__(self, data_dir: Path) -> None:
        """Look at *data_dir*, which may not exist yet."""
        self._data_dir = data_dir
        self._record_file = data_dir / RECORD_FILE
        self._port_file = data_dir / PORT_FILE

    @contextmanager
    def held(self, *, wait_seconds: float = 0) -> Generator[bool]:
        """Whether this process is the backend of the folder, which it then is inside.

        Raises:
            StoreError: the folder cannot be made or written.
        """
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self._data_dir / LOCK_FILE, mode=0o600)
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            yield False
            return
        except OSError as exc:
            raise StoreError(f"The data folder {self._data_dir} cannot be used: {exc}") from exc
        try:
            yield True
        finally:
            lock.release()

    def is_held(self) -> bool:
        """Whether a process is the backend of this folder just now."""
        if not self._data_dir.is_dir():
            return False
        with self.held() as is_ours:
            return not is_ours

    def announce(self, record: BackendRecord, *, port: int) -> None:
        """Tell where this backend is; whoever can read the record can use the backend."""
        _write(self._record_file, record.model_dump_json())
        _write(self._port_file, str(port))

    def withdraw(self, instance_id: str) -> None:
        """Take the record away if it still tells of this life, and leave another's alone."""
        record = self.record()
        if record is not None and record.instance_id == instance_id:
            with contextlib.suppress(OSError):
                self._record_file.unlink()

    def record(self) -> BackendRecord | None:
        """What the record says; None where there is none that can be read."""
        try:
            text = self._record_file.read_text(encoding="utf-8")
            return BackendRecord.model_validate_json(text)
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    def last_port(self) -> int | None:
        """Where the backend listened last, if that is known."""
        try:
            port = int(self._port_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return port if 0 < port <= PORT_MAX else None


def _write(path: Path, text: str) -> None:
    """Put *text* at *path* in one step, never readable by anyone else."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        draft.replace(path)
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc}") from exc
