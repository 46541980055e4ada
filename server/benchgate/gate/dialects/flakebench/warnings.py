"""The preflight that FlakeBench cannot give: what a template gives reason to warn of there.

Its own rules read a run's settings where they are not stored, and so never warn. What could be
told from elsewhere (a warehouse's type, a bound of our own) comes in as a value.
"""

from typing import Any

from benchgate.domain.bounds import WORKER_CONNECTIONS_DEFAULT, Bound
from benchgate.domain.preflight import PreflightWarning, Severity, warnings_of
from benchgate.domain.templates import LoadMode, QueryKind, ScalingMode, TableType, TemplateConfig
from benchgate.domain.text import one_line

INTERACTIVE = "INTERACTIVE"
POOLED_TABLES = frozenset({TableType.HYBRID, TableType.INTERACTIVE})
POOLED_KINDS = frozenset({QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN, QueryKind.UPDATE})
DETAIL_CHARACTERS_MAX = 120


def foreseen(
    config: TemplateConfig,
    *,
    warehouse_type: str | None = None,
    bound: Bound | None = None,
) -> list[PreflightWarning]:
    """Everything that *config* gives reason to warn of, found by benchgate.

    *warehouse_type* is that of its warehouse, None where nobody knows it; *bound* is where
    benchgate itself stops a search, None where it does not.
    """
    locks = [one.model_copy(update={"source": "benchgate"}) for one in warnings_of(config)]
    return [
        *locks,
        *_interactive(config, warehouse_type),
        *_value_pools(config),
        *_search(config, bound),
        *_out_of_reach(config),
        *_no_connection(config),
        *_upper_case(config),
    ]


def _interactive(config: TemplateConfig, warehouse_type: str | None) -> list[PreflightWarning]:
    """An Interactive table answers only an Interactive warehouse it is bound to."""
    if config.table_type is not TableType.INTERACTIVE:
        return []
    name = one_line(config.warehouse_name or "", DETAIL_CHARACTERS_MAX)
    kind = one_line(warehouse_type or "", DETAIL_CHARACTERS_MAX).upper()
    if name and kind == INTERACTIVE:
        return []
    if name and not kind:
        severity, found = Severity.MEDIUM, f"It could not be seen whether {name} is one."
    else:
        severity = Severity.HIGH
        found = f"{name} is a {kind} warehouse." if name else "The template names no warehouse."
    return [
        _warning(
            config,
            severity=severity,
            title="Interactive Table Without Interactive Warehouse",
            message=f"An INTERACTIVE table can be read only by an Interactive warehouse. {found}",
            recommendations=(
                "Set warehouse_name to an Interactive warehouse that the table is bound to",
                "Use a STANDARD or HYBRID table with this warehouse",
            ),
            details={"warehouse_name": name or None, "warehouse_type": kind or None},
        )
    ]


def _value_pools(config: TemplateConfig) -> list[PreflightWarning]:
    """Keys and times of rows come from pools there, which somebody has to have prepared."""
    kinds = [share.kind.value for share in config.workload if share.kind in POOLED_KINDS]
    if config.table_type not in POOLED_TABLES or not kinds or _has_pool(config):
        return []
    return [
        _warning(
            config,
            severity=Severity.HIGH,
            title="Value Pools Not Prepared",
            message=(
                f"{', '.join(kinds)} on {config.table_type} tables take their values "
                "from pools, and none has been prepared for this template: FlakeBench would "
                "refuse the start and leave the run STARTING."
            ),
            recommendations=(
                "Prepare the template's value pools in FlakeBench (AI prepare), then create the "
                "run again",
            ),
            details={"operations": kinds},
        )
    ]


