"""The actor that hosts a worker on a cluster, without a cluster: what it does on its own."""

import time
from pathlib import Path

import anyio
import pytest

from benchgate.backend.engine.assignments import assignments
from benchgate.backend.engine.cluster.actor import END, UNHEARD_LIMIT_S, LoadActor
from benchgate.backend.engine.messages import Begin, Go, line_of
from tests.integration.databases import until
from tests.integration.scripted import DRIVERS, NS_PER_S, notes
from tests.integration.workplaces import load_in

pytestmark = pytest.mark.anyio

ASK_FOR_S = 0.1


async def test_a_worker_that_nobody_listens_to_ends_its_load(tmp_path: Path) -> None:
    actor = LoadActor(DRIVERS)
    (assignment, _) = assignments(load_in(tmp_path), 2)
    actor.tell(line_of(Begin(assignment=assignment)))
    go = Go(start_epoch_ns=time.time_ns() + NS_PER_S // 10, warmup_seconds=0, duration_seconds=600)
    actor.tell(line_of(go))
    await until(lambda: any(note.has_stopped for note in notes(tmp_path)), UNHEARD_LIMIT_S + 3)
    lines = await everything_said(actor)
    assert [kind_of(line) for line in lines[:1]] == ["ready"]
    assert [kind_of(line) for line in lines[-2:-1]] == ["done"]


async def everything_said(actor: LoadActor) -> list[bytes]:
    lines: list[bytes] = []
    with anyio.fail_after(5):
        while END not in lines:
            lines += await anyio.to_thread.run_sync(actor.next_lines, ASK_FOR_S)
    return lines


def kind_of(line: bytes) -> str:
    return line.decode().split('"')[3]
