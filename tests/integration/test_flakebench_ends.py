"""Ends of runs on FlakeBench that nobody watched, told by whoever looks later."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from benchgate.gate.backend import Backend
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.flakebench.app import served
from tests.flakebench.clock import ScaledClock
from tests.flakebench.runs import GUARDRAIL, STOPPED_BY_USER, WORKER_LOST
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio

SPEED = 20


@asynccontextmanager
async def late(world: World) -> AsyncGenerator[Backend]:
    """Somebody who has seen nothing of what happened before."""
    async with served(world) as url, httpx.AsyncClient(trust_env=False) as http:
        yield Backend(Configured(Address(url=url, dashboard_url=url)), http)


@pytest.mark.parametrize(
    ("reason", "status"),
    [(GUARDRAIL, "STOPPED"), (WORKER_LOST, "FAILED"), (STOPPED_BY_USER, "CANCELLED")],
)
async def test_the_reason_of_an_end_that_nobody_saw_is_read_from_the_stream(
    reason: str, status: str
) -> None:
    world = World(clock=ScaledClock(SPEED))
    run_id = world.create("tpl-long").run_id
    world.start(run_id)
    run = world.runs[run_id]
    run.advance(20)
    run.fail(20, reason)
    run.advance(60)
    assert run.seen(60).reason is None
    async with late(world) as backend:
        told = await backend.snapshot(run_id)
    assert (told.status, told.reason) == (status, reason)
    assert told.is_settled
