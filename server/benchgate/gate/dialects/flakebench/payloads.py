"""FlakeBench's payloads, as far as they are read; knows neither HTTP nor what they mean.

What a run's identity, state or time hangs on has its type or the payload cannot be read. A figure
that a payload may lack is None where it is missing, null or no figure at all.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, field_validator

from benchgate.domain.values import Value

# More than this is no measurement, and would not survive arithmetic.
FIGURE_MAX = 1e15


def _figure(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= FIGURE_MAX else None


def _whole(value: object) -> int | None:
    figure = _figure(value)
    return int(figure) if figure is not None and figure.is_integer() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _moment(value: object) -> datetime | None:
    """A time of ISO 8601; one without a zone is taken at FlakeBench's word to be UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _object(value: object) -> object:
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _is_true(value: object) -> bool:
    return value is True


def _zero_for_null(value: object) -> object:
    return 0 if value is None else value


Figure = Annotated[float | None, BeforeValidator(_figure)]
Whole = Annotated[int | None, BeforeValidator(_whole)]
Words = Annotated[str | None, BeforeValidator(_text)]
Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Flag = Annotated[bool, BeforeValidator(_is_true)]

Id = Annotated[str, Field(min_length=1, max_length=200)]
State = Annotated[str, Field(min_length=1)]
Number = Annotated[
    float, Field(strict=True, ge=-FIGURE_MAX, le=FIGURE_MAX), BeforeValidator(_zero_for_null)
]
Count = Annotated[
    int, Field(strict=True, ge=0, le=int(FIGURE_MAX)), BeforeValidator(_zero_for_null)
]


class Open(Value):
    """An object whose keys are not ours to fix; all of them are kept."""

    model_config = ConfigDict(extra="allow")


class Timing(Value):
    """A run's clock, in seconds; an expected time of 0 is none."""

    warmup_seconds: Figure = None
    run_seconds: Figure = None
    total_expected_seconds: Figure = None
    elapsed_display_seconds: Number = 0


class Bounds(Value):
    """Why a load within bounds ended before its time, if it did."""

    completion_reason: Words = None


class Search(Value):
    """Where a search for the highest concurrency stands; `find_max_result` and `find_max`.

    The `current_` figures are those of the step so far; between two steps there are none.
    """

    current_step: Whole = None
    current_concurrency: Whole = None
    current_qps: Figure = None
    current_p95_latency_ms: Figure = None
    current_p99_latency_ms: Figure = None
    current_error_rate_pct: Figure = None
    best_concurrency: Whole = None
    best_qps: Figure = None
    final_best_concurrency: Whole = None
    final_best_qps: Figure = None
    final_reason: Words = None


Searched = Annotated[Search | None, BeforeValidator(_object)]


class Test(Value):
    """`GET /api/tests/{id}`. Its figures are zeros while the run is live; `error_rate` is %."""

    __test__ = False  # pytest: a payload, not a test

    test_id: Id
    template_id: Words = None
    template_name: Words = None
    test_name: Words = None
    table_type: Words = None
    table_name: Words = None
    table_full_name: Words = None
    warehouse: Words = None
    warehouse_size: Words = None
    postgres_instance_size: Words = None
    status: State
    phase: Words = None
    cancellation_reason: Words = None
    failure_reason: Words = None
    start_time: Moment = None
    created_at: Moment = None
    duration: Whole = None
    warmup_seconds: Whole = None
    concurrent_connections: Whole = None
    load_mode: Words = None
    start_concurrency: Whole = None
    concurrency_increment: Whole = None
    target_qps: Figure = None
    starting_threads: Figure = None
    scaling: Annotated[Open | None, BeforeValidator(_object)] = None
    bounds_state: Annotated[Bounds | None, BeforeValidator(_object)] = None
    custom_point_lookup_pct: Figure = None
    custom_range_scan_pct: Figure = None
    custom_insert_pct: Figure = None
    custom_update_pct: Figure = None
    elapsed_seconds: Figure = None
    total_operations: Count = 0
    failed_operations: Whole = None
    error_rate: Figure = None
    p50_latency_ms: Figure = Field(
        default=None, validation_alias=AliasChoices("p50_latency_ms", "p50_latency")
    )
    p95_latency_ms: Figure = Field(
        default=None, validation_alias=AliasChoices("p95_latency_ms", "p95_latency")
    )
    p99_latency_ms: Figure = Field(
        default=None, validation_alias=AliasChoices("p99_latency_ms", "p99_latency")
    )
    credits_used: Figure = None
    cost_calculation_method: Words = None
    enrichment_status: Words = None
    find_max_result: Searched = None
    timing: Timing = Timing()


class Row(Value):
    """One line of `GET /api/tests`, which is never cached and names no template."""

    test_id: Id
    test_name: Words = None
    status: State
    phase: Words = None
    created_at: Moment = None


class Rows(Value):
    """`GET /api/tests`, newest first."""

    results: tuple[Row, ...]
    total_pages: Whole = None


