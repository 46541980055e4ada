"""A server that stands still for a second in the middle of an open loop.

Somebody locks the table. The operations that are due meanwhile wait for a connection, and were
they not counted from their intended start, the second would not show: only those that were in
flight are slow in service, one for each connection, which is less than one in a hundred. Of those
that were due, the last hundredth of the whole run has waited for most of the lock.
"""

from time import monotonic, sleep

import anyio
from anyio import to_thread

from benchgate.backend.engine.load import Load, Schedule, Tick
from benchmarks import ground
from benchmarks.ground import TABLE, WARMUP_SECONDS, Deaf, Measured, rows_on_a_server
from benchmarks.table import Row
from demo.postgres import PostgresServer

RATE_PER_S = 500
SECONDS = 20
LOCK_AFTER_SECONDS = 10
LOCK_SECONDS = 1.0
RESPONSE_BAR_MS = 700
SERVICE_BAR_MS = 5
MS_PER_S = 1_000


class Waiting(Deaf):
    """An observer that gives the word when so many seconds have passed."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self.have_passed = anyio.Event()

    async def ticked(self, tick: Tick) -> None:
        """Look at the clock of the load."""
        if tick.elapsed_seconds >= self._seconds:
            self.have_passed.set()


async def rows() -> list[Row]:
    """What the stall has done to both kinds of latency."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    load = ground.lookups(server, "stall", seconds=SECONDS)
    load = load.model_copy(update={"schedule": Schedule(rate_per_s=RATE_PER_S)})
    measured, held_s = await _stalled(server, load)
    service, response = measured.figures.service, measured.figures.response
    assert response is not None
    figures = (
        (f"response p99 over a stall of {LOCK_SECONDS:g} s", response.p99_ms, RESPONSE_BAR_MS),
        ("service p99 over it", service.p99_ms, SERVICE_BAR_MS),
        ("  longest response", response.max_ms, None),
        ("  longest service", service.max_ms, None),
        ("  the lock was held", held_s * MS_PER_S, None),
    )
    return [
        Row(
            name=name,
            measured=value or 0,
            bar=bar,
            unit="ms",
            is_floor=bar == RESPONSE_BAR_MS,
            decimals=2,
        )
        for name, value, bar in figures
    ]


async def _stalled(server: PostgresServer, load: Load) -> tuple[Measured, float]:
    """What *load* comes to, and how long its table was locked."""
    observer = Waiting(WARMUP_SECONDS + LOCK_AFTER_SECONDS)
    measured: list[Measured] = []
    held_s: list[float] = []

    async def carry_out() -> None:
        measured.append(await ground.carried_out(load, observer))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(carry_out)
        await observer.have_passed.wait()
        held_s.append(await to_thread.run_sync(_lock, server))
    return measured[0], held_s[0]


def _lock(server: PostgresServer) -> float:
    """Keep everyone else from the table; for how long it was."""
    with ground.connected(server) as connection:
        connection.autocommit = False
        connection.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        began = monotonic()
        sleep(LOCK_SECONDS)
        connection.commit()
        return monotonic() - began
