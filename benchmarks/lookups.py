"""Point lookups on PostgreSQL through the load engine, beside pgbench on the same server.

Both send the same prepared statement over as many connections, in turns of a few seconds: a round
is pgbench, the engine, pgbench again. The engine is compared with both neighbours, and the second
pgbench with the first is the control: what differs there is the machine.
"""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, quantiles

import anyio

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.load import Load, Tick
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchmarks.table import Row
from demo import postgres
from demo.postgres import LOOPBACK, USERNAME, PostgresServer

ROUNDS = 7
SECONDS = 3
CONNECTIONS = 8
BAR = 0.45
DATABASE = "postgres"
TABLE = "pgbench_accounts"
STATEMENT = "SELECT abalance FROM {table} WHERE aid = $1"  # what pgbench -S sends
PEER = ("-n", "-S", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(SECONDS))


class Deaf:
    """An observer that is not interested."""

    async def ready(self) -> None:
        """The workers are connected."""

    async def ticked(self, tick: Tick) -> None:
        """A second has passed."""

    async def draining(self) -> None:
        """The time is over."""


async def rows() -> list[Row]:
    """The ratio to pgbench with its quartiles, and the control."""
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as folder:
        async with postgres.running(Path(folder, "postgres")) as server:
            await _pgbench(server, "-i", "-q")
            rounds = [await _round(server, number) for number in range(ROUNDS)]
    ratios = [ours / mean((before, after)) for before, ours, after in rounds]
    low, _, high = quantiles(ratios, n=4)
    return [
        Row(
            name="lookups/s, pgbench",
            measured=median(before for before, _, _ in rounds),
            bar=None,
            unit="/s",
        ),
        Row(
            name="lookups/s, to pgbench",
            measured=median(ratios),
            bar=BAR,
            unit="x",
            is_floor=True,
        ),
        Row(name="  lower quartile", measured=low, bar=None, unit="x"),
        Row(name="  upper quartile", measured=high, bar=None, unit="x"),
        Row(
            name="  control: pgbench to itself",
            measured=median(after / before for before, _, after in rounds),
            bar=None,
            unit="x",
        ),
    ]


async def _round(server: PostgresServer, number: int) -> Sequence[float]:
    before = _rate(await _pgbench(server, *PEER))
    ours = await _engine(server, number)
    return before, ours, _rate(await _pgbench(server, *PEER))


async def _engine(server: PostgresServer, number: int) -> float:
    lookup = QueryShare(kind=QueryKind.POINT_LOOKUP, share_pct=100, writes=False, sql=STATEMENT)
    load = Load(
        run_id=f"lookups-{number}",
        target=_target(server),
        workload=(lookup,),
        connections=CONNECTIONS,
        think_time_ms=0,
        warmup_seconds=1,
        duration_seconds=SECONDS,
        seed=number,
    )
    outcome = await drive(load, stop=anyio.Event(), observer=Deaf())
    assert outcome.failure is None, outcome.failure
    assert outcome.summary is not None
    assert outcome.summary.error_rate == 0
    return outcome.summary.average_qps


def _target(server: PostgresServer) -> Target:
    return Target(
        table_type=TableType.POSTGRES,
        database=DATABASE,
        table_name=TABLE,
        connection=ConnectionReference(
            host=LOOPBACK, port=server.port, username=USERNAME, passfile=str(server.passfile)
        ),
    )


async def _pgbench(server: PostgresServer, *arguments: str) -> str:
    command = [str(server.psql.with_name("pgbench")), *arguments]
    command += ["-h", LOOPBACK, "-p", str(server.port), "-U", USERNAME, DATABASE]
    done = await anyio.run_process(command, env={"PGPASSFILE": str(server.passfile)})
    return done.stdout.decode()


def _rate(report: str) -> float:
    """Transactions per second, as pgbench reports them."""
    match = re.search(r"^tps = ([0-9.]+)", report, re.MULTILINE)
    assert match is not None, report
    return float(match[1])
