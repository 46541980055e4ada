"""FlakeBench's recorded answers, as tests read them."""

import json
from pathlib import Path
from typing import Any

from benchgate.gate.dialects.flakebench.payloads import Frame, Template, Test

FOLDER = Path(__file__).parents[3] / "flakebench" / "samples"

TESTS = sorted(path.stem for path in FOLDER.glob("rest_*.json"))
STREAMS = sorted(path.stem for path in FOLDER.glob("ws_*.json"))
ROWS = sorted(path.stem for path in FOLDER.glob("list_row_*.json"))


def text_of(name: str) -> str:
    """The recorded body *name*."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def recorded(name: str, **changes: object) -> Test:
    """A recorded test with *changes*; None leaves null."""
    return Test.model_validate(json.loads(text_of(name)) | changes)


def frames_of(name: str) -> list[Frame]:
    """The frames of a recorded stream, without its greeting."""
    return [Frame.model_validate(message["data"]) for message in json.loads(text_of(name))[1:]]


def frame_of(name: str, status: str, *, phase: str, **changes: object) -> Frame:
    """The last recorded frame in *status* and *phase*, with *changes*."""
    messages = [message["data"] for message in json.loads(text_of(name))[1:]]
    found = [one for one in messages if (one["status"], one["phase"]) == (status, phase)]
    return Frame.model_validate(found[-1] | changes)


def saved_template(config: dict[str, Any] | None = None, **changes: object) -> Template:
    """A template as FlakeBench has saved it, its configuration with changes."""
    known: dict[str, Any] = {
        "template_id": "tpl-fixed",
        "template_name": "Fixed 10 threads",
        "description": None,
        "config": {
            "table_type": "STANDARD",
            "database": "BENCH",
            "schema": "PUBLIC",
            "table_name": "ORDERS",
            "warehouse_name": "BENCH_WH",
            "warehouse_size": "MEDIUM",
            "custom_point_lookup_pct": 100.0,
            "load_mode": "CONCURRENCY",
            "concurrent_connections": 10,
            "duration": 6,
            "warmup": 2,
        }
        | (config or {}),
        "created_at": "2026-11-23T13:00:00+00:00",
        "updated_at": "2026-11-23T13:00:00+00:00",
        "created_by": None,
        "tags": None,
        "usage_count": 0,
        "last_used_at": None,
    }
    return Template.model_validate(known | changes)
