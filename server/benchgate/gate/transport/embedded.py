"""Finds the user's embedded backend, or starts it; knows nothing of what it does.

Alive means: the address in the record answers an authenticated `/health` with the recorded
instance id. A process id or a file alone proves nothing. The backend itself holds a lock, so
several gates may start one at the same moment: one start wins and all find the same record.
"""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
from pydantic import ValidationError

from benchgate.domain.contract import Health
from benchgate.domain.rendezvous import (
    CONTRACT_VERSION,
    EXIT_ALREADY_RUNNING,
    LOG_FILE,
    RECORD_FILE,
    BackendRecord,
)
from benchgate.errors import BackendUnavailable

START_TIMEOUT_SECONDS = 20
HEALTH_TIMEOUT_SECONDS = 2
LOOK_INTERVAL_SECONDS = 0.1
LOG_BYTES_MAX = 5_000_000
# Still running, or gone because the start of another gate was faster: its backend will answer.
COMING_UP = (None, EXIT_ALREADY_RUNNING)


class EmbeddedBackend:
    """The one backend of this user, as its data folder tells of it."""

    def __init__(self, data_dir: Path, http: httpx.AsyncClient) -> None:
        """Look in *data_dir*; ask through *http*, which the caller owns."""
        self._data_dir = data_dir
        self._http = http
        self._starting = anyio.Lock()
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def log_file(self) -> Path:
        """Where the backend writes what went wrong."""
        return self._data_dir / LOG_FILE

    async def find(self) -> BackendRecord | None:
        """The backend that is alive now, if there is one.

        Raises:
            BackendUnavailable: one is alive, but of another version of benchgate.
        """
        record = await anyio.to_thread.run_sync(self._read)
        if record is None or not await self._answers(record):
            return None
        if record.contract_version != CONTRACT_VERSION:
            raise BackendUnavailable(
                "Another version of benchgate runs the embedded backend.",
                hint="Call `benchgate backend --restart` when no run is active.",
            )
        return record

    async def ensure(self) -> BackendRecord:
        """The backend that is alive, started if need be.

        Raises:
            BackendUnavailable: it did not come up in time; the message names its log.
        """
        async with self._starting:
            self._reap()
            if record := await self.find():
                return record
            process = await anyio.to_thread.run_sync(self._spawn)
            self._children.append(process)
            with anyio.move_on_after(START_TIMEOUT_SECONDS):
                while process.poll() in COMING_UP:
                    if record := await self.find():
                        return record
                    await anyio.sleep(LOOK_INTERVAL_SECONDS)
        code = process.poll()
        how = f"within {START_TIMEOUT_SECONDS} s" if code in COMING_UP else f"(exit code {code})"
        raise BackendUnavailable(
            f"The embedded backend did not come up {how}.",
            hint=f"Read the end of its log, {self.log_file}.",
        )

    def release(self) -> None:
        """Leave what was started to itself; it outlives this process and ends when idle."""
        self._reap()
        for process in self._children:
            # Nobody will wait for it, and Popen would complain about that.
            process.returncode = 0

    def _reap(self) -> None:
        self._children = [process for process in self._children if process.poll() is None]

    def _read(self) -> BackendRecord | None:
        try:
            text = (self._data_dir / RECORD_FILE).read_text(encoding="utf-8")
            return BackendRecord.model_validate_json(text)
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    async def _answers(self, record: BackendRecord) -> bool:
        try:
            response = await self._http.get(
                f"{record.url}/health",
                headers={"Authorization": f"Bearer {record.token.get_secret_value()}"},
                timeout=HEALTH_TIMEOUT_SECONDS,
            )
            health = Health.model_validate_json(response.content)
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError):
            return False
        return health.instance_id == record.instance_id

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start it detached: own session, no standard streams but the log file."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_MAX:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        command = [
            sys.executable,
            "-P",
            "-m",
            "benchgate",
            "backend",
            "--data-dir",
            str(self._data_dir),
        ]
        descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own program, our own arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data_dir,
                start_new_session=True,
            )
