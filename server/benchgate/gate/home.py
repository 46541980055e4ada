"""Where the gate of one user keeps what is its own, and for how long it counts.

Looking changes nothing: the folder is made when something is first written there.
"""

import os
from datetime import timedelta
from pathlib import Path

from benchgate.domain.approvals import Lifetimes
from benchgate.settings import Settings

RECORD_FILE = "record.sqlite3"
KEY_FILE = "request-state.key"
PIN_FILE = "approvals.pin"


class GateHome:
    """The gate's files, and the settings that they follow from."""

    def __init__(self, settings: Settings) -> None:
        """Keep house as *settings* say."""
        self.settings = settings

    @property
    def lifetimes(self) -> Lifetimes:
        """How long questions and answers are good."""
        return Lifetimes(
            question=timedelta(seconds=self.settings.question_ttl_seconds),
            answer=timedelta(seconds=self.settings.approval_ttl_seconds),
        )

    @property
    def has_record(self) -> bool:
        """Whether there may be a record already; looks at the file system alone."""
        if self.settings.database_url is not None:
            return True
        # Unlike Path.exists this raises nothing for a folder that nobody may enter.
        return os.path.exists(self._path(RECORD_FILE))  # noqa: PTH110

    @property
    def key_file(self) -> Path:
        """The key under which questions are sealed while they are at a client."""
        return self._path(KEY_FILE)

    @property
    def pin_file(self) -> Path:
        """The hash of the PIN, if one is set."""
        return self._path(PIN_FILE)

    def record_url(self) -> str:
        """Where the record lies; folder and file are made if need be, for their user alone."""
        if self.settings.database_url is not None:
            return self.settings.database_url.get_secret_value()
        record = self.made() / RECORD_FILE
        # What SQLite makes beside it takes its rights from it.
        record.touch(mode=0o600)
        return f"sqlite:///{record.as_posix()}"

    def made(self) -> Path:
        """The data folder, which now exists; what is in it is its user's alone."""
        folder = self.settings.data_dir
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _path(self, name: str) -> Path:
        return self.settings.data_dir / name
