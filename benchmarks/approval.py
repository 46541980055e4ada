"""What a person's yes adds to a start, beside a bare SDK tool that starts without asking.

The client answers at once, so what is measured is the work of asking, recording, reading the
facts again and using the yes once, and no person's time.
"""

from statistics import median
from time import perf_counter

from mcp import Client

from benchmarks.scene import Scene, scene, spawned, structured
from benchmarks.table import Row

ROUNDS = 25
BAR_MS = 15.0


async def rows() -> list[Row]:
    """Medians of starts that alternate, each of a run of its own that is stopped at once."""
    async with scene() as stage:
        token = stage.record.token.get_secret_value()
        peer_arguments = ["-m", "benchmarks.peers.unasked", stage.record.url, token]
        async with spawned(peer_arguments) as peer:
            ours: list[float] = []
            theirs: list[float] = []
            # The first start of each opens connections and imports; no later one does.
            for number in range(ROUNDS + 1):
                seconds = [
                    await _seconds(stage, peer, "start"),
                    await _seconds(stage, stage.client, "start_run"),
                ]
                if number:
                    theirs.append(seconds[0])
                    ours.append(seconds[1])
    return [
        Row(
            name="a start that asks nobody, bare SDK tool",
            measured=median(theirs) * 1_000,
            bar=None,
            unit="ms",
        ),
        Row(
            name="what the approval adds to a start",
            measured=(median(ours) - median(theirs)) * 1_000,
            bar=BAR_MS,
            unit="ms",
        ),
    ]


async def _seconds(stage: Scene, client: Client, tool: str) -> float:
    """How long *tool* takes to start a run of its own."""
    run = {"run_id": await stage.prepared_run()}
    began = perf_counter()
    result = await client.call_tool(tool, run)
    seconds = perf_counter() - began
    assert not result.is_error, result.content
    structured(await stage.client.call_tool("stop_run", run))
    ended = structured(await stage.client.call_tool("get_status", run | {"wait_seconds": 25}))
    assert ended["status"] == "CANCELLED", ended
    return seconds
