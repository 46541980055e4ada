"""What the emulated backend reads out of a template, and the templates that it comes with."""

from dataclasses import dataclass
from typing import Any

from tests.flakebench.samples import Json

FIND_MAX = "FIND_MAX_CONCURRENCY"
CEILING_THREADS = 10_000
STEP_SECONDS_MIN = 10
CREDITS_PER_HOUR = {"XSMALL": 1, "SMALL": 2, "MEDIUM": 4, "LARGE": 8, "XLARGE": 16}
POSTGRES_CREDITS_PER_HOUR = 0.0356
USD_PER_CREDIT = 4.0
KEYED_TABLES = frozenset({"HYBRID", "INTERACTIVE"})


class Refused(Exception):
    """The backend will not do that; the text is its own reason."""


@dataclass(frozen=True)
class Plan:
    """A template's configuration as a run reads it. Times are seconds."""

    table_type: str
    load_mode: str
    warmup_s: int
    duration_s: int
    threads: int
    target_qps: float
    starting_threads: int
    start_concurrency: int
    concurrency_increment: int
    step_s: int
    qps_stability_pct: float
    latency_stability_pct: float
    max_error_rate_pct: float
    ceiling_threads: int
    credits_per_hour: float
    cpu_limit_pct: float
    memory_limit_pct: float

    @property
    def start_threads(self) -> int:
        """What the run shows as its concurrency."""
        by_mode = {FIND_MAX: self.start_concurrency, "QPS": self.starting_threads}
        return by_mode.get(self.load_mode, self.threads)

    @property
    def expected_s(self) -> int:
        """Warm-up and measurement; zero where the load decides its own end."""
        return 0 if self.load_mode == FIND_MAX else self.warmup_s + self.duration_s


def plan_of(config: Json) -> Plan:
    """What *config* asks for, with the product's defaults."""
    scaling: Json = config.get("scaling") or {}
    table_type = str(config.get("table_type") or "STANDARD").upper()
    return Plan(
        table_type=table_type,
        load_mode=config.get("load_mode") or "CONCURRENCY",
        warmup_s=config.get("warmup") or 0,
        duration_s=config.get("duration") or 300,
        threads=config.get("concurrent_connections") or 10,
        target_qps=config.get("target_qps") or 0.0,
        starting_threads=int(config.get("starting_threads") or 1),
        start_concurrency=config.get("start_concurrency") or 5,
        concurrency_increment=config.get("concurrency_increment") or 10,
        step_s=config.get("step_duration_seconds") or 30,
        qps_stability_pct=config.get("qps_stability_pct") or 5.0,
        latency_stability_pct=config.get("latency_stability_pct") or 20.0,
        max_error_rate_pct=config.get("max_error_rate_pct") or 1.0,
        ceiling_threads=_ceiling(scaling),
        credits_per_hour=_credits_per_hour(config, table_type),
        cpu_limit_pct=_limit_pct(config, "cpu"),
        memory_limit_pct=_limit_pct(config, "memory"),
    )


def _limit_pct(config: Json, what: str) -> float:
    guardrails: Json = config.get("guardrails") or {}
    return float(guardrails[f"max_{what}_percent"]) if guardrails.get("enabled") else -1.0


def _ceiling(scaling: Json) -> int:
    workers = scaling.get("max_workers") or -1
    if workers < 0:
        return CEILING_THREADS
    connections = scaling.get("max_connections") or -1
    return min(CEILING_THREADS, workers * (connections if connections > 0 else 200))


def _credits_per_hour(config: Json, table_type: str) -> float:
    if table_type == "POSTGRES":
        return POSTGRES_CREDITS_PER_HOUR
    return CREDITS_PER_HOUR.get(str(config.get("warehouse_size") or "").upper(), 0)


def check_saved(config: Json) -> None:
    """What the backend looks at when a template is saved.

    Raises:
        Refused: a key goes by another name now, or the percentages do not sum to 100.
    """
    if "min_concurrency" in config:
        raise Refused("min_concurrency is no longer supported; use scaling.min_connections.")
    kinds = ("point_lookup", "range_scan", "insert", "update")
    total_pct = sum(float(config.get(f"custom_{kind}_pct") or 0) for kind in kinds)
    generic: list[Json] = config.get("generic_queries") or []
    total_pct += sum(float(query.get("weight_pct") or 0) for query in generic)
    if round(total_pct, 2) != 100:
        raise Refused(f"Custom query weights must sum to 100.00 (currently {total_pct:.2f}).")


def check_created(config: Json) -> None:
    """What the backend looks at only when a run is created.

    Raises:
        Refused: something that a run needs is missing or out of range.
    """
    named = ["database", "schema", "table_name"]
    if plan_of(config).table_type != "POSTGRES":
        named.append("warehouse_name")
    for name in named:
        if not config.get(name):
            what = name.removesuffix("_name")
            raise Refused(f"{name} is required (select an existing {what}).")
    if plan_of(config).step_s < STEP_SECONDS_MIN:
        raise Refused(
            "1 validation error for TestScenario\nstep_duration_seconds\n"
            "  Input should be greater than or equal to 10"
        )


def config_of(**changes: Any) -> Json:
    """Ten threads of point lookups on a standard table for six seconds, but for *changes*."""
    config: Json = {
        "table_type": "STANDARD",
        "database": "BENCH",
        "schema": "PUBLIC",
        "table_name": "ORDERS",
        "warehouse_name": "BENCH_WH",
        "warehouse_size": "MEDIUM",
        "workload_type": "CUSTOM",
        "custom_point_lookup_pct": 100.0,
        "custom_range_scan_pct": 0.0,
        "custom_insert_pct": 0.0,
        "custom_update_pct": 0.0,
        "load_mode": "CONCURRENCY",
        "concurrent_connections": 10,
        "duration": 6,
        "warmup": 2,
        "scaling": {
            "mode": "AUTO",
            "min_workers": 1,
            "max_workers": None,
            "min_connections": 1,
            "max_connections": None,
        },
    }
    return config | changes


SEARCH: Json = {
    "load_mode": FIND_MAX,
    "start_concurrency": 5,
    "concurrency_increment": 5,
    "step_duration_seconds": 10,
    "concurrent_connections": None,
}
CLAMPED: Json = {
    "mode": "AUTO",
    "min_workers": 1,
    "max_workers": 1,
    "min_connections": 1,
    "max_connections": 10,
}
GUARDRAILS: Json = {"enabled": True, "max_cpu_percent": 80, "max_memory_percent": 85}
WRITES: Json = {
    "concurrent_connections": 50,
    "custom_point_lookup_pct": 40.0,
    "custom_insert_pct": 30.0,
    "custom_update_pct": 30.0,
}


def own_templates() -> dict[str, tuple[str, Json]]:
    """Name and configuration of each template that the backend comes with, by its id."""
    return {
        "tpl-fixed": ("Fixed 10 threads", config_of()),
        "tpl-long": ("Fixed, 10 minutes", config_of(duration=600)),
        "tpl-writes": ("Fixed, half writes", config_of(**WRITES)),
        "tpl-qps": (
            "QPS 300",
            config_of(load_mode="QPS", target_qps=300.0, starting_threads=2.0, duration=60),
        ),
        "tpl-findmax": ("Find max", config_of(**SEARCH)),
        "tpl-clamped": ("Find max, clamped", config_of(**SEARCH, scaling=CLAMPED)),
        "tpl-guardrail": ("CPU guardrail", config_of(duration=60, guardrails=GUARDRAILS)),
        "tpl-hybrid": ("Hybrid lookups", config_of(table_type="HYBRID")),
    }
