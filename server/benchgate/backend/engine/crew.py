"""Carries out a load with workers, from their start to the last of them gone.

They are started, told to begin together when all are ready, heard every second, and ended: told
to stop, given their time, and killed if they take longer. What their sessions are at does not hold
them up: a session that stands by has the database end those. Then the database is asked whether it
still has sessions of the run. A worker that ends without having said so makes the load something
else than was asked for: a failure, unless the template lets the others take its share over.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Driver, Standby
from benchgate.backend.engine.accounts import parted
from benchgate.backend.engine.assignments import application_name, assignments, workers_for
from benchgate.backend.engine.guard import Guard, Machine, Tried
from benchgate.backend.engine.hastening import Hastening
from benchgate.backend.engine.ledger import DEAD_AFTER_S, Ledger
from benchgate.backend.engine.load import Load, Observer, Outcome, Tick
from benchgate.backend.engine.messages import (
    Begin,
    Broken,
    Done,
    FromWorker,
    Go,
    Ready,
    Report,
    Steer,
    Stop,
    Stopped,
)
from benchgate.backend.engine.pilot import Pilot, pilot_of
from benchgate.backend.engine.process import ThisMachine
from benchgate.backend.engine.proof import with_proof
from benchgate.backend.engine.verdicts import findings_of
from benchgate.backend.engine.workplace import Member, Workplace
from benchgate.domain.runs import LiveMetrics, Phase
from benchgate.domain.templates import TableType, WorkerLoss
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError

START_LIMIT_S = 60.0
REPORT_LIMIT_S = 15.0  # after the second that is reported
STOP_LIMIT_S = 3.0
KILL_LIMIT_S = 2.0
REMARKS_MAX = 20
# The instant of the common start lies so far ahead that the word of it reaches every worker.
LEAD_NS = 50_000_000
NS_PER_S = 1_000_000_000

log = logging.getLogger(__name__)


async def drive(
    load: Load,
    *,
    stop: anyio.Event,
    observer: Observer,
    workplace: Workplace | None = None,
    drivers: Callable[[TableType], Driver] = driver_for,
) -> Outcome:
    """Carry *load* out and tell *observer* how it goes; *stop* ends it before its time.

    It never raises for what a database or a worker does: the outcome says so.
    """
    place = workplace or ThisMachine()
    try:
        driver = drivers(load.target.table_type)
    except BenchgateError as exc:
        return Outcome(summary=None, measured_seconds=0, elapsed_seconds=0, failure=str(exc))
    wanted = workers_for(load, place.workers, at_most=driver.workers_max(load.workload))
    name = application_name(load.run_id)
    standby = driver.stand_by(load.target, name, connections=load.connections)
    async with _crew(load, place, wanted, stop=stop, standby=standby) as crew:
        outcome = await crew.carry_out(observer)
        return await with_proof(outcome, load, driver)


class Crew:
    """The workers of one load, which all run at the same time and end together."""

    def __init__(
        self,
        load: Load,
        place: Workplace,
        *,
        members: list[Member],
        stop: anyio.Event,
        standby: Standby | None,
    ) -> None:
        """Lead *members* through *load* until its time is over or *stop* is set."""
        self._load = load
        self._place = place
        self._members = members
        self._stop = stop
        self.hastening = Hastening(standby)
        self._changed = anyio.Condition()
        self._ledger = Ledger(
            workers=len(members),
            source=load.target.table_type,
            think_time_ms=load.think_time_ms,
        )
        self._pilot: Pilot = pilot_of(load, workers=len(members), cores=place.cores)
        self._guard, self._machine = Guard(load.guardrails), Machine()
        self._shared_out = 0  # the connections that the workers were last told of
        self._remarks: list[str] = []
        self._lost = 0
        self._failure: str | None = None
        self._stopped: str | None = None
        self._is_under_load = False
        self._is_ending = False
        self._start_ns = 0
        self._elapsed_s = 0.0

    async def carry_out(self, observer: Observer) -> Outcome:
        """The whole course, from the assignments to the outcome."""
        given = assignments(self._load, len(self._members))
        for each, assignment in zip(self._members, given, strict=True):
            await each.tell(Begin(assignment=assignment))
        if await self._become_ready():
            await observer.ready()
            await self._begin()
            await self._follow(observer)
            elapsed_ns = time.perf_counter_ns() - self._start_ns
            self._elapsed_s = max(0, elapsed_ns) / NS_PER_S
            self._is_ending = True
            await observer.draining()
        await self._end()
        return self._outcome()

    async def listen(self, each: Member) -> None:
        """Take in what one worker says until it is gone."""
        while (message := await each.hear()) is not None:
            self._take(message, each)
            await self.announce()
        if not each.is_done and not self._is_ending:
            self._lose(each)
        await self.announce()

    def _take(self, message: FromWorker, each: Member) -> None:
        match message:
            case Ready():
                each.is_ready = True
            case Report():
                self._ledger.enter(each.number, message)
            case Stopped():
                each.has_stopped = True
            case Done():
                each.is_done = True
                for notice in message.notices:
                    self._remark(notice)
            case Broken():
                self._fail(message.reason)

    async def announce(self) -> None:
        """Let whoever waits for a change look again."""
        async with self._changed:
            self._changed.notify_all()

    def _remark(self, text: str) -> None:
        if text not in self._remarks and len(self._remarks) < REMARKS_MAX:
            self._remarks.append(text)

    def _fail(self, reason: str) -> None:
        # The first reason is the cause, what follows are its effects.
        self._failure = self._failure or reason

    def _lose(self, each: Member) -> None:
        """A worker is gone: the others take its share over, or the run has failed."""
        left = [other for other in self._members if not other.has_exited]
        may_go_on = self._load.worker_loss is WorkerLoss.REDISTRIBUTE and not self._load.schedule
        if not (may_go_on and left and self._is_under_load):
            self._fail(each.fate())
            return
        self._lost += 1
        repeated = " The step under way was measured anew." if self._pilot.disturb() else ""
        self._remark(f"{each.fate()} The others took its connections over.{repeated}")
        self._ledger.lose(each.number)
        self._shared_out = 0

    @property
    def _seconds(self) -> int:
        return self._load.warmup_seconds + self._load.duration_seconds

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
        if not self._is_over:
            await self.hastening.prepare(self._stop)
        return all_ready() and not self._is_over

    async def _begin(self) -> None:
        self._start_ns = time.perf_counter_ns() + LEAD_NS
        self._is_under_load = True
        self._machine.forget()
        self._shared_out = self._pilot.connections
        await self._tell_all(
            Go(
                start_epoch_ns=time.time_ns() + LEAD_NS,
                warmup_seconds=self._load.warmup_seconds,
                duration_seconds=self._load.duration_seconds,
            )
        )

    async def _follow(self, observer: Observer) -> None:
        """Show each second as it comes in, until the last, a stop, a limit or a failure."""
        for second in range(1, self._seconds + 1):
            if not await self._hear_of(second):
                return
            metrics = self._close(second)
            await observer.ticked(self._tick(second, metrics))
            if self._ledger.is_dead():
                self._fail(f"Nothing worked for {DEAD_AFTER_S} s: {self._ledger.last_message}")
            if self._is_over or self._stopped:
                return
            if self._pilot.is_over:
                break
            await self._steer()
        if self._ledger.ended_dead():
            self._fail(f"Nothing worked at the end: {self._ledger.last_message}")

    async def _hear_of(self, second: int) -> bool:
        """Whether every worker has reported *second*; not when the load is over before."""

        def is_complete() -> bool:
            return self._ledger.is_complete(second)

        limit_s = 1 + REPORT_LIMIT_S
        if not await self._until(lambda: is_complete() or self._is_over, limit_s=limit_s):
            self._fail(f"A worker has not reported for {REPORT_LIMIT_S:g} s.")
        return is_complete()

    def _close(self, second: int) -> LiveMetrics:
        """Count *second*, and let pilot and guard say what follows from it."""
        entry, metrics = self._ledger.close(second)
        sample = self._machine.sample()
        self._pilot.hear(entry, sample if self._place.is_here else None)
        if second == self._load.warmup_seconds:
            self._machine.forget()
        accounts, is_last = entry.accounts, second == self._seconds
        self._stopped = self._guard.breach(
            # A run that has had its time has kept within any limit of time.
            elapsed_seconds=0.0 if is_last else float(second),
            tried=Tried(failed=accounts.failed, answered=accounts.answered),
            sample=sample,
        )
        return metrics

    async def _steer(self) -> None:
        """Tell the workers how many connections shall load, where that has changed."""
        wanted = self._pilot.connections
        if wanted == self._shared_out:
            return
        self._shared_out = wanted
        present = [each for each in self._members if not each.has_exited]
        for each, share in zip(present, parted(wanted, len(present)), strict=True):
            await each.tell(Steer(connections=share, is_first=each is present[0]))

    def _tick(self, second: int, metrics: LiveMetrics) -> Tick:
        in_warmup = second <= self._load.warmup_seconds
        return Tick(
            at=datetime.now(UTC),
            elapsed_seconds=float(second),
            phase=Phase.WARMUP if in_warmup else Phase.MEASUREMENT,
            metrics=metrics,
            position=self._pilot.position,
        )

    async def _end(self) -> None:
        """Tell every worker to stop, and see all of them gone."""
        self._is_ending = True
        await self._tell_all(Stop())

        def all_gone() -> bool:
            return all(each.has_exited for each in self._members)

        def have_stopped() -> bool:
            return all(each.has_stopped or each.has_exited for each in self._members)

        async def all_stopped() -> bool:
            return await self._until(have_stopped, limit_s=STOP_LIMIT_S)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.hastening.hasten, all_stopped)
            await self._until(all_gone, limit_s=STOP_LIMIT_S)
            tasks.cancel_scope.cancel()
        if not all_gone():
            for each in self._members:
                if not each.has_exited:
                    log.warning("worker %d did not stop and is killed", each.number)
                    each.kill()
            # The database is asked for sessions when nobody is left who could open one.
            await self._until(all_gone, limit_s=KILL_LIMIT_S)
        self.hastening.let_go()

    async def _tell_all(self, message: Value) -> None:
        for each in self._members:
            await each.tell(message)

    def _outcome(self) -> Outcome:
        standing = self._pilot.standing
        summary, seconds = self._ledger.summary(), self._ledger.measured_seconds
        if standing is not None:
            summary, seconds = standing.accounts.summary(standing.seconds), standing.seconds
        health = self._ledger.timekeeping.health(
            cores=self._place.cores,
            machine_cpu_pct=self._machine.mean_cpu_pct if self._place.is_here else None,
            lost=self._lost,
        )
        return Outcome(
            summary=summary,
            measured_seconds=seconds if summary else 0,
            elapsed_seconds=self._elapsed_s,
            errors=self._ledger.errors(),
            findings=findings_of(
                self._load, self._ledger, pilot=self._pilot, health=health, remarks=self._remarks
            ),
            failure=self._failure,
            stopped=self._stopped,
        )


@asynccontextmanager
async def _crew(
    load: Load, place: Workplace, wanted: int, *, stop: anyio.Event, standby: Standby | None
) -> AsyncGenerator[Crew]:
    """A crew whose workers have been started and are heard; on leaving, none of them is left."""
    async with _members(place, wanted) as members:
        crew = Crew(load, place, members=members, stop=stop, standby=standby)

        async def heed_stop() -> None:
            await stop.wait()
            await crew.announce()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heed_stop)
            tasks.start_soon(crew.hastening.serve)
            for each in members:
                tasks.start_soon(crew.listen, each)
                tasks.start_soon(each.log_errors)
            yield crew
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _members(place: Workplace, wanted: int) -> AsyncGenerator[list[Member]]:
    members: list[Member] = []
    try:
        for number in range(wanted):
            # One by one, so that those which were started are known when the next one cannot be.
            members.append(await place.start(number))  # noqa: PERF401 - see above
        yield members
    finally:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for each in members:
                    tasks.start_soon(each.close)
            await place.close()
