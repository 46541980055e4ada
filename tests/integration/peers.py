"""Three backends that a gate has to get on with: ours, an emulated FlakeBench, a hostile one."""

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import httpx
from starlette.types import ASGIApp

from benchgate.domain.rendezvous import RECORD_FILE
from benchgate.domain.runs import RunSnapshot
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.home import GateHome
from benchgate.gate.live import Live
from benchgate.gate.sightings import Sightings
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from benchgate.settings import Settings
from tests.acceptance.home import Home
from tests.adversary.app import Adversary
from tests.adversary.script import (
    WEBSOCKET,
    Cut,
    Late,
    Meddled,
    Slashed,
    Step,
    in_pairs_reversed,
)
from tests.adversary.server import LOOPBACK, served
from tests.adversary.skew import skewed
from tests.flakebench.app import create_app
from tests.flakebench.clock import ScaledClock
from tests.flakebench.runs import Pace
from tests.flakebench.world import World

# One second of the wall is so many of the emulation's.
SPEED = 20
SKEW_HOURS = -25
LATE_SECONDS = 0.02
STREAM_SECONDS = 1
# In seconds of the emulation, which repeats an early answer for two of the wall's.
QUICK = Pace(cache_s=2 * SPEED)
# Its stops take longer than the gate waits for one.
OBSTINATE = replace(QUICK, stop_s=5 * SPEED)
# Where nobody listens.
DISCARD_PORT = 9
END_SECONDS_MAX = 60
NEWS_SECONDS_MAX = 10


@dataclass(frozen=True)
class Peer:
    """A backend, and what a test has to know of it.

    `short`, `long` and `risky` are templates: of a run that soon ends, of one that does not end by
    itself, and of one that a high warning speaks against. A short run is expected to take
    `expected_seconds` by the backend's clock. `starts` counts how often a run was started there,
    where that can be counted.
    """

    name: str
    settings: Settings
    address: Address
    short: str
    long: str
    risky: str
    expected_seconds: float
    world: World | None = None

    def starts(self, run_id: str) -> int | None:
        """How often the run was started, whoever asked for it; None where nobody counts."""
        return self.world.counts.starts[run_id] if self.world else None

    def make_stubborn(self) -> bool:
        """Let stops of runs that are created from now on take long, and be told as failures.

        Returns whether it can.
        """
        if self.world is not None:
            self.world.pace, self.world.stop_reads_failed = OBSTINATE, True
        return self.world is not None


@dataclass(frozen=True)
class Gate:
    """The parts of one process that speak to a backend."""

    backend: Backend
    live: Live
    sightings: Sightings

    async def told(self, run_id: str, *, until: Callable[[RunSnapshot], bool]) -> list[RunSnapshot]:
        """All that its watch tells of a run until it is as *until* says."""
        with anyio.fail_after(END_SECONDS_MAX):
            async with self.live.watching(run_id) as watch:
                told = [await watch.first(seconds_max=NEWS_SECONDS_MAX)]
                while not until(told[-1]):
                    told.append(await watch.newer(told[-1], seconds_max=NEWS_SECONDS_MAX))
        return told

    async def started(self, template_id: str) -> str:
        """The id of a run that has just been started."""
        run_id = (await self.backend.create_run(template_id)).run_id
        await self.backend.start(run_id)
        return run_id

    async def ended(self, template_id: str) -> RunSnapshot:
        """The last word on a run that was started, and left to its end."""
        run_id = await self.started(template_id)
        return (await self.told(run_id, until=is_settled))[-1]


def is_settled(run: RunSnapshot) -> bool:
    """Whether nothing more is to come of a run."""
    return run.is_settled


