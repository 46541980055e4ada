"""What a benchmark template says: target, load and workload; knows no database and no backend.

The keys are those of the real product, so that one template serves both backends. Keys that are
not known here are kept as they are.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from benchgate.domain.parameters import PARAMETERS_MAX, AsGiven, Parameter, parameters_of
from benchgate.domain.text import one_line
from benchgate.domain.values import Percentage, Value

DURATION_SECONDS_MAX = 86_400
CONNECTIONS_MAX = 10_000
QPS_MAX = 10_000_000
SQL_CHARACTERS_MAX = 20_000
WORKLOAD_PCT = 100
LABEL_SHOWN_CHARACTERS_MAX = 40

Sql = Annotated[str, Field(max_length=SQL_CHARACTERS_MAX)]
Identifier = Annotated[str, Field(min_length=1, max_length=255)]
Limit = Annotated[float, Field(gt=0, le=100)]


def _minus_one_is_none(value: object) -> object:
    return None if value == -1 else value


MinusOneIsNone = BeforeValidator(_minus_one_is_none)
LatencyObjective = Annotated[float | None, Field(gt=0, le=3_600_000), MinusOneIsNone]
ErrorObjective = Annotated[float | None, Field(ge=0, le=100), MinusOneIsNone]


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _without_nulls(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: value for key, value in data.items() if value is not None}  # pyright: ignore[reportUnknownVariableType]
    return data


AnyCase = BeforeValidator(_upper)


class TableType(StrEnum):
    """What kind of table, and so which database, a template loads."""

    STANDARD = "STANDARD"
    HYBRID = "HYBRID"
    INTERACTIVE = "INTERACTIVE"
    DYNAMIC = "DYNAMIC"
    POSTGRES = "POSTGRES"
    SQLITE = "SQLITE"
    DUCKDB = "DUCKDB"


SNOWFLAKE_TABLES = frozenset(
    {TableType.STANDARD, TableType.HYBRID, TableType.INTERACTIVE, TableType.DYNAMIC}
)

# Files that the process which loads them opens by itself; there is no server.
FILE_TABLES = frozenset({TableType.SQLITE, TableType.DUCKDB})


class LoadMode(StrEnum):
    """How the load is governed."""

    CONCURRENCY = "CONCURRENCY"
    QPS = "QPS"
    FIND_MAX_CONCURRENCY = "FIND_MAX_CONCURRENCY"


class QueryKind(StrEnum):
    """What one operation of the workload does."""

    POINT_LOOKUP = "POINT_LOOKUP"
    RANGE_SCAN = "RANGE_SCAN"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    GENERIC_SQL = "GENERIC_SQL"


WRITES = frozenset({QueryKind.INSERT, QueryKind.UPDATE})


class ScalingMode(StrEnum):
    """How many workers a backend may use."""

    AUTO = "AUTO"
    BOUNDED = "BOUNDED"
    FIXED = "FIXED"


class Scaling(Value):
    """Limits on workers and on the connections of each; None is no limit."""

    model_config = ConfigDict(extra="allow")

    mode: Annotated[ScalingMode, AnyCase] = ScalingMode.AUTO
    min_workers: int = Field(default=1, ge=1, le=CONNECTIONS_MAX)
    max_workers: Annotated[int | None, Field(ge=1), MinusOneIsNone] = None
    min_connections: int = Field(default=1, ge=1, le=CONNECTIONS_MAX)
    max_connections: Annotated[int | None, Field(ge=1), MinusOneIsNone] = None


class Spacing(StrEnum):
    """How the starts of an open-loop load follow each other."""

    CONSTANT = "CONSTANT"
    POISSON = "POISSON"


class WriteTarget(StrEnum):
    """Which table a workload that writes is run on."""

    SCRATCH = "SCRATCH"
    IN_PLACE = "IN_PLACE"


class WorkerLoss(StrEnum):
    """What becomes of a run that loses a worker."""

    FAIL = "FAIL"
    REDISTRIBUTE = "REDISTRIBUTE"


class Guardrails(Value):
    """Limits at which a run is stopped; null is none."""

    model_config = ConfigDict(extra="allow")

    enabled: bool = False
    max_cpu_percent: Limit = 80
    max_memory_percent: Limit = 85
    max_error_rate_percent: Limit | None = None
    max_seconds: int | None = Field(default=None, ge=1, le=DURATION_SECONDS_MAX)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return _without_nulls(data)


class Operation(StrEnum):
    """Whether a statement of one's own reads or writes."""

    READ = "READ"
    WRITE = "WRITE"


