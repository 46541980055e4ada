"""A user's home with a real backend process in it, and a real table to load."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from benchgate.domain.rendezvous import RECORD_FILE, BackendRecord
from benchgate.settings import Settings

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10
ROWS = 2_000
# Between operations, so that the load leaves the machine to the test.
THINK_MS = 5

# Over one connection, because each of several would have a worker process of its own.
POINT_LOOKUPS: Mapping[str, Any] = {
    "table_type": "SQLITE",
    "schema": "main",
    "table_name": "orders",
    "custom_point_lookup_pct": 100,
    "concurrent_connections": 1,
    "duration": 1,
    "warmup": 0,
    "think_time": THINK_MS,
}


class Home:
    """One data folder, the backend that lives in it, and the person's own way to that backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "orders.db"

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder / "data", ask_wait_seconds=5)

    @property
    def record(self) -> BackendRecord:
        text = (self.settings.data_dir / RECORD_FILE).read_text(encoding="utf-8")
        return BackendRecord.model_validate_json(text)

    def ask(self, method: str, path: str, *, body: object = None) -> Any:
        """Call the backend as the person would, and return what it answers."""
        token = self.record.token.get_secret_value()
        response = httpx.request(
            method,
            self.record.url + path,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
            verify=False,  # to load certificates costs more than a request on loopback
        )
        assert response.is_success, response.text
        return response.json() if response.content else None

    def template(self, name: str = "", **changes: object) -> str:
        """Save a template of short point lookups, with *changes*; returns its id."""
        config = {**POINT_LOOKUPS, "database": str(self.database), **changes}
        body = {"template_name": name or f"lookups {uuid4().hex[:8]}", "config": config}
        return self.ask("POST", "/api/templates/", body=body)["template_id"]

    def status(self, run_id: str) -> str:
        return self.ask("GET", f"/api/runs/{run_id}/")["status"]


def fill(database: Path) -> None:
    """An orders table with a primary key and a few columns."""
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total REAL)"
        )
        rows = ((number, f"customer {number % 97}", number / 7) for number in range(1, ROWS + 1))
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    connection.close()


@contextmanager
def running_backend(home: Home) -> Generator[subprocess.Popen[bytes]]:
    """The embedded backend as a process of its own, ended by its id."""
    data_dir = home.settings.data_dir
    data_dir.mkdir(parents=True, exist_ok=True)
    with (home.folder / "backend-test.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchgate", "backend", "--data-dir", str(data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _await_record(home, process)
        yield process
    finally:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)


def _await_record(home: Home, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, (home.folder / "backend-test.log").read_text()
        try:
            home.ask("GET", "/health")
        except (OSError, json.JSONDecodeError, httpx.HTTPError):
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the backend did not come up")
