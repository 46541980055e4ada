"""The places where workers run, with one face for the tests, and the load that is carried out."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.cluster.place import connected
from benchgate.backend.engine.load import Load, Tick
from benchgate.backend.engine.process import ThisMachine
from benchgate.backend.engine.workplace import Workplace
from benchgate.domain.templates import TableType, WorkerLoss
from tests.integration.databases import only
from tests.integration.scripted import DRIVERS, LOOKUP

ROOT = Path(__file__).parents[2]
# Where workers find benchgate and the scripted driver.
PATHS = os.pathsep.join([str(ROOT / "server"), str(ROOT)])
NODES_END_S = 20

OnTick = Callable[[Tick], Awaitable[None]]


class Ear:
    """An observer that keeps what it hears, and can act on a tick."""

    def __init__(self, on_tick: OnTick | None = None) -> None:
        self.ticks: list[Tick] = []
        self._on_tick = on_tick

    async def ready(self) -> None: ...

    async def ticked(self, tick: Tick) -> None:
        self.ticks.append(tick)
        if self._on_tick is not None:
            await self._on_tick(tick)

    async def draining(self) -> None: ...


class Site(Protocol):
    """A kind of workplace; it is this machine where there is no address."""

    address: str

    def make_ready(self) -> None: ...


@asynccontextmanager
async def opened(address: str) -> AsyncGenerator[Workplace]:
    """The place of a site with that address, where workers take the scripted driver."""
    if address:
        async with connected(address, drivers=DRIVERS) as cluster:
            yield cluster
    else:
        yield ThisMachine(DRIVERS)


class Here:
    """This machine."""

    address = ""

    def make_ready(self) -> None: ...


class Nodes:
    """A Ray cluster of two nodes, each with room for one worker."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._answer()
        self._is_whole = True

    def lose(self) -> str:
        """Take the second node away; its address."""
        self._is_whole = False
        return self._ask("lose")

    def make_ready(self) -> None:
        """Have both nodes, whatever the test before has done."""
        if not self._is_whole:
            self._ask("join")
            self._is_whole = True

    def _ask(self, order: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, "the cluster has ended"
        return answer


@contextmanager
def running_nodes(folder: Path) -> Generator[Nodes]:
    """A cluster that is gone on leaving; what it complains of is in *folder*."""
    environment = {**os.environ, "PYTHONPATH": PATHS, "RAY_USAGE_STATS_ENABLED": "0"}  # noqa: TID251
    with (folder / "ray.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.ray_nodes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        try:
            yield Nodes(process)
        finally:
            process.communicate(timeout=NODES_END_S)


def load_in(
    folder: Path, *, duration_s: int = 1, warmup_s: int = 1, loss: WorkerLoss = WorkerLoss.FAIL
) -> Load:
    """A load of two workers with two connections each, which leave their notes in *folder*."""
    return Load(
        run_id="run-1",
        target=Target(table_type=TableType.POSTGRES, database=str(folder), table_name="t"),
        workload=only(LOOKUP),
        connections=4,
        connections_at_start=4,
        workers_min=2,
        workers_max=2,
        warmup_seconds=warmup_s,
        duration_seconds=duration_s,
        seed=7,
        worker_loss=loss,
    )