class RunCreated(Value):
    """The answer to `POST /api/runs/`; the dashboard's address is a path."""

    run_id: Id
    status: State
    dashboard_url: Words = None


class RunChanged(Value):
    """The answer to start and stop of a run, or of a test; warnings are never told there."""

    run_id: Id = Field(validation_alias=AliasChoices("run_id", "test_id"))
    status: State


class Template(Value):
    """A template as it was saved; its configuration may be one that no run can be made of."""

    template_id: Id
    template_name: str
    description: Words = None
    config: Open
    created_at: Annotated[datetime, BeforeValidator(_moment)]
    updated_at: Annotated[datetime, BeforeValidator(_moment)]
    created_by: Words = None
    tags: Annotated[Open | None, BeforeValidator(_object)] = None
    usage_count: Whole = None
    last_used_at: Moment = None


class Broken(Value):
    """What is listed and cannot be read; its name, where it has one."""

    template_name: Words = None
    connection_name: Words = None


Templates = list[Annotated[Template | Broken, Field(union_mode="left_to_right")]]


class Connection(Value):
    """A saved connection; whatever else there is of it is not read."""

    connection_id: Id
    connection_name: str
    connection_type: str
    host: Words = None
    port: Whole = None
    pgbouncer_port: Whole = None
    account: Words = None
    role: Words = None
    username: Words = None
    is_default: Flag = False
    is_active: Flag = True
    has_password: Flag = False
    has_private_key: Flag = False
    created_at: Moment = None
    updated_at: Moment = None
    created_by: Words = None


class Connections(Value):
    """`GET /api/connections/`."""

    connections: tuple[Annotated[Connection | Broken, Field(union_mode="left_to_right")], ...]


class Warehouse(Value):
    """One line of `GET /api/warehouses/`."""

    name: str
    type: Words = None


class Enrichment(Value):
    """`GET /api/tests/{id}/enrichment-status`, never cached."""

    test_id: Id
    test_status: Words = None
    enrichment_status: Words = None


class ErrorRow(Value):
    """One class of errors with its first message."""

    source: Words = None
    summary: Words = None
    message: str
    count: Count
    level: Words = None
    query_type: Words = None
    earliest_occurrence: Moment = None


class Errors(Value):
    """`GET /api/tests/{id}/error-summary`, which answers for unknown ids too."""

    test_id: Id
    available: Flag = True
    rows: tuple[ErrorRow, ...] = ()


class Second(Value):
    """One second of a run; latencies in milliseconds, `error_rate` in percent where there is one.

    FlakeBench smooths `ops_per_sec` over five seconds where several workers ran.
    """

    timestamp: Annotated[datetime, BeforeValidator(_moment)]
    elapsed_seconds: Number
    warmup: Flag = False
    ops_per_sec: Number
    p50_latency: Figure = None
    p95_latency: Figure = None
    p99_latency: Figure = None
    error_rate: Figure = None
    active_connections: Whole = None


class Seconds(Value):
    """`GET /api/tests/{id}/metrics`; empty until the workers have gone."""

    test_id: Id
    snapshots: tuple[Second, ...]


class Info(Value):
    """`GET /api/info`."""

    name: str
    version: Words = None


class Connected(Value):
    """The first message of a stream."""

    status: Literal["connected"]
    test_id: Id


class Operations(Value):
    """Operations by now, and in the last second."""

    total: Count
    current_per_sec: Annotated[Number, Field(ge=0)]


class Latency(Value):
    """Percentiles of the last ten thousand operations, in milliseconds."""

    p50: Figure = None
    p95: Figure = None
    p99: Figure = None


class Failures(Value):
    """Operations that failed by now; `rate` is a fraction, 0-1."""

    count: Whole = None
    rate: Figure = None


class Load(Value):
    """Connections at work, and wanted."""

    active: Whole = None
    target: Whole = None


class Setup(Value):
    """What went wrong before the load began."""

    message: Words = None


class Crew(Value):
    """What a frame says of the run itself; an unknown run has no number of workers."""

    workers_expected: Whole = None


class Frame(Value):
    """A run's second. Nothing measured is in it before a worker has reported."""

    test_id: Id
    status: State
    phase: Words = None
    timestamp: Moment = None
    run: Crew = Crew()
    ops: Operations | None = None
    latency: Latency = Latency()
    errors: Failures = Failures()
    connections: Load = Load()
    timing: Timing | None = None
    find_max: Searched = None
    cancellation_reason: Words = None
    error: Annotated[Setup | None, BeforeValidator(_object)] = None

    @field_validator("run", "latency", "errors", "connections", mode="before")
    @classmethod
    def _empty_for_null(cls, value: object) -> object:
        return {} if value is None else value


class RunUpdate(Value):
    """Every other message of a stream, about once a second."""

    event: Literal["RUN_UPDATE"]
    data: Frame


Message = Connected | RunUpdate
