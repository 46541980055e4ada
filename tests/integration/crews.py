"""What it takes to carry out whole loads: an observer, a load, and a look at its processes."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import psutil

from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load, Outcome, Tick
from benchgate.domain.templates import QueryShare
from tests.integration.databases import NUMBERS, Database
from tests.integration.servers import PostgresServer

# Between operations, so that a load leaves the machine to the tests beside it.
THINK_MS = 2


class Ear:
    """An observer that keeps what it hears, and can act on a tick."""

    def __init__(self, on_tick: Callable[[Tick], Awaitable[None]] | None = None) -> None:
        self.heard: list[str] = []
        self.ticks: list[Tick] = []
        self._on_tick = on_tick

    async def ready(self) -> None:
        self.heard.append("ready")

    async def ticked(self, tick: Tick) -> None:
        self.ticks.append(tick)
        if self._on_tick is not None:
            await self._on_tick(tick)

    async def draining(self) -> None:
        self.heard.append("draining")


def load_of(
    target: Target,
    workload: Sequence[QueryShare],
    *,
    warmup_s: int = 0,
    duration_s: int = 1,
    **changes: Any,
) -> Load:
    """A load over four connections, but for *changes*."""
    usual = Load(
        run_id=f"run-{target.table_name}",
        target=target,
        workload=tuple(workload),
        connections=4,
        connections_at_start=4,
        think_time_ms=THINK_MS,
        warmup_seconds=warmup_s,
        duration_seconds=duration_s,
        seed=7,
    )
    return usual.model_copy(update=changes)


async def carry_out(
    load: Load, ear: Ear, stop: anyio.Event | None = None, *, is_alone: bool = True
) -> Outcome:
    """What *load* came to; being alone, it has left no worker."""
    with anyio.fail_after(60):
        outcome = await drive(load, stop=stop or anyio.Event(), observer=ear)
    assert not is_alone or workers() == [], "a worker outlived its load"
    return outcome


def workers() -> list[psutil.Process]:
    """The worker processes of this process."""
    return workers_of(os.getpid())


def workers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return runs(process) and any("engine.worker" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def make_items(database: Database | PostgresServer, table: str = "items") -> None:
    database.sql(
        f"DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {table} (id integer PRIMARY KEY, label text)",
        f"{NUMBERS} INSERT INTO {table} SELECT i, 'item ' || i FROM n",
    )
