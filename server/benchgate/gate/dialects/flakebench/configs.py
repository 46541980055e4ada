"""FlakeBench's templates, runs and connections as benchgate's values; knows neither HTTP nor ids.

FlakeBench saves configurations that it refuses to run later, and reads some zeros as its defaults.
"""

from collections.abc import Sequence

from pydantic import ValidationError

from benchgate.domain.bounds import bound_of
from benchgate.domain.contract import ConnectionList, ConnectionView, RunDetail, Series, SeriesPoint
from benchgate.domain.contract import ErrorRow as ErrorClass
from benchgate.domain.contract import ErrorSummary as ErrorClasses
from benchgate.domain.runs import RunStatus
from benchgate.domain.templates import LoadMode, Template, TemplateConfig
from benchgate.domain.text import NAME_CHARACTERS_MAX, one_line
from benchgate.domain.whereabouts import named, server
from benchgate.errors import BackendError
from benchgate.gate.dialects.flakebench import payloads
from benchgate.gate.dialects.flakebench.snapshots import snapshot_of
from benchgate.gate.dialects.port import Shelf, Unreadable

# FlakeBench reads these, left 0, as not given, and whatever is left empty.
DEFAULT_WHEN_FALSY = frozenset(
    {
        "duration",
        "start_concurrency",
        "concurrency_increment",
        "step_duration_seconds",
        "max_error_rate_pct",
        "qps_stability_pct",
        "latency_stability_pct",
        "target_qps",
    }
)
# -1 or nothing is no limit, or no wish.
DEFAULT_WHEN_OPEN = frozenset({"concurrent_connections", "starting_threads", "target_qps"})
# A test's key, and what the configuration calls it.
FIXED_BY_RUN = {
    "table_type": "table_type",
    "table_name": "table_name",
    "warehouse": "warehouse_name",
    "warehouse_size": "warehouse_size",
    "postgres_instance_size": "postgres_instance_size",
    "load_mode": "load_mode",
    "duration": "duration",
    "warmup_seconds": "warmup",
    "target_qps": "target_qps",
    "starting_threads": "starting_threads",
    "start_concurrency": "start_concurrency",
    "concurrency_increment": "concurrency_increment",
}
SHARES = (
    "custom_point_lookup_pct",
    "custom_range_scan_pct",
    "custom_insert_pct",
    "custom_update_pct",
)
ALL_PCT = 100
NAME_PARTS = 3
NOT_NAMED = "the default server of FlakeBench's environment"

Raw = dict[str, object]


def template_of(saved: payloads.Template) -> Template:
    """*saved* as a template.

    Raises:
        BackendError: its configuration is none that a run could be made of.
    """
    known = saved.model_dump(exclude={"config", "tags", "usage_count"})
    tags = saved.tags.model_dump() if saved.tags else {}
    texts = {key: value for key, value in tags.items() if isinstance(value, str)}
    return Template(
        **known,
        config=_config(_plain(saved.config), name=saved.template_name),
        tags=texts or None,
        usage_count=saved.usage_count or 0,
    )


def shelf_of(saved: Sequence[payloads.Template | payloads.Broken]) -> Shelf:
    """All of *saved*: one that cannot be read must not hide the others."""
    templates: list[Template] = []
    unreadable: list[Unreadable] = []
    for one in saved:
        if isinstance(one, payloads.Broken):
            name = one_line(one.template_name or "without a name", NAME_CHARACTERS_MAX)
            reason = f"The template {name} is saved without what every template has."
            unreadable.append(Unreadable(template_name=name, reason=reason))
            continue
        try:
            templates.append(template_of(one))
        except BackendError as exc:
            unreadable.append(Unreadable(template_name=one.template_name, reason=str(exc)))
    return Shelf(templates=tuple(templates), unreadable=tuple(unreadable))


def detail_of(
    test: payloads.Test,
    template: payloads.Template | None,
    *,
    connection: str | None,
    dashboard_url: str | None = None,
) -> RunDetail:
    """What was fixed when the run was created; the template fills in what the test leaves open.

    Raises:
        BackendError: the two together do not tell what the run does.
    """
    name = test.template_name or test.test_name or ""
    config = _config(_fixed(test, _plain(template.config) if template else {}), name=name)
    if test.created_at is None:
        raise BackendError(f"FlakeBench does not say when the run {test.test_id} was created.")
    return RunDetail(
        run_id=test.test_id,
        test_id=test.test_id,
        status=snapshot_of(test).status,
        template_id=test.template_id or "",
        template_name=name,
        config=config,
        connection=connection,
        bound=bound_of(config),
        created_at=test.created_at,
        dashboard_url=dashboard_url,
    )