class GenericQuery(Value):
    """A statement of the user's own, with its share of the workload."""

    model_config = ConfigDict(extra="allow")

    label: str = Field(default="", max_length=120)
    operation_type: Annotated[Operation, AnyCase]
    weight_pct: Percentage
    sql: Sql = Field(default="", validation_alias=AliasChoices("sql", "query", "query_text"))
    # As they are given: the forms differ between backends, which only read those that they know.
    parameters: AsGiven = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return _without_nulls(data)


class QueryShare(Value):
    """One kind of operation and its share of the workload."""

    kind: QueryKind
    share_pct: Percentage
    writes: bool
    sql: str | None = None
    label: str = ""  # of a statement of the user's own
    parameters: tuple[Parameter, ...] = ()  # the same

    @property
    def name(self) -> str:
        """What a message calls it: its kind, with the label where there is one."""
        label = one_line(self.label, LABEL_SHOWN_CHARACTERS_MAX)
        return f"{self.kind} ({label})" if label else str(self.kind)


class TemplateConfig(Value):
    """What to load, how hard, how long and with which mix. Null means the default."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
    )

    table_type: Annotated[TableType, AnyCase] = TableType.STANDARD
    database: Annotated[str, Field(min_length=1, max_length=1_024)]
    schema_name: Annotated[str, Field(max_length=255, alias="schema")] = ""
    table_name: Identifier
    warehouse_name: str | None = Field(default=None, max_length=255)
    warehouse_size: str | None = Field(default=None, max_length=40)
    postgres_instance_size: str | None = Field(default=None, max_length=40)
    connection_id: str | None = Field(default=None, max_length=64)

    custom_point_lookup_pct: Percentage = 0
    custom_range_scan_pct: Percentage = 0
    custom_insert_pct: Percentage = 0
    custom_update_pct: Percentage = 0
    custom_point_lookup_query: Sql | None = None
    custom_range_scan_query: Sql | None = None
    custom_insert_query: Sql | None = None
    custom_update_query: Sql | None = None
    generic_queries: tuple[GenericQuery, ...] = Field(default=(), max_length=50)

    load_mode: Annotated[LoadMode, AnyCase] = LoadMode.CONCURRENCY
    scaling: Scaling = Scaling()
    duration: int = Field(default=300, ge=1, le=DURATION_SECONDS_MAX, description="Seconds")
    warmup: int = Field(default=0, ge=0, le=DURATION_SECONDS_MAX, description="Seconds")
    think_time: int = Field(default=0, ge=0, le=3_600_000, description="Milliseconds")
    concurrent_connections: int = Field(default=10, ge=1, le=CONNECTIONS_MAX)
    target_qps: float | None = Field(default=None, gt=0, le=QPS_MAX)
    starting_threads: float | None = Field(default=None, ge=0, le=CONNECTIONS_MAX)
    start_concurrency: int = Field(default=5, ge=1, le=1_000)
    concurrency_increment: int = Field(default=10, ge=1, le=500)
    step_duration_seconds: int = Field(default=30, ge=10, le=3_600)
    qps_stability_pct: float = Field(default=5, ge=1, le=50)
    latency_stability_pct: float = Field(default=20, ge=5, le=1_000)
    max_error_rate_pct: Percentage = 1

    arrivals: Annotated[Spacing, AnyCase] = Spacing.POISSON
    write_target: Annotated[WriteTarget, AnyCase] = WriteTarget.SCRATCH
    worker_loss: Annotated[WorkerLoss, AnyCase] = WorkerLoss.FAIL
    decode_rows: bool = False
    use_cached_result: bool = False
    guardrails: Guardrails = Guardrails()

    target_point_lookup_p95_latency_ms: LatencyObjective = None
    target_point_lookup_p99_latency_ms: LatencyObjective = None
    target_point_lookup_error_rate_pct: ErrorObjective = None
    target_range_scan_p95_latency_ms: LatencyObjective = None
    target_range_scan_p99_latency_ms: LatencyObjective = None
    target_range_scan_error_rate_pct: ErrorObjective = None
    target_insert_p95_latency_ms: LatencyObjective = None
    target_insert_p99_latency_ms: LatencyObjective = None
    target_insert_error_rate_pct: ErrorObjective = None
    target_update_p95_latency_ms: LatencyObjective = None
    target_update_p99_latency_ms: LatencyObjective = None
    target_update_error_rate_pct: ErrorObjective = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return _without_nulls(data)

    @field_validator("concurrent_connections", mode="before")
    @classmethod
    def _minus_one_is_default(cls, value: object) -> object:
        return 10 if value == -1 else value

    # Read once, as all that looks at a load asks for it, and a statement has many parameters.
    _workload: tuple[QueryShare, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        self._workload = _shares(self)
        total_pct = round(sum(share.share_pct for share in self.workload), 2)
        if total_pct != WORKLOAD_PCT:
            raise ValueError(
                f"the workload's percentages must sum to 100, they sum to {total_pct:g}"
            )
        if self.load_mode is LoadMode.QPS and self.target_qps is None:
            raise ValueError("target_qps is required for load_mode QPS")
        if self.connections > CONNECTIONS_MAX:
            raise ValueError(
                f"scaling FIXED asks for {self.connections} connections, "
                f"at most {CONNECTIONS_MAX} are allowed"
            )
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, whose workload is its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied._workload = _shares(copied)
        return copied

    @property
    def workload(self) -> tuple[QueryShare, ...]:
        """The kinds that have a share, in a fixed order."""
        return self._workload

    @property
    def write_pct(self) -> float:
        """The share of operations that write, 0-100."""
        return sum(share.share_pct for share in self.workload if share.writes)

    @property
    def copies_writes(self) -> bool:
        """Whether it writes, and a backend that can shall do so on a scratch copy."""
        return self.write_pct > 0 and self.write_target is WriteTarget.SCRATCH

    @property
    def connections(self) -> int:
        """How many connections the load opens at its start."""
        if self.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
            return self.start_concurrency
        if self.scaling.mode is ScalingMode.FIXED:
            return self.scaling.min_workers * self.scaling.min_connections
        return self.concurrent_connections

    @property
    def expected_seconds(self) -> int | None:
        """Warm-up and measurement together; None where the load itself decides the end."""
        if self.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
            return None
        return self.warmup + self.duration

    @property
    def target(self) -> str:
        """The table's full name, as a person would write it."""
        return ".".join(part for part in (self.database, self.schema_name, self.table_name) if part)


