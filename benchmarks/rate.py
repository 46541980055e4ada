"""An open loop at a fixed rate, beside `pgbench -R` on the same server.

The latency in pgbench's log begins at the scheduled start of a transaction, and so is what we call
its response time; without the `schedule_lag` that it contains it is the service time. Both send at
random (Poisson) times over as many connections, one after the other, and the first second of each
is left out. A pair is one run of each, and the medians over the pairs are compared.

Where it may, the thread that keeps the schedule goes before others by a real-time priority, which
pgbench's does not. So each pair is followed, or led, by two other runs: ours by workers that may
not, and pgbench with that priority, where we may give it.

Where the machine itself is slowed down from outside for more than a hundredth of the time, every
99th percentile tells of that. So it is told for how much of the time, measured between the pairs,
and how both fare in the calmest quarter of their seconds, at its end.

What is delivered is compared with the schedule and not with the rate, at even and at random
spacing: operations that were answered in the measurement, to starts that were due in it.
"""

import os
import resource
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchgate.backend.engine.load import Load, Schedule, Tick
from benchgate.backend.engine.process import ThisMachine
from benchgate.domain.findings import ScheduleFigures
from benchgate.domain.objectives import LatencyFigures
from benchgate.domain.runs import Phase
from benchgate.domain.templates import Spacing
from benchmarks import ground
from benchmarks.ground import (
    PEER,
    WARMUP_SECONDS,
    Deaf,
    Measured,
    Unprivileged,
    rows_on_a_server,
)
from benchmarks.steadiness import slow_pct
from benchmarks.table import Row, percentile
from demo.postgres import PostgresServer

RATE_PER_S = 2_000
FAST_PER_S = 10_000
PAIRS = 5
PAIR_SECONDS = 20
DELIVERY_SECONDS = 30
P50_BAR_MS = 0.08
P99_BAR_MS = 0.15
P99_BAR_PCT = 25
DELIVERED_BAR_PCT = 0.1
LAG_BAR_MS = 0.5
CPU_BAR_CORES = 0.25
CALM_PCT = 25
RAISED = ("chrt", "--rr", "1")
US_PER_MS = 1_000
US_PER_S = 1_000_000


class Latency(NamedTuple):
    """Two percentiles, in milliseconds."""

    p50_ms: float
    p99_ms: float


class Side(NamedTuple):
    """One run of a pair."""

    response: Latency
    service: Latency
    lag: Latency
    cores: float
    real_time_pct: float  # of its time with such a priority
    calm_ms: float  # the response time p99 of the second at the first quartile


class Pair(NamedTuple):
    """One run of each kind, one after the other."""

    ours: Side
    theirs: Side
    ours_as_usual: Side  # without a real-time priority
    theirs_raised: Side  # with one


class Transaction(NamedTuple):
    """A line of pgbench's log."""

    ended_us: int  # since 1970
    response_us: int
    lag_us: int


class Seconds(Deaf):
    """An observer that keeps the response time p99 of each second of the measurement."""

    def __init__(self) -> None:
        self.p99s_ms: list[float] = []

    async def ticked(self, tick: Tick) -> None:
        """A second has passed."""
        p99_ms = tick.metrics.p99_latency_ms
        if tick.phase is Phase.MEASUREMENT and p99_ms is not None:
            self.p99s_ms.append(p99_ms)


