"""What it costs the load to be recorded and reported, by slots that alternate in one process.

The driver loads PostgreSQL from a thread of this process, as it does in a worker. In every second
slot what it has collected is counted every few milliseconds, put into histograms and written as a
report at the end, all as a worker does it, but twice as often; in the slots between, the lists are
emptied and nothing else. A slot in which is counted is compared with its two neighbours.

Included is therefore all that a worker does on its event loop, with the interpreter's lock taken
from the driver for it. Not included is what the driver itself does in all slots: two looks at the
clock for each operation, and appending to two lists, which is measured on its own in a bare loop.
The merging of the reports happens once a second in another process and is not included either.
"""

import os
import sys
import timeit
from pathlib import Path
from statistics import mean, median, quantiles
from time import perf_counter_ns
from typing import BinaryIO, NamedTuple

import anyio

from benchgate.backend.drivers.postgres.driver import PostgresDriver
from benchgate.backend.engine.assignments import assignments
from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.messages import Report, line_of
from benchgate.backend.engine.tally import Tally
from benchgate.backend.engine.work import FOLD_SOONEST_S, NS_PER_S
from benchgate.backend.engine.worker import SWITCH_INTERVAL_S
from benchgate.domain.templates import QueryKind
from benchmarks import ground
from benchmarks.ground import Course, rows_on_a_server
from benchmarks.table import Row
from demo.postgres import PostgresServer

COUNTING_SLOTS = 40
SLOT_SECONDS = 0.5
SETTLE_SECONDS = 2
BAR_PCT = 5
APPENDS_PER_OPERATION = 2  # in a closed loop: its service time and its rows
APPENDS = 1_000_000


class Slots:
    """The slots of one load, each of which says how many operations per second it has seen."""

    def __init__(self, tally: Tally, out: BinaryIO) -> None:
        """Empty *tally*, and write reports to *out*."""
        self._tally = tally
        self._meter = tally.meter(QueryKind.POINT_LOOKUP)
        self._out = out

    async def bare(self) -> float:
        """A slot in which nothing is counted."""
        began_ns, before = perf_counter_ns(), self._collected
        dropped = 0
        while await self._time_is_left(began_ns):
            dropped += self._drop()
        # As counting does in its last step, so that it finds nothing from before.
        dropped += self._drop()
        seconds, left = (perf_counter_ns() - began_ns) / NS_PER_S, self._collected
        return (dropped + left - before) / seconds

    async def counting(self) -> float:
        """A slot in which everything is counted and reported."""
        began_ns, before = perf_counter_ns(), self._collected
        while await self._time_is_left(began_ns):
            self._tally.fold()
        report = self._report(perf_counter_ns() - began_ns)
        # To take and to write belong to the slot, so its time ends after them.
        seconds, left = (perf_counter_ns() - began_ns) / NS_PER_S, self._collected
        counted = sum(LatencyHistogram(kind.service).count for kind in report.kinds)
        return (counted + left - before) / seconds

    @property
    def _collected(self) -> int:
        return len(self._meter.service_ns)

    def _drop(self) -> int:
        count = self._collected
        del self._meter.service_ns[:count]
        del self._meter.rows[:count]
        return count

    def _report(self, interval_ns: int) -> Report:
        counted = self._tally.take()
        report = Report(second=1, is_measured=True, interval_ns=interval_ns, **dict(counted))
        self._out.write(line_of(report))
        self._out.flush()
        return report

    async def _time_is_left(self, began_ns: int) -> bool:
        """Wait for a moment; whether the slot goes on after it."""
        left_s = SLOT_SECONDS - (perf_counter_ns() - began_ns) / NS_PER_S
        await anyio.sleep(min(max(left_s, 0), FOLD_SOONEST_S))
        return left_s > FOLD_SOONEST_S


class Trial(NamedTuple):
    """Operations per second: *bare* has one slot more, as each counting one lies between two."""

    bare: list[float]
    counting: list[float]

    @property
    def lost_pct(self) -> list[float]:
        """Of each counting slot, what it lacks beside its neighbours."""
        return [
            100 * (1 - rate / mean(self.bare[number : number + 2]))
            for number, rate in enumerate(self.counting)
        ]


async def rows() -> list[Row]:
    """The share of throughput that is lost, with its quartiles."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        return await rows_on_a_server(_measured)
    finally:
        sys.setswitchinterval(interval_s)


async def _measured(server: PostgresServer) -> list[Row]:
    trial = await _trial(server)
    rate = median(trial.bare)
    low, middle, high = quantiles(trial.lost_pct, n=4)
    appending_pct = 100 * rate * APPENDS_PER_OPERATION * _append_s()
    return [
        Row(name="lookups/s of one process, nothing counted", measured=rate, bar=None, unit="/s"),
        Row(name="what recording and reporting take of it", measured=middle, bar=BAR_PCT, unit="%"),
        Row(name="  lower quartile", measured=low, bar=None, unit="%"),
        Row(name="  upper quartile", measured=high, bar=None, unit="%"),
        Row(name="  appending, beside that", measured=appending_pct, bar=None, unit="%"),
    ]


async def _trial(server: PostgresServer) -> Trial:
    load = ground.lookups(server, "recording", seconds=1)
    (assignment,) = assignments(load, 1)
    tally, course = Tally(), Course(load.connections)
    trial = Trial([], [])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(PostgresDriver().drive, assignment, tally, course)
        await course.has_begun.wait()
        try:
            with _nowhere() as nowhere:
                await _fill(trial, Slots(tally, nowhere))
        finally:
            course.stopped.set()
    failures = tally.take().failures
    assert not failures, failures
    return trial


async def _fill(trial: Trial, slots: Slots) -> None:
    """Take all slots of *trial*; the first counting one, which is not kept, warms up."""
    await anyio.sleep(SETTLE_SECONDS)
    await slots.counting()
    trial.bare.append(await slots.bare())
    for _ in range(COUNTING_SLOTS):
        trial.counting.append(await slots.counting())
        trial.bare.append(await slots.bare())


def _nowhere() -> BinaryIO:
    return Path(os.devnull).open("wb")


def _append_s() -> float:
    """How long one append takes, the loop around it left out."""
    looped_s = min(timeit.repeat("pass", number=APPENDS))
    appended_s = min(timeit.repeat("note(1)", "note = [].append", number=APPENDS))
    return (appended_s - looped_s) / APPENDS
