"""What holds of every backend, whatever it speaks and however badly it behaves."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import anyio
import httpx
import pytest
from mcp import Client

from benchgate.domain.runs import RunSnapshot, is_active
from benchgate.errors import BackendUnavailable, Conflict, NotFound
from benchgate.gate.server import open_gate
from tests.acceptance.home import Home, fill, running_backend
from tests.acceptance.person import YES, Person, call, text_of
from tests.flakebench.clock import BIRTH
from tests.integration.peers import (
    END_SECONDS_MAX,
    Embedded,
    Gate,
    Peer,
    flakebench,
    gate_to,
    is_settled,
)

pytestmark = pytest.mark.anyio

PEERS = ("embedded", "flakebench", "adversary")
STOP_ANSWER_SECONDS_MAX = 6
UNKNOWN = "00000000-0000-4000-8000-000000000000"
BY_REQUEST = "Stopped on request through benchgate"
ON_THE_WAY = ("PREPARED", "STARTING", "RUNNING", "STOPPING", "CANCELLING")
# Of what a run was expected to take, its last word may be so far off.
ELAPSED_SLACK = 0.4


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One backend of ours for all tests here; at most one run of it is active."""
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home.database)
    with running_backend(home):
        yield Embedded(home)


@pytest.fixture(params=PEERS)
async def peer(
    request: pytest.FixtureRequest, embedded: Embedded, tmp_path: Path
) -> AsyncIterator[Peer]:
    data_dir = tmp_path / "gate"
    if request.param == "embedded":
        yield embedded.peer(data_dir)
        embedded.stop_all()
        return
    async with flakebench(data_dir, hostile=request.param == "adversary") as peer:
        yield peer


@pytest.fixture
async def gate(peer: Peer) -> AsyncIterator[Gate]:
    async with gate_to(peer) as gate:
        yield gate


def rank(run: RunSnapshot) -> int:
    """How far a run has come; an end is farthest."""
    return len(ON_THE_WAY) if run.is_terminal else ON_THE_WAY.index(run.status)


def is_told_forward(told: Sequence[RunSnapshot]) -> bool:
    return all(rank(before) <= rank(after) for before, after in pairwise(told))


def has_live_figures(run: RunSnapshot) -> bool:
    return bool(run.metrics and run.metrics.qps > 0)


def is_measured(run: RunSnapshot) -> bool:
    return run.phase == "MEASUREMENT" and bool(run.metrics and run.metrics.total_queries)


async def test_what_there_is_can_be_listed(gate: Gate, peer: Peer) -> None:
    run_id = (await gate.backend.create_run(peer.short)).run_id
    assert {peer.short, peer.long, peer.risky} <= {
        template.template_id for template in await gate.backend.templates()
    }
    listed = next(row for row in await gate.backend.runs() if row.run_id == run_id)
    assert listed.status == "PREPARED"
    connections = await gate.backend.connections()
    assert connections.total == len(connections.connections)


async def test_what_there_is_not_is_told_as_that_and_not_as_an_outage(gate: Gate) -> None:
    backend = gate.backend
    for look in (
        backend.template,
        backend.create_run,
        backend.run,
        backend.preflight,
        backend.snapshot,
        backend.series,
        backend.start,
        backend.stop,
    ):
        with pytest.raises(NotFound):
            await look(UNKNOWN)
    async with gate.live.watching(UNKNOWN) as watch:
        with anyio.fail_after(STOP_ANSWER_SECONDS_MAX), pytest.raises(NotFound):
            await watch.first(seconds_max=END_SECONDS_MAX)


async def test_a_run_is_prepared_and_nothing_but_a_start_starts_it(gate: Gate, peer: Peer) -> None:
    backend = gate.backend
    created = await backend.create_run(peer.short)
    run_id = created.run_id
    assert created.status == "PREPARED"
    for look in (backend.run, backend.readiness, backend.preflight, backend.series, backend.errors):
        await look(run_id)
    async with gate.live.watching(run_id) as watch:
        assert (await watch.first(seconds_max=10)).status == "PREPARED"
    snapshot = await backend.snapshot(run_id)
    assert (snapshot.status, snapshot.elapsed_seconds, snapshot.metrics) == ("PREPARED", 0, None)
    assert not peer.starts(run_id)


async def test_a_start_makes_a_run_active_and_a_second_one_is_refused(
    gate: Gate, peer: Peer
) -> None:
    run_id = await gate.started(peer.long)
    assert is_active((await gate.backend.snapshot(run_id)).status)
    running = (await gate.told(run_id, until=lambda run: run.status == "RUNNING"))[-1]
    with pytest.raises(Conflict):
        await gate.backend.start(run_id)
    assert (await gate.backend.snapshot(run_id)).status == running.status
    assert peer.starts(run_id) in {1, None}


async def test_what_is_active_is_named(gate: Gate, peer: Peer) -> None:
    assert (await gate.backend.activity()).active_run_id is None
    run_id = await gate.started(peer.long)
    await gate.told(run_id, until=lambda run: run.status == "RUNNING")
    assert (await gate.backend.activity()).active_run_id == run_id


