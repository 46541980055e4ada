"""How late an open loop starts where there is no timer file, beside one where there is.

The portable waits of the PostgreSQL driver are a `select` with a timeout. They are measured on this
system, in turns with its own: elsewhere they are as precise as the system that they run on.
"""

from collections.abc import Callable
from selectors import SelectSelector
from statistics import median

import anyio

from benchgate.backend.drivers.postgres import loop
from benchgate.backend.drivers.postgres.driver import PostgresDriver
from benchgate.backend.drivers.postgres.waits import PlainWaits, Waits, new_waits
from benchgate.backend.engine.assignments import assignments
from benchgate.backend.engine.load import Schedule
from benchgate.backend.engine.tally import Tally
from benchgate.domain.templates import Spacing
from benchmarks import ground
from benchmarks.ground import Course, rows_on_a_server
from benchmarks.table import Row, percentile
from demo.postgres import PostgresServer

RATE_PER_S = 2_000
PAIRS = 5
SECONDS = 8
NS_PER_MS = 1_000_000


def plain_waits() -> Waits:
    """What other systems have."""
    return PlainWaits(SelectSelector())


async def rows() -> list[Row]:
    """The schedule lag of both."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    kinds: dict[str, Callable[[], Waits]] = {"portable": plain_waits, "this system's": new_waits}
    lags_ms: dict[str, list[list[float]]] = {name: [] for name in kinds}
    for _ in range(PAIRS):
        for name, waits in kinds.items():
            lags_ms[name].append(await _lags_ms(server, waits))
    return [
        Row(
            name=f"schedule lag with {name} waits, p{pct}",
            measured=median(percentile(run, pct) for run in runs),
            bar=None,
            unit="ms",
            decimals=3,
        )
        for name, runs in lags_ms.items()
        for pct in (50, 99)
    ]


async def _lags_ms(server: PostgresServer, waits: Callable[[], Waits]) -> list[float]:
    """From each start of the schedule to its sending, in one run with *waits*."""
    load = ground.lookups(server, "fallback", seconds=SECONDS)
    schedule = Schedule(rate_per_s=RATE_PER_S, spacing=Spacing.CONSTANT)
    (assignment,) = assignments(load.model_copy(update={"schedule": schedule}), 1)
    tally, course = Tally(), Course(load.connections)
    usual, loop.new_waits = loop.new_waits, waits
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(PostgresDriver().drive, assignment, tally, course)
            await course.has_begun.wait()
            await anyio.sleep(SECONDS)
            course.stopped.set()
    finally:
        loop.new_waits = usual
    return [lag_ns / NS_PER_MS for lag_ns in tally.lag_ns]
