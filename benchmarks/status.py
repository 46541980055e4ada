"""One `get_status` over stdio, beside a bare SDK tool that makes one GET to the same backend."""

from collections.abc import Mapping
from statistics import median
from time import perf_counter

from mcp import Client

from benchmarks.scene import Scene, scene, spawned
from benchmarks.table import Row

BLOCKS = 10
CALLS_PER_BLOCK = 40
BAR = 1.5


async def rows() -> list[Row]:
    """Medians of calls in interleaved blocks, on a prepared run."""
    async with scene() as stage:
        run_id = await stage.prepared_run()
        arguments = _one_get(stage, run_id)
        async with spawned(arguments) as peer:
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(BLOCKS):
                ours += await _seconds(stage.client, "get_status", {"run_id": run_id})
                theirs += await _seconds(peer, "get", {})
    return [
        Row(
            name="status call, bare SDK tool with one GET",
            measured=median(theirs) * 1_000,
            bar=None,
            unit="ms",
        ),
        Row(
            name="get_status, to the bare tool",
            measured=median(ours) / median(theirs),
            bar=BAR,
            unit="x",
        ),
    ]


def _one_get(stage: Scene, run_id: str) -> list[str]:
    url = f"{stage.record.url}/api/tests/{run_id}/"
    token = stage.record.token.get_secret_value()
    return ["-m", "benchmarks.peers.one_get", url, token]


async def _seconds(client: Client, tool: str, arguments: Mapping[str, str]) -> list[float]:
    taken: list[float] = []
    for _ in range(CALLS_PER_BLOCK):
        began = perf_counter()
        result = await client.call_tool(tool, dict(arguments))
        taken.append(perf_counter() - began)
        assert not result.is_error, result.content
    return taken
