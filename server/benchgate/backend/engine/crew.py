"""Carries out a load with worker processes, from their start to the last of them gone.

The processes are apart from this one, so that serving a page never costs the load a millisecond.
They are started, told to begin together when all are ready, heard every second, and ended: told
to stop, given their time, and killed if they take longer. A worker that ends without having said
so makes the load something else than was asked for, and so a failure.
"""

import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter_ns

import anyio

from benchgate.backend.drivers.port import Assignment
from benchgate.backend.engine import member
from benchgate.backend.engine.ledger import DEAD_AFTER_S, Ledger, parted
from benchgate.backend.engine.load import Load, Observer, Outcome, Tick
from benchgate.backend.engine.member import Member
from benchgate.backend.engine.messages import Begin, Broken, Done, Go, Ready, Report, Stop
from benchgate.domain.runs import Phase
from benchgate.domain.values import Value

START_LIMIT_S = 60.0
REPORT_LIMIT_S = 15.0  # after the second that is reported
STOP_LIMIT_S = 3.0
# The instant of the common start lies so far ahead that the word of it reaches every worker.
LEAD_NS = 20_000_000
NS_PER_S = 1_000_000_000
NAME_CHARACTERS_MAX = 63  # PostgreSQL cuts off what is longer

log = logging.getLogger(__name__)


async def drive(load: Load, *, stop: anyio.Event, observer: Observer) -> Outcome:
    """Carry *load* out and tell *observer* how it goes; *stop* ends it before its time.

    It never raises for what a database or a worker does: the outcome says so.
    """
    async with _crew(load, stop) as crew:
        return await crew.carry_out(observer)


def application_name(run_id: str) -> str:
    """The name that every session of the run *run_id* carries in the database."""
    return f"benchgate {run_id}"[:NAME_CHARACTERS_MAX]


def workers_for(connections: int) -> int:
    """How many worker processes share so many connections."""
    return min(connections, _cores())


def _cores() -> int:
    # A container may use fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


