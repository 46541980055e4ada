"""What is remembered of runs, in the process and beyond it."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus
from benchgate.errors import BenchgateError, StoreError
from benchgate.gate import sighting_rows, sightings
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.home import GateHome
from benchgate.gate.sightings import REMEMBERED_RUNS_MAX, Sightings
from benchgate.gate.store import SIGHTINGS
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from benchgate.settings import Settings
from tests.unit.examples import METRICS, NOON, SUMMARY

pytestmark = pytest.mark.anyio

BACKEND = "b" * 64
URL = "http://backend.test"
TEST_SECONDS_MAX = 20
SHORT_SECONDS = 0.1
# Far below the limits of the record, which must not be what ends a wait here.
SOON_SECONDS = 3
BY_REQUEST = OwnStop()
BY_BOUND = OwnStop(status=RunStatus.STOPPED, reason="Its time was over")


def run(status: str = "RUNNING", **changes: Any) -> RunSnapshot:
    return RunSnapshot.model_validate({"run_id": "r1", "status": status} | changes)


DONE = run("COMPLETED", summary=SUMMARY, is_settled=True)


@pytest.fixture(autouse=True)
async def limit() -> AsyncGenerator[None]:
    with anyio.fail_after(TEST_SECONDS_MAX):
        yield


@asynccontextmanager
async def desk_of(folder: Path) -> AsyncGenerator[Desk]:
    """A desk of a process of its own over the record in *folder*, which need not be there yet."""
    desk = Desk(GateHome(Settings.model_validate({"data_dir": folder})))
    try:
        yield desk
    finally:
        await desk.close()


@asynccontextmanager
async def another_process(folder: Path) -> AsyncGenerator[Sightings]:
    """What a process that has just begun knows."""
    async with desk_of(folder) as desk, Sightings(desk, backend=BACKEND) as known:
        yield known


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk whose record is there, since a person has been asked about something."""
    async with desk_of(tmp_path) as desk:
        await desk.do(lambda _: None)
        yield desk


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a record waits for that does not answer; it goes on after the test."""
    event = threading.Event()
    yield event
    event.set()


def hang_on(event: threading.Event) -> Any:
    def wait(*_: object, **__: object) -> None:
        event.wait(TEST_SECONDS_MAX)

    return wait


def fail(*_: object, **__: object) -> None:
    raise StoreError("The disk is full.")


async def test_what_was_noted_last_is_what_is_known() -> None:
    async with Sightings() as known:
        assert (await known.recall("r1")).snapshot is None
        for snapshot in (run("STARTING"), run(metrics=METRICS)):
            await known.note(snapshot)
            assert (await known.recall("r1")).snapshot == snapshot
        assert (await known.recall("r2")).snapshot is None


async def test_nothing_less_takes_the_place_of_a_last_word() -> None:
    heard: list[RunSnapshot] = []
    async with Sightings() as known:
        known.listen(heard.append)
        for snapshot in (run(), DONE, run(), run("COMPLETED"), run("FAILED")):
            await known.note(snapshot)
        assert (await known.recall("r1")).snapshot == DONE
    assert heard == [run(), DONE]


async def test_the_newest_runs_are_remembered() -> None:
    async with Sightings() as known:
        for number in range(REMEMBERED_RUNS_MAX + 1):
            await known.note(run(run_id=f"r{number}"))
        assert (await known.recall("r0")).snapshot is None
        assert (await known.recall("r1")).snapshot is not None
        assert (await known.recall(f"r{REMEMBERED_RUNS_MAX}")).snapshot is not None


async def test_the_first_stop_is_why_a_run_ends() -> None:
    async with Sightings() as known:
        await known.note_stop("r1", BY_BOUND)
        await known.note_stop("r1", BY_REQUEST)
        assert (await known.recall("r1")).own_stop == BY_BOUND


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELLED", "STOPPED"])
async def test_a_run_that_has_ended_was_not_stopped_by_us(
    tmp_path: Path, desk: Desk, end: str
) -> None:
    async with Sightings(desk, backend=BACKEND) as known:
        await known.note(run(end))
        await known.note_stop("r1", BY_REQUEST)
        assert (await known.recall("r1")).own_stop is None
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).own_stop is None


async def test_nothing_makes_a_record_where_there_is_none(tmp_path: Path) -> None:
    async with another_process(tmp_path / "none") as known:
        await known.note(run())
        await known.note_stop("r1", BY_REQUEST)
        await known.recall("r1", anew=True)
        await known.recall("r2")
        await known.note(DONE)
        assert await known.recall("r1") == await known.recall("r1", anew=True)
        assert (await known.recall("r1")).own_stop == BY_REQUEST
    assert not (tmp_path / "none").exists()


async def test_what_is_known_when_a_process_ends_is_known_to_the_next(
    tmp_path: Path, desk: Desk
) -> None:
    running = run(metrics=METRICS, elapsed_seconds=7.5, updated_at=NOON, run_id="r2")
    async with Sightings(desk, backend=BACKEND) as known:
        await known.note(DONE)
        await known.note(running)
        await known.note_stop("r2", BY_BOUND)
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).snapshot == DONE
        sighting = await anew.recall("r2")
    assert (sighting.snapshot, sighting.own_stop) == (running, BY_BOUND)


async def test_what_was_noted_before_there_was_a_record_is_written_when_there_is_one(
    tmp_path: Path,
) -> None:
    async with desk_of(tmp_path) as desk, Sightings(desk, backend=BACKEND) as known:
        await known.note(DONE)
        await desk.do(lambda _: None)
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).snapshot == DONE


async def test_one_backends_runs_are_not_anothers(tmp_path: Path, desk: Desk) -> None:
    async with Sightings(desk, backend=BACKEND) as known:
        await known.note(DONE)
    async with desk_of(tmp_path) as other, Sightings(other, backend="c" * 64) as elsewhere:
        assert (await elsewhere.recall("r1")).snapshot is None


async def test_a_change_of_status_is_written_without_waiting_for_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "WRITE_INTERVAL_SECONDS", TEST_SECONDS_MAX * 2)
    written = threading.Event()
    write = sighting_rows.write

    def tell(*arguments: Any) -> None:
        write(*arguments)
        written.set()

    monkeypatch.setattr(sighting_rows, "write", tell)
    async with Sightings(desk, backend=BACKEND) as known:
        for status in ("STARTING", "RUNNING", "COMPLETED"):
            written.clear()
            await known.note(run(status))
            assert await anyio.to_thread.run_sync(written.wait, SOON_SECONDS)


@asynccontextmanager
async def stopping(known: Sightings) -> AsyncGenerator[Backend]:
    async with httpx.AsyncClient(trust_env=False) as http:
        address = Address(url=URL, dashboard_url=URL)
        yield Backend(Configured(address), http, sightings=known)


async def test_a_stop_is_written_before_it_is_sent_and_outlives_the_process(
    tmp_path: Path, desk: Desk
) -> None:
    when_sent: list[OwnStop | None] = []

    async def look(_: httpx.Request) -> httpx.Response:
        async with another_process(tmp_path) as other:
            when_sent.append((await other.recall("r1")).own_stop)
        return httpx.Response(202, json={"run_id": "r1", "status": "CANCELLING"})

    async with (
        Sightings(desk, backend=BACKEND) as known,
        stopping(known) as backend,
        respx.mock(assert_all_called=False) as router,
    ):
        router.post(f"{URL}/api/runs/r1/stop").mock(side_effect=look)
        await backend.stop("r1", own_stop=BY_BOUND)
    assert when_sent == [BY_BOUND]
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).own_stop == BY_BOUND


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED"])
async def test_a_stop_that_came_too_late_is_forgotten_everywhere(
    tmp_path: Path, desk: Desk, end: str
) -> None:
    async with (
        Sightings(desk, backend=BACKEND) as known,
        stopping(known) as backend,
        respx.mock() as router,
    ):
        router.post(f"{URL}/api/runs/r1/stop").respond(202, json={"run_id": "r1", "status": end})
        await backend.stop("r1")
        assert (await known.recall("r1")).own_stop is None
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).own_stop is None


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (httpx.Response(404, json={"detail": "Run not found: r1"}), False),
        (httpx.Response(409, json={"detail": "Run r1 is PREPARED."}), False),
        (httpx.ConnectError("refused"), False),
        (httpx.ReadTimeout("lost"), True),
        (httpx.Response(500), True),
        (httpx.Response(502), True),
    ],
    ids=["unknown", "refused", "never sent", "lost", "failed", "behind a gateway"],
)
async def test_a_stop_is_ours_only_where_it_can_have_been_taken(
    tmp_path: Path, desk: Desk, answer: httpx.Response | Exception, is_kept: bool
) -> None:
    async with (
        Sightings(desk, backend=BACKEND) as known,
        stopping(known) as backend,
        respx.mock() as router,
    ):
        router.post(f"{URL}/api/runs/r1/stop").mock(side_effect=[answer])
        with pytest.raises(BenchgateError):
            await backend.stop("r1", own_stop=BY_BOUND)
        assert (await known.recall("r1")).own_stop == (BY_BOUND if is_kept else None)
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).own_stop == (BY_BOUND if is_kept else None)


async def test_an_end_is_not_taken_back_by_who_has_not_heard_of_it() -> None:
    known = Sightings()
    ended = run("CANCELLED", reason="Stopped")
    await known.note(ended)
    assert await known.note(run("RUNNING")) == ended
    assert (await known.recall("r1")).snapshot == ended


async def test_a_second_stop_that_is_refused_leaves_the_first_one_ours(desk: Desk) -> None:
    async with (
        Sightings(desk, backend=BACKEND) as known,
        stopping(known) as backend,
        respx.mock() as router,
    ):
        router.post(f"{URL}/api/runs/r1/stop").mock(
            side_effect=[
                httpx.Response(202, json={"run_id": "r1", "status": "CANCELLING"}),
                httpx.Response(409, json={"detail": "Run r1 is CANCELLING."}),
            ]
        )
        await backend.stop("r1", own_stop=BY_BOUND)
        with pytest.raises(BenchgateError):
            await backend.stop("r1")
        assert (await known.recall("r1")).own_stop == BY_BOUND


async def test_a_stop_of_another_process_is_seen_by_who_looks_anew(
    tmp_path: Path, desk: Desk
) -> None:
    async with Sightings(desk, backend=BACKEND) as known, another_process(tmp_path) as other:
        await known.note(run())
        assert (await known.recall("r1")).own_stop is None
        await other.note_stop("r1", BY_REQUEST)
        assert (await known.recall("r1")).own_stop is None
        assert (await known.recall("r1", anew=True)).own_stop == BY_REQUEST
        assert (await known.recall("r1")).snapshot == run()


async def test_a_record_that_fails_loses_nothing_in_memory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("read", "write", "write_stop"):
        monkeypatch.setattr(sighting_rows, name, fail)
    async with Sightings(desk, backend=BACKEND) as known:
        await known.note(run())
        await known.note_stop("r1", BY_REQUEST)
        sighting = await known.recall("r1", anew=True)
        assert (sighting.snapshot, sighting.own_stop) == (run(), BY_REQUEST)


@pytest.mark.parametrize("hangs", ["read", "write_stop"])
async def test_a_record_that_hangs_holds_up_a_stop_no_longer_than_its_limit(
    desk: Desk, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    monkeypatch.setattr(sightings, "STOP_SECONDS_MAX", SHORT_SECONDS)
    monkeypatch.setattr(sighting_rows, hangs, hang_on(hanging))
    async with Sightings(desk, backend=BACKEND) as known:
        with anyio.fail_after(SOON_SECONDS):
            await known.note_stop("r1", BY_REQUEST)
        with anyio.fail_after(SOON_SECONDS):
            assert (await known.recall("r1")).own_stop == BY_REQUEST


async def test_a_record_that_hangs_holds_up_the_end_no_longer_than_its_limit(
    desk: Desk, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "CLOSE_SECONDS_MAX", SHORT_SECONDS)
    monkeypatch.setattr(sighting_rows, "write", hang_on(hanging))
    with anyio.fail_after(SOON_SECONDS):
        async with Sightings(desk, backend=BACKEND) as known:
            await known.note(run())


async def test_a_row_that_nobody_can_read_is_as_good_as_none(tmp_path: Path, desk: Desk) -> None:
    """Another version may have written it, and a run's end is worth more than its past."""
    row = {"backend": BACKEND, "run_id": "r1", "seen_at": NOON}
    unreadable = row | {"snapshot": '{"run_id": 7}', "own_stop": '{"status": "TIRED"}'}

    def write(record: Any) -> None:
        with record.engine.begin() as connection:
            connection.execute(SIGHTINGS.insert().values(**unreadable))

    await desk.do(write)
    async with Sightings(desk, backend=BACKEND) as known:
        assert (await known.recall("r1")).snapshot is None
        await known.note(DONE)
    async with another_process(tmp_path) as anew:
        assert (await anew.recall("r1")).snapshot == DONE