def connections_of(saved: payloads.Connections) -> ConnectionList:
    """All saved connections, without what could be a secret."""
    views = tuple(ConnectionView(**one.model_dump()) for one in _readable(saved))
    return ConnectionList(connections=views, total=len(views))


def _readable(saved: payloads.Connections) -> list[payloads.Connection]:
    return [one for one in saved.connections if isinstance(one, payloads.Connection)]


def connection_name(saved: payloads.Connections, connection_id: str | None) -> str:
    """The server that a template leads to, as a person knows it."""
    if connection_id is None:
        return NOT_NAMED
    for one in _readable(saved):
        if one.connection_id == connection_id:
            port = one.port if one.host else None
            where = one.host or one.account
            if not where:
                return one.connection_name
            return named(server(where, port=port, username=one.username), one.connection_name)
    return f"There is no connection {one_line(connection_id, NAME_CHARACTERS_MAX)}"


def errors_of(summary: payloads.Errors) -> ErrorClasses:
    """A run's errors by class."""
    rows = (
        ErrorClass(
            source=row.source or "APP",
            summary=row.summary or row.message,
            message=row.message,
            count=row.count,
            level=row.level or "ERROR",
            query_type=row.query_type or "OTHER",
            earliest_occurrence=row.earliest_occurrence,
        )
        for row in summary.rows
    )
    return ErrorClasses(test_id=summary.test_id, available=summary.available, rows=tuple(rows))


def series_of(seconds: payloads.Seconds) -> Series:
    """A run's seconds; FlakeBench tells no error rate of them."""
    points = tuple(
        SeriesPoint(
            timestamp=second.timestamp,
            elapsed_seconds=second.elapsed_seconds,
            warmup=second.warmup,
            ops_per_sec=second.ops_per_sec,
            p50_latency=second.p50_latency,
            p95_latency=second.p95_latency,
            p99_latency=second.p99_latency,
            error_rate=second.error_rate,
            active_connections=second.active_connections,
        )
        for second in seconds.snapshots
    )
    return Series(test_id=seconds.test_id, snapshots=points, count=len(points))


def _config(raw: Raw, *, name: str) -> TemplateConfig:
    try:
        return TemplateConfig.model_validate(raw | _scaling(raw.get("scaling")))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise BackendError(
            f"The template {one_line(name, NAME_CHARACTERS_MAX)} cannot be run: {one_line(what)}.",
            hint="Correct it in FlakeBench, or save another one.",
        ) from exc


def _scaling(saved: object) -> Raw:
    """Limits without those that are null, which FlakeBench reads as not given."""
    if not isinstance(saved, dict):
        return {}
    limits: Raw = saved  # pyright: ignore[reportUnknownVariableType]
    return {"scaling": {key: value for key, value in limits.items() if value not in {None, ""}}}


def _plain(saved: payloads.Open) -> Raw:
    """A configuration without what FlakeBench reads as left open."""
    return {key: value for key, value in saved.model_dump().items() if not _is_open(key, value)}


def _is_open(key: str, value: object) -> bool:
    is_blank = value == ""
    is_zero = value == 0 and key in DEFAULT_WHEN_FALSY
    return is_blank or is_zero or (value == -1 and key in DEFAULT_WHEN_OPEN)


def _fixed(test: payloads.Test, raw: Raw) -> Raw:
    """*raw* with what is fixed in *test*, whatever the template says by now."""
    fixed: Raw = {
        key: value
        for told, key in FIXED_BY_RUN.items()
        if (value := getattr(test, told)) is not None and not _is_open(key, value)
    }
    if test.scaling is not None:
        fixed["scaling"] = test.scaling.model_dump()
    # Once workers report, FlakeBench writes their limits in its place.
    is_as_created = test.status == RunStatus.PREPARED and test.load_mode == LoadMode.CONCURRENCY
    if is_as_created and test.concurrent_connections:
        fixed["concurrent_connections"] = test.concurrent_connections
    return raw | fixed | _target(test) | _workload(test)


def _target(test: payloads.Test) -> Raw:
    """Database and schema, where the table's full name says both beyond doubt."""
    parts = (test.table_full_name or "").split(".")
    if len(parts) != NAME_PARTS or not all(parts):
        return {}
    return {"database": parts[0], "schema": parts[1]}


def _workload(test: payloads.Test) -> Raw:
    """The shares of the named kinds; when they are the whole, there were no statements besides."""
    shares: Raw = {key: value for key in SHARES if (value := getattr(test, key)) is not None}
    total = sum(value for value in shares.values() if isinstance(value, float))
    return shares | {"generic_queries": ()} if round(total, 2) == ALL_PCT else shares