@asynccontextmanager
async def gate_to(peer: Peer, *, is_away: bool = False) -> AsyncGenerator[Gate]:
    """A process before *peer*; what one before it has seen, it finds in its record.

    *is_away*: nobody answers where the peer was.
    """
    desk = Desk(GateHome(peer.settings))
    await desk.do(lambda _: None)
    sightings = Sightings(desk, backend=Configured(peer.address).identity)
    url = f"http://{LOOPBACK}:{DISCARD_PORT}" if is_away else peer.address.url
    whereabouts = Configured(peer.address.model_copy(update={"url": url}))
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            backend = Backend(whereabouts, http, sightings=sightings)
            async with sightings, Live(backend) as live:
                yield Gate(backend, live, sightings)
    finally:
        await desk.close()


class Embedded:
    """The embedded backend in a process of its own, with its templates."""

    def __init__(self, home: Home) -> None:
        """Save them in the backend of *home*, which runs."""
        self.home = home
        self.short = home.template("short", duration=1, warmup=1)
        self.long = home.template("long", duration=600)
        with closing(sqlite3.connect(home.database)) as database, database:
            database.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY, customer TEXT)")
        self.risky = home.template("risky", table_name="empty")

    def peer(self, data_dir: Path) -> Peer:
        """It, as a gate with a folder of its own finds it there."""
        data_dir.mkdir()
        rendezvous = (self.home.settings.data_dir / RECORD_FILE).read_bytes()
        (data_dir / RECORD_FILE).write_bytes(rendezvous)
        record = self.home.record
        return Peer(
            name="embedded",
            settings=Settings(data_dir=data_dir),
            address=Address(
                url=record.url, token=record.token, dashboard_url=record.url, is_embedded=True
            ),
            short=self.short,
            long=self.long,
            risky=self.risky,
            expected_seconds=2,
        )

    def stop_all(self) -> None:
        """Ask for the end of what still runs."""
        active = self.home.ask("GET", "/health")["active_run_id"]
        if active is not None:
            self.home.ask("POST", f"/api/runs/{active}/stop")


@asynccontextmanager
async def flakebench(data_dir: Path, *, hostile: bool) -> AsyncGenerator[Peer]:
    """FlakeBench's emulation on a port, *hostile* or as it is."""
    world = World(clock=ScaledClock(SPEED), pace=QUICK, error_share=0.01)
    app: ASGIApp = create_app(world)
    async with served(mischievous(app) if hostile else app) as url:
        yield Peer(
            name="adversary" if hostile else "flakebench",
            settings=Settings.model_validate({"data_dir": data_dir, "backend_url": url}),
            address=Address(url=url, dashboard_url=url),
            short="tpl-fixed",
            long="tpl-long",
            risky="tpl-writes",
            expected_seconds=8,
            world=world,
        )


def mischievous(app: ASGIApp) -> ASGIApp:
    """*app* behind all that a client has to survive."""
    late = Late(LATE_SECONDS, LATE_SECONDS)
    skewing = Adversary(
        Step("/api/.*", skewed(SKEW_HOURS)),
        Step("/ws/.*", skewed(SKEW_HOURS), WEBSOCKET),
        behind=app,
    )
    slow = Adversary(Step(".*", late), Step(".*", late, "POST"), behind=skewing)
    # Within the redirects, so that what is asked for once more is answered.
    lossy = Adversary(Step("/api/.*", Cut(), every=4), behind=slow)
    return Adversary(
        Step("/api/.*", Slashed()),
        Step("/api/.*", Slashed(), "POST"),
        Step("/ws/.*", Meddled(_mess(), seconds_max=STREAM_SECONDS), WEBSOCKET),
        behind=lossy,
    )


def _mess() -> Callable[[int, str], Sequence[str]]:
    """Frames in the wrong order and twice, with garbage and those of other runs in between."""
    turned = in_pairs_reversed()

    def change(number: int, text: str) -> Sequence[str]:
        return [
            one for told in turned(number, text) for one in ("{", told, "[]", told, _foreign(told))
        ]

    return change


def _foreign(text: str) -> str:
    """The frame as it would be of another run, which has long ended."""
    frame = json.loads(text)
    data = frame.get("data", frame)
    data |= {"test_id": "another", "status": "COMPLETED", "phase": "COMPLETED"}
    return json.dumps(frame)
