"""Point lookups on PostgreSQL through the load engine, beside pgbench and Locust.

All send the same prepared statement over as many connections, from two processes or threads, in
turns of a few seconds on one server. A round is pgbench, the engine, pgbench again: the engine is
compared with both neighbours, and the second pgbench with the first is the control: what differs
there is the machine. Then the engine and Locust take turns. The way to the server is TCP loopback
for all of them; over a Unix socket pgbench would gain more than a generator in Python.
"""

import re
import socket
import sys
from pathlib import Path
from signal import SIGKILL
from statistics import mean, median, quantiles
from subprocess import DEVNULL, PIPE
from typing import NamedTuple

import anyio
import psutil
from anyio.abc import Process
from pydantic import BaseModel

from benchmarks import ground
from benchmarks.ground import CONNECTIONS, PEER, WORKERS, rows_on_a_server
from benchmarks.scene import ROOT
from benchmarks.table import Row
from demo.postgres import LOOPBACK, PostgresServer

ROUNDS = 20
LOCUST_ROUNDS = 5
SECONDS = 2
LOCUST_SECONDS = 6
LOCUST_SECONDS_MAX = 60
BAR = 0.8
LOCUST_BAR = 2.5
LOCUST_FILE = Path(__file__).with_name("peers") / "locusts.py"


class Round(NamedTuple):
    """Lookups per second of one round."""

    before: float
    ours: float
    after: float

    @property
    def ratio(self) -> float:
        """The engine to its neighbours."""
        return self.ours / mean((self.before, self.after))

    @property
    def control(self) -> float:
        """What pgbench is to itself."""
        return self.after / self.before


class Told(BaseModel, frozen=True):
    """What Locust says at its end, in the words of our file for it."""

    failures: int
    requests_per_s: tuple[int, ...]


class Turns(NamedTuple):
    """Lookups per second of one turn of each."""

    ours: float
    locust: float


async def rows() -> list[Row]:
    """The ratios to pgbench with their quartiles and the control, and those to Locust."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    rounds = [await _round(server, number) for number in range(ROUNDS)]
    turns = [
        Turns(await _engine(server, ROUNDS + number), await _locust(server))
        for number in range(LOCUST_ROUNDS)
    ]
    rate = median(each.before for each in rounds)
    return [
        Row(name="lookups/s, pgbench", measured=rate, bar=None, unit="/s"),
        *_compared("lookups/s, to pgbench", [each.ratio for each in rounds], BAR),
        *_compared("  control: pgbench to itself", [each.control for each in rounds], None),
        Row(
            name="lookups/s, Locust with psycopg",
            measured=median(turn.locust for turn in turns),
            bar=None,
            unit="/s",
        ),
        *_compared("lookups/s, to Locust", [turn.ours / turn.locust for turn in turns], LOCUST_BAR),
    ]


def _compared(name: str, ratios: list[float], bar: float | None) -> list[Row]:
    low, _, high = quantiles(ratios, n=4)
    return [
        Row(name=name, measured=median(ratios), bar=bar, unit="x", is_floor=True),
        Row(name="  lower quartile", measured=low, bar=None, unit="x"),
        Row(name="  upper quartile", measured=high, bar=None, unit="x"),
    ]


async def _round(server: PostgresServer, number: int) -> Round:
    before = await _pgbench(server)
    ours = await _engine(server, number)
    return Round(before, ours, await _pgbench(server))


async def _engine(server: PostgresServer, number: int) -> float:
    load = ground.lookups(server, f"lookups-{number}", seconds=SECONDS)
    measured = await ground.carried_out(load.model_copy(update={"seed": number}))
    return measured.summary.average_qps


async def _pgbench(server: PostgresServer) -> float:
    """Transactions per second, as pgbench reports them."""
    report = await ground.pgbench(server, *PEER, "-T", str(SECONDS))
    match = re.search(r"^tps = ([0-9.]+)", report, re.MULTILINE)
    assert match is not None, report
    return float(match[1])


async def _locust(server: PostgresServer) -> float:
    """Requests per second, as Locust reports them."""
    port = str(_free_port())
    command = [sys.executable, "-m", "locust", "-f", str(LOCUST_FILE), "--headless"]
    command += ["-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "-t", f"{LOCUST_SECONDS}s"]
    # Its processes find each other on loopback; by itself it would listen everywhere.
    command += ["--processes", str(WORKERS), "--master-bind-host", LOOPBACK]
    command += ["--master-bind-port", port, "--master-host", LOOPBACK, "--master-port", port]
    command += ["--reset-stats", "--loglevel", "ERROR"]
    environment = ground.libpq_environment(server)
    process = await anyio.open_process(
        command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment, cwd=ROOT
    )
    try:
        with anyio.fail_after(LOCUST_SECONDS_MAX):
            assert process.stdout is not None
            said = b"".join([part async for part in process.stdout])
            await process.wait()
    finally:
        _end(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return _rate_of_locust(said.decode())


def _rate_of_locust(said: str) -> float:
    told = Told.model_validate_json(said)
    assert not told.failures, f"{told.failures} lookups of Locust have failed"
    # The first and the last second are none of full length.
    return mean(told.requests_per_s[1:-1])


def _end(process: Process) -> None:
    """End Locust with the processes that it has made, if it has not ended by itself."""
    if process.returncode is None:
        parent = psutil.Process(process.pid)
        for each in (*parent.children(recursive=True), parent):
            each.send_signal(SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
