"""Who looks after a run that benchgate has started, on FlakeBench as it behaves."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from benchgate.domain.contract import RunChanged
from benchgate.domain.runs import OwnStop, RunSnapshot
from benchgate.errors import BackendUnavailable, StoreError
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.home import GateHome
from benchgate.gate.lane import Lane
from benchgate.gate.live import Live
from benchgate.gate.sightings import Sightings
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from benchgate.gate.warden import MISSES_MAX, Warden
from benchgate.settings import Settings
from tests.flakebench.app import served
from tests.flakebench.clock import ManualClock
from tests.flakebench.plans import CLAMPED, SEARCH, config_of
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio

QUICK = Pace(first_look_seconds=0.01, look_seconds=0.02)
BACKEND = "b"
WAIT_SECONDS_MAX = 10
LOOK_SECONDS = 0.01
BOUND_SECONDS = 32
REASON = f"Stopped by benchgate: its bound of {BOUND_SECONDS} s was reached"


class ToldLane(Lane):
    """A lane in which the run stands that a test says, behind a record that may fail."""

    def __init__(self, desk: Desk, run_id: str | None) -> None:
        super().__init__(desk, backend=BACKEND, owner="o")
        self.desk = desk
        self.run_id = run_id
        self.failures: list[Exception] = []
        self._looks = 0
        self._looked = anyio.Event()

    async def occupant(self) -> str | None:
        self._looks += 1
        looked, self._looked = self._looked, anyio.Event()
        looked.set()
        if self.failures:
            raise self.failures.pop(0)
        return self.run_id

    async def looked(self, times: int) -> None:
        """Until somebody has looked so many times more."""
        wanted = self._looks + times
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while self._looks < wanted:
                await self._looked.wait()


class Stubborn(Backend):
    """A backend that cannot be reached by the first stops."""

    lost_stops = 0
    sent_stops = 0

    async def stop(self, run_id: str, *, own_stop: OwnStop | None = None) -> RunChanged:
        self.sent_stops += 1
        if self.sent_stops <= self.lost_stops:
            raise BackendUnavailable("The backend cannot be reached.")
        return await super().stop(run_id, own_stop=own_stop)


class Watched:
    """A backend with one run, and a warden before it."""

    def __init__(self, url: str, http: httpx.AsyncClient, lane: ToldLane) -> None:
        self.lane = lane
        self.sightings = Sightings(lane.desk, backend=BACKEND)
        address = Address(url=url, dashboard_url=url)
        self.backend = Stubborn(Configured(address), http, sightings=self.sightings)
        self.live = Live(self.backend)
        self.warden = Warden(
            self.backend, lane, live=self.live, sightings=self.sightings, pace=QUICK
        )

    async def until(self, status: str) -> RunSnapshot:
        """The run once it is remembered in that status; nobody else asks for it."""
        assert self.lane.run_id is not None
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while True:
                known = (await self.sightings.recall(self.lane.run_id)).snapshot
                if known is not None and known.status == status:
                    return known
                await self.lane.looked(1)


@pytest.fixture
def world() -> World:
    world = World(clock=ManualClock())
    config = config_of(**SEARCH, scaling=CLAMPED) | {"duration": 30}
    world.save("Endless", config, template_id="tpl-endless")
    return world


def running(world: World, template_id: str, *, seconds: float) -> str:
    """A run that was started so long ago."""
    run_id = world.create(template_id).run_id
    world.start(run_id)
    advance(world, seconds)
    return run_id


def advance(world: World, seconds: float) -> None:
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(seconds)


async def until_stopping(world: World, run_id: str) -> None:
    """Until the backend itself has been told to stop the run."""
    with anyio.fail_after(WAIT_SECONDS_MAX):
        while world.runs[run_id].status != "CANCELLING":  # noqa: ASYNC110 - it sends no word
            await anyio.sleep(LOOK_SECONDS)


def stops(world: World, run_id: str) -> int:
    return world.counts.requests[f"POST /api/runs/{run_id}/stop"]


@asynccontextmanager
async def watched(world: World, run_id: str | None, folder: Path) -> AsyncGenerator[Watched]:
    """A warden of the run that is told to be in the lane; it has not looked yet."""
    desk = Desk(GateHome(Settings(data_dir=folder)))
    async with served(world) as url, httpx.AsyncClient() as http:
        it = Watched(url, http, ToldLane(desk, run_id))
        try:
            async with it.sightings, it.live:
                yield it
        finally:
            await desk.close()


async def test_a_run_is_kept_watched_to_its_end_without_a_question(
    world: World, tmp_path: Path
) -> None:
    run_id = running(world, "tpl-fixed", seconds=3)
    async with watched(world, run_id, tmp_path) as it, it.warden:
        await it.until("RUNNING")
        advance(world, 60)
        ended = await it.until("COMPLETED")
    assert ended.summary is not None
    assert stops(world, run_id) == 0


async def test_what_is_watched_is_not_asked_for_besides(world: World, tmp_path: Path) -> None:
    run_id = running(world, "tpl-endless", seconds=20)
    async with watched(world, run_id, tmp_path) as it, it.warden:
        await it.until("RUNNING")
        await it.lane.looked(5)
        asked = world.counts.requests.total()
        await it.lane.looked(20)
        assert world.counts.requests.total() - asked <= 1
    assert world.counts.streams[run_id] == 1
    assert stops(world, run_id) == 0


async def test_nothing_is_asked_where_nothing_was_started(world: World, tmp_path: Path) -> None:
    running(world, "tpl-endless", seconds=3_600)
    async with watched(world, None, tmp_path) as it, it.warden:
        await it.lane.looked(3)
    assert world.counts.requests.total() == 0


async def test_no_record_is_opened_to_see_whether_there_is_a_run(
    world: World, tmp_path: Path
) -> None:
    desk = Desk(GateHome(Settings(data_dir=tmp_path)))
    assert await Lane(desk, backend=BACKEND, owner="o").occupant() is None
    assert not desk.has_record


async def test_a_record_that_fails_does_not_end_it(world: World, tmp_path: Path) -> None:
    run_id = running(world, "tpl-endless", seconds=3_600)
    async with watched(world, run_id, tmp_path) as it:
        it.lane.failures = [StoreError("The record is locked."), RuntimeError("unforeseen")]
        async with it.warden:
            await until_stopping(world, run_id)
            assert it.lane.failures == []
            advance(world, 60)
            ended = await it.until("STOPPED")
    assert (ended.reason or "").startswith(REASON)


async def test_a_stop_that_fails_is_tried_again_and_one_that_works_is_not(
    world: World, tmp_path: Path
) -> None:
    run_id = running(world, "tpl-endless", seconds=3_600)
    async with watched(world, run_id, tmp_path) as it:
        it.backend.lost_stops = 2
        async with it.warden:
            await until_stopping(world, run_id)
            advance(world, 60)
            await it.until("STOPPED")
            await it.lane.looked(2)
    assert (it.backend.sent_stops, stops(world, run_id)) == (3, 1)


async def test_the_first_reason_is_told_whichever_process_had_it(
    world: World, tmp_path: Path
) -> None:
    run_id = running(world, "tpl-endless", seconds=20)
    async with watched(world, run_id, tmp_path) as it:
        await it.lane.desk.do(lambda record: record.head())
        other = Sightings(it.lane.desk, backend=BACKEND)
        async with it.warden:
            await it.until("RUNNING")
            await other.note_stop(run_id, OwnStop())
            advance(world, 60)
            await it.lane.looked(5)
            world.runs[run_id].stop(world.clock.now())
            advance(world, 60)
            ended = await it.until("CANCELLED")
    assert ended.reason == OwnStop().reason
    # Whoever had it sends it, and nobody else.
    assert stops(world, run_id) == 0


async def test_nobody_is_asked_about_a_run_whose_end_is_known(world: World, tmp_path: Path) -> None:
    run_id = running(world, "tpl-fixed", seconds=60)
    async with watched(world, run_id, tmp_path) as it:
        await it.sightings.note(RunSnapshot(run_id=run_id, status="COMPLETED", is_settled=True))
        async with it.warden:
            await it.lane.looked(3)
    assert world.counts.requests.total() == 0


async def test_a_run_that_is_gone_is_not_looked_for_again(world: World, tmp_path: Path) -> None:
    async with watched(world, "gone", tmp_path) as it, it.warden:
        # The last of them is asked about the run no more, because all before it have missed it.
        await it.lane.looked(MISSES_MAX + 1)
        asked = world.counts.requests.total()
        await it.lane.looked(2)
    assert asked > 0
    assert world.counts.requests.total() == asked


async def test_a_run_that_is_missed_for_a_moment_is_looked_after_all_the_same(
    world: World, tmp_path: Path
) -> None:
    run_id = running(world, "tpl-endless", seconds=3_600)
    run = world.runs.pop(run_id)
    async with watched(world, run_id, tmp_path) as it, it.warden:
        await it.lane.looked(MISSES_MAX)
        world.runs[run_id] = run
        await until_stopping(world, run_id)
