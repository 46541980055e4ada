"""What the facts of a run say of another run that is active: which, how long still, what to do."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx

from benchgate.gate import backend as port
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.facts import FactsReader, Obstacle
from benchgate.gate.lane import Lane
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.unit.asked import home_in

pytestmark = pytest.mark.anyio

URL = "http://backend.test"
RUN: dict[str, Any] = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "PREPARED",
    "template_id": "a",
    "template_name": "orders",
    "config": {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100},
    "created_at": "2026-01-01T00:00:00Z",
}
HEALTH: dict[str, Any] = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
    "active_run_id": "r7",
}
ACTIVE: dict[str, Any] = {"test_id": "t7", "run_id": "r7", "status": "RUNNING"}
WITHOUT = (
    "Run r7 is active on this backend, and tests run one at a time: "
    "wait for it with get_status on it, or stop it with stop_run."
)


@pytest.fixture
def routes() -> Iterator[respx.MockRouter]:
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    router.get("/api/runs/r1/").respond(json=RUN)
    router.get("/api/runs/r7/", name="active").respond(
        json=RUN | {"run_id": "r7", "test_id": "t7", "status": "RUNNING"}
    )
    with router:
        yield router


@pytest.fixture
async def reader(routes: respx.MockRouter, tmp_path: Path) -> AsyncIterator[FactsReader]:
    address = Address(url=URL, dashboard_url=URL)
    async with httpx.AsyncClient(trust_env=False) as http:
        backend = Backend(Configured(address), http)
        lane = Lane(Desk(home_in(tmp_path)), backend=backend.identity, owner="me")
        yield FactsReader(backend, lane)


def timed(expected: float | None, elapsed: float) -> dict[str, Any]:
    return {"total_expected_seconds": expected, "elapsed_display_seconds": elapsed}


async def test_what_is_in_the_way_is_told_with_the_time_that_it_still_takes(
    routes: respx.MockRouter, reader: FactsReader
) -> None:
    routes.get("/api/tests/t7/").respond(json=ACTIVE | {"timing": timed(310, 180.2)})
    told = await reader.read("r1")
    assert isinstance(told, Obstacle)
    assert told.reason == (
        "Run r7 is active on this backend, about 2m 10s left, and tests run one at a time: "
        "wait for it with get_status on it, or stop it with stop_run."
    )


@pytest.mark.parametrize(
    "answer",
    [
        ACTIVE,
        ACTIVE | {"timing": timed(None, 180)},
        ACTIVE | {"timing": timed(310, 310), "status": "STOPPING"},
        ACTIVE | {"timing": timed(310, 400)},
        ACTIVE | {"timing": timed(310, 180), "status": "CANCELLED"},
    ],
    ids=["untimed", "open end", "being counted", "overdue", "ended meanwhile"],
)
async def test_a_time_that_nobody_knows_is_not_told(
    routes: respx.MockRouter, reader: FactsReader, answer: dict[str, Any]
) -> None:
    routes.get("/api/tests/t7/").respond(json=answer)
    assert await reader.in_the_way("r7") == WITHOUT


@pytest.mark.parametrize(
    "failure",
    [httpx.Response(404, json={"detail": "?"}), httpx.Response(500), httpx.ReadError("reset")],
    ids=["unknown", "crashed", "cut"],
)
async def test_a_run_in_the_way_is_told_even_if_it_cannot_be_looked_at(
    routes: respx.MockRouter, reader: FactsReader, failure: httpx.Response | Exception
) -> None:
    routes["active"].side_effect = [failure, failure]
    told = await reader.read("r1")
    assert isinstance(told, Obstacle)
    assert told.reason == WITHOUT


async def test_a_run_in_the_way_that_nobody_tells_of_is_not_waited_for(
    routes: respx.MockRouter, reader: FactsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(port, "LOOK_AFTER_ACT_SECONDS_MAX", 0.05)
    routes["active"].side_effect = silence
    with anyio.fail_after(5):
        assert await reader.in_the_way("r7") == WITHOUT