async def rows() -> list[Row]:
    """The differences to pgbench, lag and cost of the pacing, and what was delivered."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    pairs: list[Pair] = []
    slowed_pct = [slow_pct()]
    for number in range(PAIRS):
        pairs.append(await _pair(server, number))
        slowed_pct.append(slow_pct())
    delivered: list[Row] = []
    for rate_per_s in (RATE_PER_S, FAST_PER_S):
        for spacing in Spacing:
            delivered += await _delivery(server, rate_per_s, spacing=spacing)
    return [
        *_compared("response time", pairs, lambda side: side.response),
        *_compared("service time", pairs, lambda side: side.service),
        *_paced(pairs),
        *_on_other_terms(pairs),
        *_calm(pairs, slowed_pct),
        *delivered,
    ]


async def _pair(server: PostgresServer, number: int) -> Pair:
    """The order changes from pair to pair, so that none is always the first."""
    measure = {
        "ours": partial(_ours, server, number, place=ThisMachine()),
        "theirs": partial(_theirs, server),
        "ours_as_usual": partial(_ours, server, number, place=Unprivileged()),
        "theirs_raised": partial(_theirs, server, raised=True),
    }
    names = [*measure][:: -1 if number % 2 else 1]
    first = number % len(names)
    order = names[first:] + names[:first]
    return Pair(**{name: await measure[name]() for name in order})


async def _ours(server: PostgresServer, number: int, *, place: ThisMachine) -> Side:
    seconds = Seconds()
    schedule = Schedule(rate_per_s=RATE_PER_S)
    load = _at_rate(server, f"rate-{number}", schedule, seconds=PAIR_SECONDS)
    measured = await ground.carried_out(load, seconds, place)
    response = measured.figures.response
    assert response is not None
    kept = _schedule(measured)
    return Side(
        _latency(response),
        _latency(measured.figures.service),
        Latency(kept.lag_p50_ms or 0, kept.lag_p99_ms or 0),
        (measured.findings.generator.workers_cpu_pct or 0) / 100,
        measured.findings.generator.real_time_pct or 0,
        percentile(seconds.p99s_ms, CALM_PCT),
    )


async def _theirs(server: PostgresServer, *, raised: bool = False) -> Side:
    seconds = WARMUP_SECONDS + PAIR_SECONDS
    by = RAISED if raised and os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as folder:
        throttled = ["-R", str(RATE_PER_S), "--log", f"--log-prefix={folder}/transactions"]
        before_s = _child_cpu_s()
        await ground.pgbench(server, *PEER, "-T", str(seconds), *throttled, by=by)
        cores = (_child_cpu_s() - before_s) / seconds
        log = _transactions(Path(folder))
    first_us = min(each.ended_us for each in log) + WARMUP_SECONDS * US_PER_S
    counted = [each for each in log if each.ended_us >= first_us]
    return Side(
        _latency_of([each.response_us for each in counted]),
        _latency_of([each.response_us - each.lag_us for each in counted]),
        _latency_of([each.lag_us for each in counted]),
        cores,
        100 if by else 0,
        _calm_ms(counted, first_us),
    )


def _calm_ms(counted: Sequence[Transaction], first_us: int) -> float:
    seconds: dict[int, list[int]] = defaultdict(list)
    for each in counted:
        seconds[(each.ended_us - first_us) // US_PER_S].append(each.response_us)
    p99s_us = [percentile(second, 99) for second in seconds.values()]
    return percentile(p99s_us, CALM_PCT) / US_PER_MS


def _transactions(folder: Path) -> list[Transaction]:
    """What pgbench has logged in *folder*, in a file for each of its threads.

    The columns are client, transaction number, latency (µs), script, the end in seconds and its
    microseconds, and with a rate the schedule lag (µs). One that failed has a word for a latency.
    """
    found: list[Transaction] = []
    lines = (line for path in folder.iterdir() for line in path.read_text("ascii").splitlines())
    for line in lines:
        _, _, latency, _, end_s, end_us, lag = line.split()
        found.append(Transaction(int(end_s) * US_PER_S + int(end_us), int(latency), int(lag)))
    return found


def _child_cpu_s() -> float:
    """The CPU time of the processes that we have started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _at_rate(server: PostgresServer, run_id: str, schedule: Schedule, *, seconds: int) -> Load:
    """At the rate of *schedule*, from as many workers as the engine takes for it."""
    paced = {"schedule": schedule, "workers_min": 1, "workers_max": None}
    return ground.lookups(server, run_id, seconds=seconds).model_copy(update=paced)


def _schedule(measured: Measured) -> ScheduleFigures:
    assert measured.findings.schedule is not None
    return measured.findings.schedule


def _latency(figures: LatencyFigures) -> Latency:
    assert figures.p50_ms is not None
    assert figures.p99_ms is not None
    return Latency(figures.p50_ms, figures.p99_ms)


def _latency_of(times_us: Sequence[int]) -> Latency:
    return Latency(percentile(times_us, 50) / US_PER_MS, percentile(times_us, 99) / US_PER_MS)


def _compared(what: str, pairs: Sequence[Pair], of: Callable[[Side], Latency]) -> list[Row]:
    ours, theirs = [of(pair.ours) for pair in pairs], [of(pair.theirs) for pair in pairs]
    p50s_ms = [(our.p50_ms, their.p50_ms) for our, their in zip(ours, theirs, strict=True)]
    p99s_ms = [(our.p99_ms, their.p99_ms) for our, their in zip(ours, theirs, strict=True)]
    allowed_ms = P99_BAR_MS + median(their for _, their in p99s_ms) * P99_BAR_PCT / 100
    return [
        *_difference(f"{what} at {RATE_PER_S:,}/s, p50", p50s_ms, P50_BAR_MS),
        *_difference(f"{what} at {RATE_PER_S:,}/s, p99", p99s_ms, allowed_ms),
    ]


