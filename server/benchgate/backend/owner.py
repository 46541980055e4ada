"""Ends and starts a data folder's backend from outside, as its user does at a terminal.

It speaks to the backend as any client does, and believes that one has ended only when its lock is
free.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx

from benchgate.backend.presence import Presence
from benchgate.domain.rendezvous import LOG_FILE, BackendRecord
from benchgate.errors import BackendUnavailable, Conflict

RECORD_SECONDS_MAX = 5
REQUEST_SECONDS_MAX = 5
STOP_SECONDS_MAX = 15
START_SECONDS_MAX = 20
LOOK_INTERVAL_SECONDS = 0.05

Found = TypeVar("Found")


class Owner:
    """The user's hand on the backend of one data folder."""

    def __init__(self, data_dir: Path) -> None:
        """Reach for the backend of *data_dir*."""
        self._data_dir = data_dir
        self._presence = Presence(data_dir)

    def stop(self, *, force: bool) -> bool:
        """End the backend; answers whether there was one.

        Raises:
            Conflict: a run is active, and *force* is not set.
            BackendUnavailable: it does not answer, or does not end.
        """
        if not self._presence.is_held():
            return False
        record = _within(RECORD_SECONDS_MAX, self._presence.record)
        if record is None:
            raise BackendUnavailable(
                "The backend holds its lock, but does not say where it is.", hint=self._advice
            )
        self._ask_to_end(record, force=force)
        if not _within(STOP_SECONDS_MAX, lambda: not self._presence.is_held()):
            raise BackendUnavailable(
                f"The backend did not end within {STOP_SECONDS_MAX} s.", hint=self._advice
            )
        return True

    def start(self, *, host: str, port: int) -> str:
        """Start the backend detached, with this process's environment; answers its URL.

        Raises:
            BackendUnavailable: it did not come up.
        """
        before = self._presence.record()
        process = self._spawn(host=host, port=port)

        def look() -> BackendRecord | None:
            record = self._presence.record()
            return record if record != before or process.poll() is not None else None

        record = _within(START_SECONDS_MAX, look)
        if record is None or record == before:
            raise BackendUnavailable("The backend did not come up.", hint=self._advice)
        return record.url

    @property
    def _advice(self) -> str:
        return f"Read the end of its log, {self._data_dir / LOG_FILE}."

    def _ask_to_end(self, record: BackendRecord, *, force: bool) -> None:
        headers = {"Authorization": f"Bearer {record.token.get_secret_value()}"}
        try:
            with httpx.Client(trust_env=False, timeout=REQUEST_SECONDS_MAX) as http:
                answer = http.post(
                    f"{record.url}/api/shutdown", headers=headers, json={"force": force}
                )
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise BackendUnavailable(
                f"The backend at {record.url} does not answer.", hint=self._advice
            ) from exc
        if answer.status_code == Conflict.status:
            raise Conflict(
                "A run is active.",
                hint="Wait for its end, or stop it too with --force.",
            )
        if not answer.is_success:
            raise BackendUnavailable(
                f"The backend at {record.url} refused to end ({answer.status_code}).",
                hint=self._advice,
            )

    def _spawn(self, *, host: str, port: int) -> subprocess.Popen[bytes]:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # -P: nothing is imported from the folder that it is started in.
        command = [sys.executable, "-P", "-m", "benchgate", "backend"]
        with open(self._data_dir / LOG_FILE, "ab", opener=partial(os.open, mode=0o600)) as log:
            return subprocess.Popen(  # noqa: S603 - our own program, our own arguments
                [*command, "--data-dir", str(self._data_dir), "--host", host, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data_dir,
                start_new_session=True,
            )


def _within(seconds: float, look: Callable[[], Found | None]) -> Found | None:
    """What *look* finds as soon as it finds something; None when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(LOOK_INTERVAL_SECONDS)
    return found
