"""Comparisons as clients bring them on, and what the backend's own record says about them."""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anyio
from anyio import to_thread
from mcp import Client
from mcp.types import ElicitResult

from benchgate.domain.approvals import Channel
from benchgate.domain.rendezvous import RECORD_FILE
from benchgate.gate.approvals.counter import Counter, Response
from benchgate.gate.approvals.desk import open_record
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.home import GateHome
from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.acceptance.home import POINT_LOOKUPS, Home
from tests.acceptance.person import Era, Person, call

QUICK = Pace(first_look_seconds=0.1, look_seconds=0.2, turn_seconds=0.1)
WAIT_SECONDS_MAX = 60
LOOK_SECONDS = 0.2
SEQUENTIAL, PAUSE = "A) sequential", "B) pause"

# A yes to the whole; the one without a choice means B.
YES_A = ElicitResult(action="accept", content={"decision": "yes", "mode": SEQUENTIAL})
YES_B = ElicitResult(action="accept", content={"decision": "yes", "mode": PAUSE})


def lodge(guest: Home, host: Home) -> Home:
    """*guest* with the backend of *host* as its own.

    So each test has a record in which nothing is left to drive, and no backend to wait for.
    """
    data_dir = guest.settings.data_dir
    data_dir.mkdir(parents=True)
    rendezvous = (host.settings.data_dir / RECORD_FILE).read_bytes()
    (data_dir / RECORD_FILE).write_bytes(rendezvous)
    return guest


@asynccontextmanager
async def quick_client_of(
    settings: Settings, era: Era, person: Person | None = None, *, pace: Pace = QUICK
) -> AsyncGenerator[Client]:
    """A client of a fresh server that looks after comparisons more often than people need."""
    async with (
        open_gate(settings, pace=pace) as server,
        Client(server, mode=era, elicitation_callback=person) as client,
    ):
        yield client


class Bench:
    """Three tests to compare, each on a table of its own, and their comparison."""

    def __init__(self, home: Home, *, seconds: int = 1, tests: int = 3) -> None:
        """Save their templates in *home*'s backend, each with *seconds* of load."""
        self.home = home
        self.seconds = seconds
        self.tables = [f"orders_{number}" for number in range(1, tests + 1)]
        connection = sqlite3.connect(home.database)
        with connection:
            for table in self.tables:
                connection.execute(
                    f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, customer TEXT NOT NULL)"
                )
                rows = [(number, f"customer {number}") for number in range(1, 101)]
                connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)
        connection.close()
        self.template_ids = [
            home.template(f"test {table}", table_name=table, duration=seconds)
            for table in self.tables
        ]
        self.comparison_id = ""

    async def plan(self, client: Client, **changes: object) -> str:
        """Make a comparison of them; returns its id."""
        wanted: dict[str, object] = {
            "template_ids": self.template_ids,
            "comparison_type": "table sizes",
            "variants": ["Small", "Medium", "Large"][: len(self.tables)],
        }
        created = await call(client, "create_comparison", **(wanted | changes))
        self.comparison_id = created["comparison_id"]
        return self.comparison_id

    async def start(self, client: Client) -> dict[str, Any]:
        return await call(client, "start_comparison", comparison_id=self.comparison_id)

    async def look(self, client: Client, *, wait_seconds: float = 0) -> dict[str, Any]:
        wanted = {"comparison_id": self.comparison_id, "wait_seconds": wait_seconds}
        return await call(client, "get_comparison", **wanted)

    async def results(self, client: Client) -> dict[str, Any]:
        return await call(client, "get_results", comparison_id=self.comparison_id)

    async def until(
        self, client: Client, wanted: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """How it stands once that is as *wanted*; the client does nothing but look."""
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while True:
                told = await self.look(client, wait_seconds=LOOK_SECONDS)
                if wanted(told):
                    return told
                await anyio.sleep(LOOK_SECONDS)

    async def until_state(self, client: Client, state: str) -> dict[str, Any]:
        """How it stands once it is *state* and nothing of it is under way."""
        return await self.until(
            client, lambda told: told["state"] == state and "run_id" not in told
        )

    def drop(self, number: int) -> None:
        """Take the table of a test away."""
        self._alter(f"ALTER TABLE {self.tables[number]} RENAME TO away_{number}")

    def repair(self, number: int) -> None:
        """Put it back."""
        self._alter(f"ALTER TABLE away_{number} RENAME TO {self.tables[number]}")

    def _alter(self, statement: str) -> None:
        connection = sqlite3.connect(self.home.database, timeout=10)
        with connection:
            connection.execute(statement)
        connection.close()

    def change(self, number: int, **changes: object) -> None:
        """Save another configuration of a test, as the owner of its template."""
        config = {
            **POINT_LOOKUPS,
            "database": str(self.home.database),
            "table_name": self.tables[number],
            "duration": self.seconds,
            **changes,
        }
        body = {"template_name": f"test {self.tables[number]}", "config": config}
        self.home.ask("PUT", f"/api/templates/{self.template_ids[number]}", body=body)

    def runs(self) -> list[dict[str, Any]]:
        """Every run of these tests that the backend knows, the oldest first."""
        rows: list[dict[str, Any]] = self.home.ask("GET", "/api/runs/?limit=100")
        return [row for row in reversed(rows) if row["template_id"] in self.template_ids]

    def statuses(self) -> list[tuple[int, str]]:
        """Of each of those runs the number of its test, and how it stands."""
        return [(self.template_ids.index(run["template_id"]), run["status"]) for run in self.runs()]

    async def until_runs(self, wanted: list[tuple[int, str]]) -> None:
        """Wait for the backend's record to say so; nobody calls a tool meanwhile."""
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while True:
                if await to_thread.run_sync(self.statuses) == wanted:
                    return
                await anyio.sleep(LOOK_SECONDS)

    def loads(self) -> list[Mapping[str, Any]]:
        """What the backend tells of every one of those runs that was ever started."""
        told = [self.home.ask("GET", f"/api/tests/{run['run_id']}/") for run in self.runs()]
        return sorted((one for one in told if one.get("started_at")), key=_started)

    def check_one_at_a_time(self) -> list[Mapping[str, Any]]:
        """Each load ended before the next one started, by the backend's own clock."""
        loads = self.loads()
        for before, behind in pairwise(loads):
            assert datetime.fromisoformat(before["ended_at"]) <= _started(behind)
        return loads


def _started(load: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(load["started_at"])


def says(home: Home, subject_id: str, *, decision: str = "yes", mode: str = "") -> None:
    """Somebody at a terminal of their own answers the question about a comparison or a run."""
    gate_home = GateHome(home.settings)
    record = open_record(gate_home)
    counter = Counter(record, Pin(gate_home), Channel.TERMINAL)
    now = datetime.now(UTC)
    try:
        newest = record.newest(subject_id, at=now)
        assert newest is not None, "nobody has been asked"
        counter.respond(newest.approval_id, Response(decision=decision, mode=mode), at=now)
    finally:
        record.close()