async def test_live_figures_come_while_a_run_goes_on(gate: Gate, peer: Peer) -> None:
    run_id = await gate.started(peer.long)
    first = (await gate.told(run_id, until=has_live_figures))[-1]
    assert first.summary is None
    later = (
        await gate.told(
            run_id,
            until=lambda run: has_live_figures(run) and run.elapsed_seconds > first.elapsed_seconds,
        )
    )[-1]
    assert later.metrics is not None
    assert 0 <= later.metrics.error_rate <= 100


async def test_a_run_moves_forward_to_its_end_and_has_figures_only_there(
    gate: Gate, peer: Peer
) -> None:
    run_id = await gate.started(peer.short)
    told: list[RunSnapshot] = []
    asked: list[RunSnapshot] = []
    with anyio.fail_after(END_SECONDS_MAX):
        async with gate.live.watching(run_id) as watch:
            told.append(await watch.first(seconds_max=10))
            while not told[-1].is_settled:
                told.append(await watch.newer(told[-1], seconds_max=10))
                asked.append(await gate.backend.snapshot(run_id))
    for seen in (told, asked):
        assert is_told_forward(seen)
        assert seen[-1].status == "COMPLETED"
        assert [run.status for run in seen if run.summary] == ["COMPLETED"] * sum(
            run.is_terminal for run in seen
        )
    summary = told[-1].summary
    assert summary is not None
    assert summary.total_queries > 0
    assert summary.average_qps > 0


async def test_a_runs_time_is_the_backends_own(gate: Gate, peer: Peer) -> None:
    run_id = await gate.started(peer.short)
    told = await gate.told(run_id, until=is_settled)
    whole = peer.expected_seconds
    assert told[-1].elapsed_seconds == pytest.approx(whole, rel=ELAPSED_SLACK)
    assert told[-1].expected_seconds == whole
    assert all(0 <= run.elapsed_seconds <= 3 * whole for run in told)
    assert all(0 <= (run.progress_pct or 0) <= 100 for run in told)
    assert told[-1].measured_seconds is not None
    assert 0 < told[-1].measured_seconds <= whole * (1 + ELAPSED_SLACK)


async def test_results_stay_what_they_are_also_for_a_process_that_comes_later(
    gate: Gate, peer: Peer
) -> None:
    ended = await gate.ended(peer.short)
    assert (ended.status, ended.is_settled) == ("COMPLETED", True)
    for again in (
        await gate.backend.snapshot(ended.run_id),
        await gate.live.snapshot(ended.run_id),
    ):
        assert result_of(again) == result_of(ended)
    async with gate_to(peer) as anew:
        assert result_of(await anew.backend.snapshot(ended.run_id)) == result_of(ended)


async def test_an_end_is_known_after_a_restart_though_nobody_can_be_asked(
    peer: Peer,
) -> None:
    async with gate_to(peer) as gate:
        ended = await gate.ended(peer.short)
        prepared = (await gate.backend.create_run(peer.short)).run_id
    async with gate_to(peer, is_away=True) as anew:
        with anyio.fail_after(STOP_ANSWER_SECONDS_MAX):
            assert result_of(await anew.backend.snapshot(ended.run_id)) == result_of(ended)
            async with anew.live.watching(ended.run_id) as watch:
                assert result_of(await watch.first(seconds_max=10)) == result_of(ended)
        with pytest.raises(BackendUnavailable):
            await anew.backend.snapshot(prepared)


def result_of(run: RunSnapshot) -> RunSnapshot:
    """What of an ended run must never change."""
    return run.model_copy(update={"updated_at": None, "dashboard_url": None})


async def test_a_stop_is_answered_soon_and_told_as_what_it_is(gate: Gate, peer: Peer) -> None:
    is_stubborn = peer.make_stubborn()
    run_id = await gate.started(peer.long)
    before = await gate.told(run_id, until=is_measured)
    with anyio.fail_after(STOP_ANSWER_SECONDS_MAX):
        stopped = await gate.backend.stop(run_id)
    assert stopped.status in {"CANCELLING", "CANCELLED"}
    after = await gate.told(run_id, until=lambda run: run.is_terminal)
    assert is_told_forward(before + after)
    assert after[-1].status == "CANCELLED"
    assert (await gate.sightings.recall(run_id)).own_stop is not None
    settled = (await gate.told(run_id, until=is_settled))[-1]
    assert settled.status == "CANCELLED"
    if is_stubborn:
        assert settled.reason == BY_REQUEST
    async with gate_to(peer) as anew:
        assert result_of(await anew.backend.snapshot(run_id)) == result_of(settled)


async def test_a_stop_before_the_start_leaves_nothing_to_start(gate: Gate, peer: Peer) -> None:
    run_id = (await gate.backend.create_run(peer.short)).run_id
    await gate.backend.stop(run_id)
    assert (await gate.backend.snapshot(run_id)).status == "CANCELLED"
    with pytest.raises(Conflict):
        await gate.backend.start(run_id)
    assert not peer.starts(run_id)