class Crew:
    """The workers of one load, which all run at the same time and end together."""

    def __init__(self, load: Load, members: list[Member], stop: anyio.Event) -> None:
        """Lead *members* through *load* until its time is over or *stop* is set."""
        self._load = load
        self._members = members
        self._stop = stop
        self._changed = anyio.Condition()
        self._ledger = Ledger(
            workers=len(members), connections=load.connections, source=load.target.table_type
        )
        self._failure: str | None = None
        self._is_ending = False
        self._start_ns = 0
        self._elapsed_s = 0.0

    async def carry_out(self, observer: Observer) -> Outcome:
        """The whole course, from the assignments to the outcome."""
        for each, assignment in zip(self._members, _assignments(self._load), strict=False):
            await each.tell(Begin(assignment=assignment))
        if await self._become_ready():
            await observer.ready()
            await self._begin()
            await self._follow(observer)
            self._elapsed_s = (perf_counter_ns() - self._start_ns) / NS_PER_S
            self._is_ending = True
            await observer.draining()
        await self._end()
        return self._outcome()

    async def listen(self, each: Member) -> None:
        """Take in what one worker says until it has exited."""
        while (message := await each.hear()) is not None:
            match message:
                case Ready():
                    each.is_ready = True
                case Report():
                    self._ledger.enter(each.number, message)
                case Done():
                    each.is_done = True
                case Broken():
                    self._fail(message.reason)
            await self.announce()
        if not each.is_done and not self._is_ending:
            self._fail(each.fate())
        await self.announce()

    async def announce(self) -> None:
        """Let whoever waits for a change look again."""
        async with self._changed:
            self._changed.notify_all()

    def _fail(self, reason: str) -> None:
        # The first reason is the cause, what follows are its effects.
        self._failure = self._failure or reason

    @property
    def _is_over(self) -> bool:
        return self._failure is not None or self._stop.is_set()

    async def _until(self, holds: Callable[[], bool], *, limit_s: float) -> bool:
        """Wait for *holds* to hold; whether it does."""
        with anyio.move_on_after(limit_s):
            async with self._changed:
                while not holds():
                    await self._changed.wait()
        return holds()

    async def _become_ready(self) -> bool:
        def all_ready() -> bool:
            return all(each.is_ready for each in self._members)

        if not await self._until(lambda: all_ready() or self._is_over, limit_s=START_LIMIT_S):
            self._fail(f"The connections could not be opened within {START_LIMIT_S:g} s.")
        return all_ready() and not self._is_over

    async def _begin(self) -> None:
        self._start_ns = perf_counter_ns() + LEAD_NS
        await self._tell_all(
            Go(
                start_ns=self._start_ns,
                warmup_seconds=self._load.warmup_seconds,
                duration_seconds=self._load.duration_seconds,
            )
        )

    async def _follow(self, observer: Observer) -> None:
        """Show each second as it comes in, until the last, a stop or a failure."""
        for second in range(1, self._load.warmup_seconds + self._load.duration_seconds + 1):
            if not await self._hear_of(second):
                return
            await observer.ticked(self._tick(second))
            if self._ledger.is_dead():
                self._fail(f"Nothing worked for {DEAD_AFTER_S} s: {self._ledger.last_message}")
                return
        if self._ledger.is_dead(after_s=1):
            self._fail(f"Nothing worked at the end: {self._ledger.last_message}")

    async def _hear_of(self, second: int) -> bool:
        """Whether every worker has reported *second*; not when the load is over before."""

        def is_complete() -> bool:
            return self._ledger.is_complete(second)

        limit_s = 1 + REPORT_LIMIT_S
        if not await self._until(lambda: is_complete() or self._is_over, limit_s=limit_s):
            self._fail(f"A worker has not reported for {REPORT_LIMIT_S:g} s.")
        return is_complete()

    def _tick(self, second: int) -> Tick:
        in_warmup = second <= self._load.warmup_seconds
        return Tick(
            at=datetime.now(UTC),
            elapsed_seconds=float(second),
            phase=Phase.WARMUP if in_warmup else Phase.MEASUREMENT,
            metrics=self._ledger.close(second),
        )

    async def _end(self) -> None:
        """Tell every worker to stop, and see all of them gone."""
        self._is_ending = True
        await self._tell_all(Stop())

        def all_gone() -> bool:
            return all(each.has_exited for each in self._members)

        if not await self._until(all_gone, limit_s=STOP_LIMIT_S):
            for each in self._members:
                if not each.has_exited:
                    log.warning("worker %d did not stop and is killed", each.number)
                    each.kill()

    async def _tell_all(self, message: Value) -> None:
        for each in self._members:
            await each.tell(message)

    def _outcome(self) -> Outcome:
        summary = self._ledger.summary()
        return Outcome(
            summary=summary,
            measured_seconds=self._ledger.measured_seconds if summary else 0,
            elapsed_seconds=self._elapsed_s,
            errors=self._ledger.errors(),
            failure=self._failure,
            notice=self._ledger.notice(think_time_ms=self._load.think_time_ms),
        )


@asynccontextmanager
async def _crew(load: Load, stop: anyio.Event) -> AsyncGenerator[Crew]:
    """A crew whose workers have been started and are heard; on leaving, none of them is left."""
    async with _processes(workers_for(load.connections)) as members:
        crew = Crew(load, members, stop)

        async def heed_stop() -> None:
            await stop.wait()
            await crew.announce()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heed_stop)
            for each in members:
                tasks.start_soon(crew.listen, each)
                tasks.start_soon(each.log_errors)
            yield crew
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _processes(count: int) -> AsyncGenerator[list[Member]]:
    members: list[Member] = []
    try:
        for number in range(count):
            # One by one, so that those which were started are known when the next one cannot be.
            members.append(await member.start(number))  # noqa: PERF401 - see above
        yield members
    finally:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for each in members:
                    tasks.start_soon(each.close)


def _assignments(load: Load) -> list[Assignment]:
    """The shares of the workers: together the load, no two of them the same connections."""
    shares = parted(load.connections, workers_for(load.connections))
    return [
        Assignment(
            target=load.target,
            workload=load.workload,
            connections=share,
            think_time_ms=load.think_time_ms,
            seed=load.seed,
            application_name=application_name(load.run_id),
            first_connection=sum(shares[:number]),
            connections_in_all=load.connections,
        )
        for number, share in enumerate(shares)
    ]