def _shares(config: TemplateConfig) -> tuple[QueryShare, ...]:
    named = (
        (QueryKind.POINT_LOOKUP, config.custom_point_lookup_pct, config.custom_point_lookup_query),
        (QueryKind.RANGE_SCAN, config.custom_range_scan_pct, config.custom_range_scan_query),
        (QueryKind.INSERT, config.custom_insert_pct, config.custom_insert_query),
        (QueryKind.UPDATE, config.custom_update_pct, config.custom_update_query),
    )
    shares = [
        QueryShare(kind=kind, share_pct=pct, writes=kind in WRITES, sql=sql or None)
        for kind, pct, sql in named
    ]
    shares += [
        QueryShare(
            kind=QueryKind.GENERIC_SQL,
            share_pct=query.weight_pct,
            writes=query.operation_type is Operation.WRITE,
            sql=query.sql,
            label=query.label or f"number {number}",
            parameters=parameters_of(query.parameters),
        )
        for number, query in enumerate(config.generic_queries, start=1)
    ]
    return tuple(share for share in shares if share.share_pct > 0)


class Template(Value):
    """A saved test configuration."""

    template_id: str
    template_name: str
    description: str | None = None
    config: TemplateConfig
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None
    tags: dict[str, str] | None = None
    usage_count: int = 0
    last_used_at: datetime | None = None


class TemplateDraft(Value):
    """What a person saves as a template."""

    template_name: Annotated[str, Field(min_length=1, max_length=255)]
    description: str | None = Field(default=None, max_length=1_000)
    config: TemplateConfig
    tags: dict[str, str] | None = Field(default=None, max_length=50)

    @field_validator("config")
    @classmethod
    def _has_few_parameters(cls, config: TemplateConfig) -> TemplateConfig:
        for number, query in enumerate(config.generic_queries, start=1):
            given = query.parameters
            if isinstance(given, tuple) and len(given) > PARAMETERS_MAX:  # pyright: ignore[reportUnknownArgumentType]
                raise ValueError(
                    f"number {number} of generic_queries has more than {PARAMETERS_MAX} parameters"
                )
        return config