async def test_a_stop_after_the_end_changes_nothing(gate: Gate, peer: Peer) -> None:
    ended = await gate.ended(peer.short)
    with suppress(Conflict):
        await gate.backend.stop(ended.run_id)
    assert result_of(await gate.backend.snapshot(ended.run_id)) == result_of(ended)
    assert (await gate.sightings.recall(ended.run_id)).own_stop is None
    async with gate_to(peer) as anew:
        assert result_of(await anew.backend.snapshot(ended.run_id)) == result_of(ended)


async def test_an_ended_run_has_its_seconds_and_its_errors(gate: Gate, peer: Peer) -> None:
    ended = await gate.ended(peer.short)
    series = await gate.backend.series(ended.run_id)
    assert series.count == len(series.snapshots) > 0
    assert False in {point.warmup for point in series.snapshots}
    assert any(point.ops_per_sec > 0 for point in series.snapshots)
    seconds = [point.elapsed_seconds for point in series.snapshots]
    assert seconds == sorted(seconds)
    errors = await gate.backend.errors(ended.run_id)
    assert bool(errors.rows) == (peer.world is not None)


async def test_a_high_warning_speaks_against_a_start(gate: Gate, peer: Peer) -> None:
    risky = (await gate.backend.create_run(peer.risky)).run_id
    sound = (await gate.backend.create_run(peer.short)).run_id
    report = await gate.backend.preflight(risky)
    assert not report.can_proceed
    assert "high" in {warning.severity for warning in report.warnings}
    assert (await gate.backend.preflight(sound)).can_proceed


async def test_a_conversation_leads_from_a_template_to_its_result(peer: Peer) -> None:
    person = Person(YES)
    async with (
        open_gate(peer.settings) as server,
        Client(server, elicitation_callback=person) as it,
    ):
        run_id = (await call(it, "create_run", template_id=peer.short))["run_id"]
        assert (await call(it, "preflight", run_id=run_id))["can_proceed"]
        assert (await call(it, "start_run", run_id=run_id))["outcome"] == "started"
        # A short run may have ended by then, and nothing can be said of it while it is counted.
        again = await it.call_tool("start_run", {"run_id": run_id})
        assert again.is_error or (again.structured_content or {})["outcome"] != "started"
        told = await until_ended(it, run_id)
        results = await call(it, "get_results", run_ids=[run_id])
    assert told["status"] == "COMPLETED"
    assert results["summary_metrics"] == told["summary"]
    assert len(person.questions) == 1
    assert peer.starts(run_id) in {1, None}


async def test_a_conversation_ends_a_run_on_request_and_says_so(peer: Peer) -> None:
    async with (
        open_gate(peer.settings) as server,
        Client(server, elicitation_callback=Person(YES)) as it,
    ):
        run_id = (await call(it, "create_run", template_id=peer.long))["run_id"]
        await call(it, "start_run", run_id=run_id)
        with anyio.fail_after(STOP_ANSWER_SECONDS_MAX):
            stopped = await call(it, "stop_run", run_id=run_id)
        assert stopped["status"] in {"CANCELLING", "CANCELLED"}
        told = await until_ended(it, run_id)
    assert told["status"] == "CANCELLED"
    if peer.world is not None:
        assert told["reason"] == BY_REQUEST


async def test_in_conversation_an_unknown_run_is_told_as_unknown(peer: Peer) -> None:
    async with open_gate(peer.settings) as server, Client(server) as it:
        result = await it.call_tool("get_status", {"run_id": UNKNOWN, "wait_seconds": 5})
    assert result.is_error
    assert "not found" in text_of(result).lower()


async def until_ended(it: Client, run_id: str) -> dict[str, object]:
    """What is told of a run when nothing more is to come of it."""
    with anyio.fail_after(END_SECONDS_MAX):
        while True:
            told = await call(it, "get_status", run_id=run_id, wait_seconds=5)
            if "next_check_seconds" not in told:
                return told


@pytest.fixture
async def hostile(tmp_path: Path) -> AsyncIterator[Peer]:
    async with flakebench(tmp_path / "gate", hostile=True) as peer:
        yield peer


async def test_the_hostile_one_redirects_loses_answers_and_has_the_wrong_time(
    hostile: Peer,
) -> None:
    async with httpx.AsyncClient(base_url=hostile.address.url, trust_env=False) as http:
        moved = await http.get("/api/templates/")
        assert (moved.status_code, moved.headers["location"]) == (307, "/api/templates")
        for _ in range(3):
            told = (await http.get("/api/templates")).json()
            assert datetime.fromisoformat(told[0]["created_at"]) < BIRTH
        with pytest.raises(httpx.TransportError):
            await http.get("/api/templates")
        assert (await http.get("/api/templates")).is_success


async def test_a_stream_that_drops_every_second_is_opened_again_and_tells_on(
    hostile: Peer,
) -> None:
    world = hostile.world
    assert world is not None
    async with gate_to(hostile) as gate:
        run_id = await gate.started(hostile.long)
        told = await gate.told(
            run_id, until=lambda run: run.source == "stream" and world.counts.streams[run_id] > 1
        )
    assert has_live_figures(told[-1])
    assert is_told_forward(told)
    assert {run.run_id for run in told} == {run_id}
    assert world.counts.client_frames[run_id] == 0
