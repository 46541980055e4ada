"""Warnings before a run: their shape, and the rules that need nothing but the template.

What only a look at the database can tell comes from the backend as warnings of the same shape.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from benchgate.domain.search import plan_of
from benchgate.domain.templates import LoadMode, TableType, TemplateConfig
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

LOCK_WAITERS_MAX = 20
LOCK_WAITERS_CAUTION = 10


class Severity(StrEnum):
    """How much a warning matters; a high one says the run should not go ahead."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class PreflightWarning(Value):
    """One thing to know before the run, with what can be done about it."""

    severity: Severity
    title: str
    message: str
    recommendations: tuple[str, ...] = ()
    details: dict[str, Any] = Field(default_factory=dict[str, Any])
    # Who found it: the backend, or benchgate in its stead.
    source: Literal["backend", "benchgate"] = "backend"
    # What it has measured is that of a moment: other figures at the next look are no change.
    of_a_moment: SkipJsonSchema[bool] = False

    @field_validator("source", mode="before")
    @classmethod
    def _else_the_backend(cls, value: object) -> object:
        # A backend may use the key for something of its own.
        return "benchgate" if value == "benchgate" else "backend"

    @property
    def lasting(self) -> "PreflightWarning":
        """What of it stays the same as long as it holds."""
        if not self.of_a_moment:
            return self
        return self.model_copy(update={"message": "", "recommendations": (), "details": {}})


def worst_first(warnings: Sequence[PreflightWarning]) -> tuple[PreflightWarning, ...]:
    """*warnings* by their severity; those of one severity stay in their order."""
    ranks = {severity: rank for rank, severity in enumerate(reversed(Severity))}
    return tuple(sorted(warnings, key=lambda warning: ranks[warning.severity]))


# Whoever shows only the first of them never leaves out a high one for a low one.
Warnings = Annotated[tuple[PreflightWarning, ...], AfterValidator(worst_first)]


class PreflightReport(Value):
    """All warnings of a prepared run, the worst first."""

    run_id: str
    warnings: Warnings = ()
    can_proceed: bool = True


def report(run_id: str, warnings: list[PreflightWarning]) -> PreflightReport:
    """The report of *warnings*: a high one means that the run cannot proceed as it is."""
    return PreflightReport(
        run_id=run_id, warnings=tuple(warnings), can_proceed=may_proceed(warnings)
    )


def may_proceed(warnings: Sequence[PreflightWarning]) -> bool:
    """Whether none of *warnings* is a high one."""
    return all(warning.severity is not Severity.HIGH for warning in warnings)


def warnings_of(config: TemplateConfig) -> list[PreflightWarning]:
    """What the template alone gives reason to warn of."""
    if config.write_pct == 0:
        return []
    rule = LOCK_MODELS.get(config.table_type)
    return rule(config) if rule else []


def about(
    config: TemplateConfig,
    *,
    severity: Severity,
    title: str,
    message: str,
    recommendations: tuple[str, ...],
    details: dict[str, Any] | None = None,
    of_a_moment: bool = False,
) -> PreflightWarning:
    """A warning of the target of *config*, whose details name it."""
    named = {"target": one_line(config.target), "table_type": config.table_type.value}
    return PreflightWarning(
        severity=severity,
        title=title,
        message=message,
        recommendations=recommendations,
        details=named | (details or {}),
        of_a_moment=of_a_moment,
    )


def _lock_waiters(config: TemplateConfig) -> list[PreflightWarning]:
    """Writes to a standard table wait for its lock, and only so many may wait."""
    connections = _at_most(config)
    writers = connections * config.write_pct / 100
    if writers <= LOCK_WAITERS_CAUTION:
        return []
    # A rate opens as many connections as it needs: its limit is no number of writers.
    severe = writers > LOCK_WAITERS_MAX and config.load_mode is not LoadMode.QPS
    is_search = config.load_mode is LoadMode.FIND_MAX_CONCURRENCY
    where = f", at the {connections} connections that the search may come to," if is_search else ""
    return [
        PreflightWarning(
            severity=Severity.HIGH if severe else Severity.MEDIUM,
            title="High Write Concurrency on Standard Table",
            message=(
                f"About {writers:g} concurrent INSERT/UPDATE operations on a STANDARD table{where} "
                + (
                    f"exceed the {LOCK_WAITERS_MAX} statements that may wait for its lock."
                    if severe
                    else "may cause lock contention."
                )
            ),
            recommendations=(
                "Consider using a HYBRID table for write-heavy workloads",
                _fewer_writers(config),
                "Use batch inserts instead of single-row inserts",
            ),
            details={
                "write_percentage": config.write_pct,
                "concurrent_connections": connections,
                "table_type": config.table_type.value,
                "lock_waiter_limit": LOCK_WAITERS_MAX,
            },
        )
    ]


def _at_most(config: TemplateConfig) -> int:
    """The most connections that the load may come to, which of a search are not those at first."""
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return config.connections
    return plan_of(config, server_max=None).highest


def _fewer_writers(config: TemplateConfig) -> str:
    """How to keep a load within the lock model."""
    safe = max(1, int(LOCK_WAITERS_CAUTION * 100 / config.write_pct))
    if config.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
        return (
            f"Keep the search to {safe} connections, by max_workers and max_connections of scaling"
        )
    return f"Reduce concurrent_connections to {safe} or less"


def _single_writer(config: TemplateConfig) -> list[PreflightWarning]:
    """SQLite lets one connection write at a time; the others wait."""
    return _crowded(
        config,
        title="Concurrent Writers on SQLite",
        effect="share one writer at a time",
        consequence="write latency will be waiting time.",
    )


def _single_process(config: TemplateConfig) -> list[PreflightWarning]:
    """DuckDB lets one process write, and its threads do not wait for each other's changes."""
    return _crowded(
        config,
        title="Concurrent Writers on DuckDB",
        effect="are threads of the one process that may write",
        consequence="of two that change the same row at once, one fails with a conflict.",
    )


def _crowded(
    config: TemplateConfig, *, title: str, effect: str, consequence: str
) -> list[PreflightWarning]:
    if config.connections == 1 and config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return []
    return [
        PreflightWarning(
            severity=Severity.MEDIUM,
            title=title,
            message=(
                f"{_counted(config)} {effect}, "
                f"and {config.write_pct:g}% of the workload writes: {consequence}"
            ),
            recommendations=(
                "Use one connection to measure the cost of a write itself",
                "Use POSTGRES or HYBRID tables for concurrent writes",
            ),
            details={
                "write_percentage": config.write_pct,
                "concurrent_connections": config.connections,
                "table_type": config.table_type.value,
            },
        )
    ]


def _counted(config: TemplateConfig) -> str:
    """How many connections there will be, as far as that is known beforehand."""
    words = {
        LoadMode.CONCURRENCY: "{} connections",
        LoadMode.QPS: "Up to {} connections",
        LoadMode.FIND_MAX_CONCURRENCY: "{} or more connections",
    }
    return words[config.load_mode].format(config.connections)


LOCK_MODELS: dict[TableType, Callable[[TemplateConfig], list[PreflightWarning]]] = {
    TableType.STANDARD: _lock_waiters,
    TableType.SQLITE: _single_writer,
    TableType.DUCKDB: _single_process,
}
