"""The REST and WebSocket payloads of the specification, as both halves write and read them.

Field names are the specification's; fields beyond it are additions that its readers may ignore.
Statuses are strings here: a reader must survive one it does not know.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchgate.domain.bounds import Bound
from benchgate.domain.findings import Findings
from benchgate.domain.preflight import PreflightReport, Warnings
from benchgate.domain.runs import LiveMetrics, Summary
from benchgate.domain.templates import Template, TemplateConfig
from benchgate.domain.values import TemplateId, Value


class CreateRun(Value):
    """`POST /api/runs/`."""

    template_id: TemplateId


class StartRun(Value):
    """`POST /api/runs/{run_id}/start`; the body may be left out."""

    acknowledged: bool = Field(
        default=False,
        strict=True,
        description="A person wants it against the preflight's high warnings",
    )
    connection: str | None = Field(
        default=None,
        max_length=2_000,
        description="The server that the person was shown; the start is refused at another one",
    )


class RunCreated(Value):
    """The answer to `POST /api/runs/`."""

    run_id: str
    status: str
    dashboard_url: str | None = None


class RunChanged(Value):
    """The answer to `start` and `stop`."""

    run_id: str
    status: str
    warnings: Warnings = ()


class RunDetail(Value):
    """`GET /api/runs/{run_id}/`: which test it is, and what was fixed when it was created."""

    run_id: str
    test_id: str
    status: str
    template_id: str
    template_name: str
    config: TemplateConfig
    connection: str | None = Field(default=None, description="The server, as a person knows it")
    copies_writes: bool = Field(default=False, description="Writes go to a scratch copy")
    bound: Bound | None = Field(default=None, description="What ends a search at the latest")
    created_at: datetime
    dashboard_url: str | None = None


class Readiness(Value):
    """`GET /api/runs/{run_id}/readiness`: all that speaks for or against a start, in one answer.

    There is no preflight for a run that cannot start now: it is not PREPARED, or another is active.
    """

    run: RunDetail
    active_run_id: str | None = None
    preflight: PreflightReport | None = None


class TemplateReadiness(Value):
    """`GET /api/templates/{template_id}/readiness`: what speaks for or against starting it.

    No database is looked at while a run is active: then there are only the warnings that the
    template alone gives reason for.
    """

    template: Template
    connection: str | None = Field(default=None, description="The server, as a person knows it")
    copies_writes: bool = Field(default=False, description="Writes go to a scratch copy")
    bound: Bound | None = Field(default=None, description="What ends a search at the latest")
    active_run_id: str | None = None
    warnings: Warnings = ()
    can_proceed: bool = True


class RunRow(Value):
    """One line of `GET /api/runs/`."""

    run_id: str
    template_id: str
    template_name: str
    status: str
    created_at: datetime


class Timing(Value):
    """A run's clock, as the backend reads it; all in seconds."""

    warmup_seconds: float = 0
    run_seconds: float = 0
    total_expected_seconds: float | None = None
    elapsed_display_seconds: float = 0
    measured_seconds: float | None = Field(
        default=None, description="Exact measured time of an ended run"
    )


class TestStatus(Value):
    """`GET /api/tests/{test_id}/`."""

    __test__ = False  # pytest: a payload, not a test

    test_id: str
    run_id: str
    template_id: str | None = None
    template_name: str = ""
    status: str
    phase: str | None = None
    reason: str | None = None
    load_mode: str | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_concurrency: int | None = None
    best_concurrency: int | None = Field(default=None, description="Of a search, so far")
    best_qps: float | None = None
    metrics: LiveMetrics | None = None
    summary: Summary | None = None
    findings: Findings | None = Field(default=None, description="Of an ended run")
    timing: Timing = Timing()
    estimated_cost: float | None = Field(
        default=None, description="Credits spent so far, or in all"
    )
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    dashboard_url: str | None = None


