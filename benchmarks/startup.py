"""From the spawn of a server to its answered tools/list, beside the barest server of the SDK.

Interleaved, so that a busy moment of the machine meets all of them; medians, so that one such
moment decides nothing.
"""

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.scene import BENCHGATE, spawned
from benchmarks.table import Row

ROUNDS = 11
BAR = 1.3
BARE = ("-m", "benchmarks.peers.bare")


async def rows() -> list[Row]:
    """Ratios to the bare server, with the embedded backend and with one that never answers."""
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as data, socket.socket() as silent:
        # It accepts connections and says nothing: the worst kind of a backend that is down.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        down = f"http://127.0.0.1:{silent.getsockname()[1]}"
        local = {"BENCHGATE_DATA_DIR": str(Path(data, "data"))}
        bare: list[float] = []
        alone: list[float] = []
        unanswered: list[float] = []
        for _ in range(ROUNDS):
            bare.append(await _seconds(BARE, {}))
            alone.append(await _seconds(BENCHGATE, local))
            unanswered.append(await _seconds(BENCHGATE, local | {"BENCHGATE_BACKEND_URL": down}))
    return [
        Row(name="start-up, bare SDK server", measured=median(bare) * 1_000, bar=None, unit="ms"),
        Row(
            name="start-up, to the bare server",
            measured=median(alone) / median(bare),
            bar=BAR,
            unit="x",
        ),
        Row(
            name="start-up with the backend down",
            measured=median(unanswered) / median(bare),
            bar=BAR,
            unit="x",
        ),
    ]


async def _seconds(arguments: Sequence[str], environment: dict[str, str]) -> float:
    began = perf_counter()
    async with spawned(arguments, environment) as client:
        await client.list_tools()
        return perf_counter() - began
