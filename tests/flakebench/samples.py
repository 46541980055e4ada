"""The recorded answers of the real product, which give the emulation its keys."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "samples"


@cache
def _read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def sample(name: str) -> Json:
    """The body recorded as *name*, to be changed at will."""
    return deepcopy(_read(name))


def frames(name: str) -> list[Json]:
    """The WebSocket messages recorded as *name*, to be changed at will."""
    return deepcopy(_read(name))


def frame_data(name: str, number: int) -> Json:
    """What the RUN_UPDATE with that *number* carries."""
    data: Json = frames(name)[number]["data"]
    return data