class MetricsFrame(Value):
    """One message of `ws /ws/runs/{run_id}/metrics`, once a second."""

    timestamp: datetime
    qps: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    error_rate: float
    active_connections: int | None
    status: str
    phase: str | None
    elapsed_seconds: float
    expected_seconds: float | None
    total_queries: int | None
    current_step: int | None = None
    total_steps: int | None = None
    current_concurrency: int | None = None
    best_concurrency: int | None = None
    best_qps: float | None = None


class SeriesPoint(Value):
    """One second of a run."""

    timestamp: datetime
    elapsed_seconds: float
    warmup: bool
    ops_per_sec: float
    p50_latency: float | None
    p95_latency: float | None
    p99_latency: float | None
    error_rate: float | None = None
    active_connections: int | None = None


class Series(Value):
    """`GET /api/tests/{test_id}/metrics/`; latencies in milliseconds."""

    test_id: str
    snapshots: tuple[SeriesPoint, ...]
    count: int


class ErrorRow(Value):
    """One category of errors with its first message."""

    source: str = "APP"
    summary: str
    message: str
    count: int
    level: str = "ERROR"
    query_type: str = "OTHER"
    earliest_occurrence: datetime | None = None


class ErrorSummary(Value):
    """`GET /api/tests/{test_id}/error-summary/`."""

    test_id: str
    available: bool = True
    rows: tuple[ErrorRow, ...] = ()


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class ConnectionDraft(Value):
    """What a person saves as a connection. A password itself is refused: it is only referred to."""

    connection_name: Annotated[str, Field(min_length=1, max_length=120)]
    connection_type: Literal["POSTGRES", "SNOWFLAKE"]
    host: Annotated[str, Field(max_length=1_024)] = ""
    port: int | None = Field(default=None, ge=1, le=65_535)
    pgbouncer_port: int | None = Field(default=None, ge=1, le=65_535)
    account: str | None = Field(default=None, max_length=255)
    role: str | None = Field(default=None, max_length=255)
    username: str | None = Field(default=None, max_length=255)
    password_env: Variable | None = None
    passfile: str | None = Field(default=None, max_length=1_024)
    private_key_file: str | None = Field(default=None, max_length=1_024)
    private_key_passphrase_env: Variable | None = None
    service: str | None = Field(default=None, max_length=120)
    is_default: bool = False

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, data: Any) -> Any:
        secrets = {"password", "private_key", "private_key_passphrase"}
        if isinstance(data, dict) and secrets & data.keys():
            raise ValueError(
                "secrets are never stored: name an environment variable (password_env), "
                "a file (passfile, private_key_file) or a service (service)"
            )
        # A URL carries a password, and this way it is not repeated in the refusal either.
        if isinstance(data, dict) and "://" in str(data.get("host")):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            raise ValueError("host is a name, an address or a socket's folder, not a URL")
        return data  # pyright: ignore[reportUnknownVariableType]


class ConnectionView(Value):
    """A saved connection as it is shown: never a secret, only whether one can be found."""

    connection_id: str
    connection_name: str
    connection_type: str
    host: str | None = None
    port: int | None = None
    pgbouncer_port: int | None = None
    account: str | None = None
    role: str | None = None
    username: str | None = None
    password_env: str | None = None
    passfile: str | None = None
    private_key_file: str | None = None
    private_key_passphrase_env: str | None = None
    service: str | None = None
    is_default: bool = False
    is_active: bool = True
    has_password: bool = False
    has_private_key: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    created_by: str | None = None


class ConnectionList(Value):
    """`GET /api/connections/`."""

    connections: tuple[ConnectionView, ...]
    total: int


class ConnectionTest(Value):
    """`POST /api/connections/{id}/test`: 200 also when it failed."""

    success: bool
    message: str
    latency_ms: float | None = None
    server_version: str | None = None


class Health(Value):
    """`GET /health`."""

    status: str
    service: str
    version: str
    contract_version: int
    instance_id: str
    active_run_id: str | None = None
    is_exclusive: bool = Field(
        default=False, description="It refuses a second run, and a second start of the same run"
    )


class Problem(Value):
    """The body of every error: `detail` is text, or for a 422 a list of field, value and rule."""

    detail: str | tuple[dict[str, Any], ...] | dict[str, Any]
    hint: str | None = None
