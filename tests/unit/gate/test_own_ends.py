"""How ends are told that were our wish, while nobody can or need be asked about them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import respx

from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus
from benchgate.errors import BenchgateError
from benchgate.gate import backend as port
from benchgate.gate.backend import Backend
from benchgate.gate.sightings import Sightings
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.unit.examples import NOON

pytestmark = pytest.mark.anyio

URL = "http://backend.test"
CONFIG = {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100}
TEMPLATE = {"template_id": "t", "template_name": "n", "created_at": NOON.isoformat()}
BY_BOUND = OwnStop(status=RunStatus.STOPPED, reason="Its time was over")


@asynccontextmanager
async def stopping(known: Sightings) -> AsyncGenerator[Backend]:
    """A backend of the specification, of which a test says what it answers."""
    async with httpx.AsyncClient(trust_env=False) as http:
        address = Address(url=URL, dashboard_url=URL)
        yield Backend(Configured(address), http, sightings=known)


async def test_a_run_that_goes_on_long_after_our_stop_is_not_ours_to_have_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Sightings()
    told = {"run_id": "r1", "test_id": "r1", "status": "RUNNING"} | TEMPLATE
    async with stopping(known) as backend:
        with respx.mock(assert_all_called=False) as router:
            router.post(f"{URL}/api/runs/r1/stop").respond(500)
            for path in ("/api/runs/r1/", "/api/tests/r1/"):
                router.get(URL + path).respond(json=told | {"config": CONFIG})
            with pytest.raises(BenchgateError):
                await backend.stop("r1")
            await backend.snapshot("r1")
            assert (await known.recall("r1")).own_stop is not None
            monkeypatch.setattr(port, "STOP_TAKEN_SECONDS_MAX", 0)
            await backend.snapshot("r1")
    assert (await known.recall("r1")).own_stop is None


async def test_a_stop_that_ends_a_run_at_once_is_known_before_the_run_is_asked_about() -> None:
    known = Sightings()
    async with stopping(known) as backend:
        with respx.mock() as router:
            cancelled = {"run_id": "r1", "status": "CANCELLED"}
            router.post(f"{URL}/api/runs/r1/stop").respond(202, json=cancelled)
            await backend.stop("r1", own_stop=BY_BOUND)
    seen = (await known.recall("r1")).snapshot
    assert seen is not None
    assert (seen.status, seen.reason, seen.is_settled) == ("STOPPED", BY_BOUND.reason, False)


async def test_a_list_tells_ends_as_they_are_known() -> None:
    known = Sightings()
    rows = [
        {"run_id": f"r{n}", "template_id": "t", "template_name": "n", "status": status}
        | {"created_at": NOON.isoformat()}
        for n, status in enumerate(("FAILED", "CANCELLED", "RUNNING"), start=1)
    ]
    await known.note(RunSnapshot(run_id="r1", status="STOPPED"))
    async with stopping(known) as backend:
        with respx.mock() as router:
            router.get(f"{URL}/api/runs/").respond(json=rows)
            listed = await backend.runs()
    assert [row.status for row in listed] == ["STOPPED", "CANCELLED", "RUNNING"]