def _has_pool(config: TemplateConfig) -> bool:
    prepared: object = (config.model_extra or {}).get("ai_workload")
    return isinstance(prepared, dict) and bool(prepared.get("pool_id"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _search(config: TemplateConfig, bound: Bound | None) -> list[PreflightWarning]:
    """A search ends by what it finds there, and by nothing else."""
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return []
    reach, severity = _reach(config), Severity.HIGH
    if bound is not None:
        severity = Severity.LOW if reach is None else Severity.MEDIUM
    clamped = (
        f" Scaling allows {reach} connections: that step is repeated for as long as it is stable."
        if reach is not None
        else ""
    )
    ended = "Nothing else ends it." if bound is None else _stopped_after(bound)
    return [
        _warning(
            config,
            severity=severity,
            title="Search Without Bound" if bound is None else "Search Ended by benchgate's Bound",
            message=(
                "FlakeBench ends a FIND_MAX_CONCURRENCY run only when the load becomes unstable, "
                f"whatever its duration says.{clamped} {ended}"
            ),
            recommendations=(
                "Watch the run and stop it when it has shown enough",
                "Set duration to what the search may take: benchgate keeps to it",
                "Use load_mode CONCURRENCY with a duration for one level of load",
            ),
            details={
                "start_concurrency": config.start_concurrency,
                "concurrency_increment": config.concurrency_increment,
                "step_duration_seconds": config.step_duration_seconds,
                "reachable_connections": reach,
                "search_seconds_max": bound.seconds_max if bound else None,
            },
        )
    ]


def _stopped_after(bound: Bound) -> str:
    return (
        f"benchgate stops it after {bound.seconds_max} s or {bound.steps_max} steps, whichever "
        "comes first, for as long as one of its servers runs; where none does, the next one to "
        "start stops it."
    )


def _out_of_reach(config: TemplateConfig) -> list[PreflightWarning]:
    """FlakeBench refuses a run whose workers cannot open what it asks for."""
    wanted, name = _wanted(config)
    reach = _reach(config)
    if reach is None or wanted <= reach:
        return []
    return [
        _warning(
            config,
            severity=Severity.HIGH,
            title="Load Out of Reach of Scaling",
            message=(
                f"{name} asks for {wanted:g}, and max_workers times max_connections allows "
                f"{reach} connections."
            ),
            recommendations=(
                f"Reduce {name} to {reach} or less",
                "Raise scaling.max_workers or scaling.max_connections",
            ),
            details={
                "wanted": wanted,
                "asked_for_by": name,
                "max_workers": config.scaling.max_workers,
                "max_connections": config.scaling.max_connections,
                "reachable_connections": reach,
            },
        )
    ]


def _wanted(config: TemplateConfig) -> tuple[float, str]:
    """How much load is asked for, and by which key. FlakeBench takes a rate for connections."""
    if config.load_mode is LoadMode.QPS:
        return config.target_qps or 0, "target_qps"
    if config.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
        return config.start_concurrency, "start_concurrency"
    if config.scaling.mode is ScalingMode.FIXED:
        return config.connections, "min_workers times min_connections"
    return config.concurrent_connections, "concurrent_connections"


def _reach(config: TemplateConfig) -> int | None:
    """The most connections that scaling allows; None where it sets no limit."""
    workers = config.scaling.max_workers
    each = config.scaling.max_connections or WORKER_CONNECTIONS_DEFAULT
    # Only a cap that was given is one: left open, FlakeBench sets it itself.
    is_capped = "concurrent_connections" in config.model_fields_set
    if config.load_mode is LoadMode.QPS and is_capped:
        each = min(each, config.concurrent_connections)
    return None if workers is None else workers * each


def _no_connection(config: TemplateConfig) -> list[PreflightWarning]:
    """Without a saved connection nobody can say which server is loaded."""
    if config.table_type is not TableType.POSTGRES or config.connection_id:
        return []
    return [
        _warning(
            config,
            severity=Severity.MEDIUM,
            title="Connection Missing",
            message=(
                "The template names no connection: which PostgreSQL server would be loaded, if "
                "any, is left to FlakeBench's environment."
            ),
            recommendations=("Set connection_id to a saved connection of the server to load",),
            details={"connection_id": None},
        )
    ]


def _upper_case(config: TemplateConfig) -> list[PreflightWarning]:
    """PostgreSQL folds names to lower case, and quoted ones it takes as they are."""
    if config.table_type is not TableType.POSTGRES:
        return []
    names = (config.database, config.schema_name, config.table_name)
    upper = [
        one_line(name, DETAIL_CHARACTERS_MAX) for name in names if any(c.isupper() for c in name)
    ]
    if not upper:
        return []
    return [
        _warning(
            config,
            severity=Severity.MEDIUM,
            title="Upper-Case Names on PostgreSQL",
            message=(
                f"{', '.join(upper)} will be found only if created in quotes with exactly these "
                "letters: PostgreSQL makes every other name lower case."
            ),
            recommendations=("Write the names in lower case, unless they were created in quotes",),
            details={"names": upper},
        )
    ]


def _warning(
    config: TemplateConfig,
    *,
    severity: Severity,
    title: str,
    message: str,
    recommendations: tuple[str, ...],
    details: dict[str, Any],
) -> PreflightWarning:
    return PreflightWarning(
        severity=severity,
        title=title,
        message=message,
        recommendations=recommendations,
        details={"table_type": config.table_type.value} | details,
        source="benchgate",
    )