def _difference(what: str, pairs_ms: Sequence[tuple[float, float]], bar_ms: float) -> list[Row]:
    """How far the engine is from pgbench, in either direction."""
    figures = (
        (f"{what}, off pgbench's", median(abs(our - their) for our, their in pairs_ms), bar_ms),
        ("  ours", median(our for our, _ in pairs_ms), None),
        ("  pgbench's", median(their for _, their in pairs_ms), None),
    )
    return [
        Row(name=name, measured=value, bar=bar, unit="ms", decimals=3)
        for name, value, bar in figures
    ]


def _paced(pairs: Sequence[Pair]) -> list[Row]:
    figures = (
        ("schedule lag, p99", [pair.ours.lag.p99_ms for pair in pairs], LAG_BAR_MS, "ms"),
        ("  p50", [pair.ours.lag.p50_ms for pair in pairs], None, "ms"),
        ("  pgbench's, p99", [pair.theirs.lag.p99_ms for pair in pairs], None, "ms"),
        ("  pgbench's, p50", [pair.theirs.lag.p50_ms for pair in pairs], None, "ms"),
        ("CPU of the generator", [pair.ours.cores for pair in pairs], CPU_BAR_CORES, "cores"),
        ("  pgbench's", [pair.theirs.cores for pair in pairs], None, "cores"),
    )
    return [
        Row(name=name, measured=median(values), bar=bar, unit=unit, decimals=3)
        for name, values, bar, unit in figures
    ]


def _on_other_terms(pairs: Sequence[Pair]) -> list[Row]:
    """What each would have come to with the other's priority."""
    ours, theirs = [pair.ours_as_usual for pair in pairs], [pair.theirs_raised for pair in pairs]
    pgbench_ms = median(pair.theirs.response.p99_ms for pair in pairs)
    allowed_ms = pgbench_ms * (1 + P99_BAR_PCT / 100) + P99_BAR_MS
    figures = (
        ("time with a real-time priority", [pair.ours.real_time_pct for pair in pairs], None, "%"),
        ("without: schedule lag, p99", [side.lag.p99_ms for side in ours], LAG_BAR_MS, "ms"),
        ("  response time, p99", [side.response.p99_ms for side in ours], allowed_ms, "ms"),
        ("  service time, p99", [side.service.p99_ms for side in ours], None, "ms"),
        ("  time with a real-time priority", [side.real_time_pct for side in ours], None, "%"),
        ("pgbench with one: schedule lag, p99", [side.lag.p99_ms for side in theirs], None, "ms"),
        ("  response time, p99", [side.response.p99_ms for side in theirs], None, "ms"),
    )
    return [
        Row(name=name, measured=median(values), bar=bar, unit=unit, decimals=3)
        for name, values, bar, unit in figures
    ]


def _calm(pairs: Sequence[Pair], slowed_pct: Sequence[float]) -> list[Row]:
    ours = median(pair.ours.calm_ms for pair in pairs)
    theirs = median(pair.theirs.calm_ms for pair in pairs)
    return [
        Row(
            name="the machine at less than a quarter of its speed, of the time",
            measured=median(slowed_pct),
            bar=None,
            unit="%",
            decimals=1,
        ),
        Row(
            name="response time in calm seconds, p99",
            measured=ours,
            bar=None,
            unit="ms",
            decimals=3,
        ),
        Row(name="  pgbench's", measured=theirs, bar=None, unit="ms", decimals=3),
    ]


async def _delivery(server: PostgresServer, rate_per_s: int, *, spacing: Spacing) -> list[Row]:
    wanted = Schedule(rate_per_s=rate_per_s, spacing=spacing)
    run_id = f"delivery-{rate_per_s}-{spacing}"
    load = _at_rate(server, run_id, wanted, seconds=DELIVERY_SECONDS)
    measured = await ground.carried_out(load)
    schedule, answered = _schedule(measured), measured.summary.total_queries
    off_pct = 100 * abs(answered - schedule.scheduled) / schedule.scheduled
    return [
        Row(
            name=f"delivered off scheduled, {rate_per_s:,}/s {spacing}",
            measured=off_pct,
            bar=DELIVERED_BAR_PCT,
            unit="%",
            decimals=3,
        ),
        Row(
            name="  schedule lag, p99",
            measured=schedule.lag_p99_ms or 0,
            bar=None,
            unit="ms",
            decimals=3,
        ),
    ]
