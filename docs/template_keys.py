"""The reference of a template's keys: types, limits and defaults from the model, words from here.

A key without words, and words without a key, are errors.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

OBJECTIVE_KINDS = {
    "point_lookup": "lookups",
    "range_scan": "scans",
    "insert": "inserts",
    "update": "updates",
}
OBJECTIVES = {
    "p95_latency_ms": "at most this p95 in milliseconds",
    "p99_latency_ms": "at most this p99 in milliseconds",
    "error_rate_pct": "at most this share of errors",
}
MEANINGS: dict[str, str] = {
    "table_type": "What kind of table, and so which database, is loaded.",
    "database": "The database's name; for `SQLITE` and `DUCKDB` the absolute path of its file.",
    "schema": "The schema; for `POSTGRES` empty means `public`.",
    "table_name": "The table, which must exist and hold rows.",
    "warehouse_name": "Snowflake: the virtual warehouse.",
    "warehouse_size": "Snowflake: its size, which the estimate of the cost stands on.",
    "postgres_instance_size": "Snowflake Postgres: the instance's size, likewise.",
    "connection_id": "The saved connection; none means the default one of its type.",
    "custom_point_lookup_pct": "Share of lookups by primary key.",
    "custom_range_scan_pct": "Share of scans over 100 rows from a random key on.",
    "custom_insert_pct": "Share of single-row inserts.",
    "custom_update_pct": "Share of single-row updates by primary key.",
    "custom_point_lookup_query": "SQL of your own for lookups.",
    "custom_range_scan_query": "SQL of your own for scans.",
    "custom_insert_query": "SQL of your own for inserts.",
    "custom_update_query": "SQL of your own for updates.",
    "generic_queries": "Further statements of your own, each with its share.",
    "load_mode": "How the load is governed.",
    "scaling": "Limits on workers and connections.",
    "duration": "Measured time in seconds; of a search the most that it may take.",
    "warmup": "Seconds of load before that, which do not count.",
    "think_time": "Milliseconds that each connection waits between two operations; not for `QPS`.",
    "concurrent_connections": "Connections that each send one operation after the other; for `QPS` "
    "the most that are opened.",
    "target_qps": "`QPS`: operations per second to be held.",
    "starting_threads": "`QPS`: connections to begin with, 4 where none is named; more are opened "
    "as they are needed.",
    "start_concurrency": "`FIND_MAX_CONCURRENCY`: connections of the first step.",
    "concurrency_increment": "`FIND_MAX_CONCURRENCY`: connections that each step adds.",
    "step_duration_seconds": "`FIND_MAX_CONCURRENCY`: length of a step.",
    "qps_stability_pct": "`FIND_MAX_CONCURRENCY`: loss of QPS at which a step counts as worse.",
    "latency_stability_pct": "`FIND_MAX_CONCURRENCY`: rise of p95 or p99 at which it counts as "
    "worse.",
    "max_error_rate_pct": "`FIND_MAX_CONCURRENCY`: share of failures above which it counts as "
    "worse.",
    "arrivals": "`QPS`: how the starts of operations follow each other: evenly, or at random as "
    "independent users come.",
    "write_target": "Where a workload that writes is run: on a scratch copy of the table, which is "
    "removed afterwards, or on the table itself.",
    "worker_loss": "What becomes of a run that loses a load worker: it fails, or the others take "
    "over its connections.",
    "use_cached_result": "Snowflake: whether a statement may be answered from a result kept of an "
    "earlier one, which measures no warehouse.",
    "decode_rows": "Whether rows are made into Python objects, as an application does, or only "
    "received.",
    "guardrails": "Limits at which the run is stopped.",
    "enabled": "Whether the limits hold.",
    "max_cpu_percent": "The machine's CPU.",
    "max_memory_percent": "The machine's memory.",
    "max_error_rate_percent": "Share of operations that fail.",
    "max_seconds": "Seconds of load.",
    "mode": "`FIXED` opens `min_workers` times `min_connections` connections.",
    "min_workers": "Workers at least.",
    "max_workers": "Workers at most.",
    "min_connections": "Connections of each worker at least.",
    "max_connections": "Connections of each worker at most.",
    "label": "A name for the statement.",
    "operation_type": "Whether it reads or writes.",
    "weight_pct": "Its share of the workload.",
    "sql": "The statement.",
    "parameters": "What its parameters are bound to; none means the key columns.",
} | {
    f"target_{kind}_{figure}": f"Objective for {kinds}: {meaning}."
    for kind, kinds in OBJECTIVE_KINDS.items()
    for figure, meaning in OBJECTIVES.items()
}

Schema = dict[str, Any]
TableRow = tuple[str, str, str, str]


def key_rows(model: type[BaseModel]) -> Iterable[TableRow]:
    """Key, allowed values, default and meaning of each field of *model*."""
    schema = model.model_json_schema(by_alias=True)
    required = schema.get("required", [])
    for key, field in schema["properties"].items():
        default = "required" if key in required else _default(field)
        yield f"`{key}`", _values(field, schema), default, MEANINGS[key]


def _values(field: Schema, schema: Schema) -> str:
    if "anyOf" in field:
        return _values(field["anyOf"][0], schema)
    if "$ref" in field:
        return _named(field["$ref"].rpartition("/")[2], schema)
    if field["type"] == "boolean":
        return "`true`, `false`"
    if field["type"] == "array":
        return f"list, at most {field['maxItems']:,}"
    if field["type"] == "string":
        return f"text, at most {field['maxLength']:,} characters"
    return _range(field)


def _named(name: str, schema: Schema) -> str:
    values = schema["$defs"][name].get("enum")
    return ", ".join(f"`{value}`" for value in values) if values else "see below"


def _range(field: Schema) -> str:
    kind = "whole number" if field["type"] == "integer" else "number"
    bounds: list[str] = []
    if "minimum" in field:
        bounds.append(f"from {field['minimum']:,}")
    if "exclusiveMinimum" in field:
        bounds.append(f"above {field['exclusiveMinimum']:,}")
    if "maximum" in field:
        bounds.append(f"to {field['maximum']:,}")
    return " ".join((kind, *bounds))


def _default(field: Schema) -> str:
    default = field.get("default")
    if default in (None, "") or isinstance(default, list | dict):
        return "none"
    return f"`{default}`" if isinstance(default, str) else json.dumps(default)
