"""The preflight: what a configuration warns of, and what a look at its database tells.

It looks, and changes nothing. Whatever would keep the load from running is a high warning in the
database's own words. A person may want a start against such a warning, because the target may be
another by then; what this backend cannot drive at all stays out of reach.
"""

from collections.abc import Callable

import anyio
import anyio.to_thread

from benchgate.backend import credentials
from benchgate.backend.connections import ConnectionTable
from benchgate.backend.drivers.port import Driver, TableShape, Target
from benchgate.backend.engine.target import target_of
from benchgate.backend.runs import Run
from benchgate.domain.preflight import (
    PreflightReport,
    PreflightWarning,
    Severity,
    report,
    warnings_of,
)
from benchgate.domain.templates import LoadMode, TableType, TemplateConfig
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, DatabaseError, InvalidInput, MissingExtra, NotFound

LOOK_SECONDS_MAX = 15
LOOKS_AT_A_TIME = 4

LOAD_MODES_DRIVEN = frozenset({LoadMode.CONCURRENCY})
TABLE_TYPES_DRIVEN = frozenset({TableType.SQLITE, TableType.POSTGRES})
# Each is a thread; more of them only wait for one another, and in the end for the machine.
SQLITE_CONNECTIONS_MAX = 1_000

TITLES: dict[type[BenchgateError], str] = {
    NotFound: "Connection Does Not Exist",
    InvalidInput: "Statement Cannot Be Used",
    MissingExtra: "Driver Is Not Installed",
    DatabaseError: "Target Cannot Be Used",
}


class Preflight:
    """Looks at what a run would load, whether there is one yet or not."""

    def __init__(
        self, connections: ConnectionTable, driver_for: Callable[[TableType], Driver]
    ) -> None:
        """Resolve targets with *connections* and look through what *driver_for* gives."""
        self._connections = connections
        self._driver_for = driver_for
        self._looks = anyio.CapacityLimiter(LOOKS_AT_A_TIME)

    async def report(self, run: Run) -> PreflightReport:
        """Everything to know before *run* is started."""
        return report(run.run_id, await self.warnings(run.config))

    async def warnings(self, config: TemplateConfig) -> list[PreflightWarning]:
        """Everything that *config* gives reason to warn of, its target having been looked at."""
        warnings = foreseen(config)
        if config.table_type in TABLE_TYPES_DRIVEN:
            warnings += await self._look(config)
        return warnings

    async def _look(self, config: TemplateConfig) -> list[PreflightWarning]:
        try:
            with anyio.fail_after(LOOK_SECONDS_MAX):
                async with self._looks:
                    return await self._look_at_target(config)
        except TimeoutError:
            late = DatabaseError(f"The database did not answer within {LOOK_SECONDS_MAX} s.")
            return [_warning(late, config)]
        except BenchgateError as exc:
            return [_warning(exc, config)]

    async def _look_at_target(self, config: TemplateConfig) -> list[PreflightWarning]:
        target = await anyio.to_thread.run_sync(target_of, config, self._connections)
        driver = self._driver_for(config.table_type)
        missing = await anyio.to_thread.run_sync(_missing_credential, target)
        if missing is not None:
            return [_no_credential(missing, config)]
        shape = await driver.describe(target)
        try:
            await driver.check(target, config.workload)
        except InvalidInput as exc:
            return [_warning(exc, config, title=_title(shape))]
        return []


def _missing_credential(target: Target) -> str | None:
    return credentials.missing(target.connection) if target.connection else None


def _title(shape: TableShape) -> str:
    """What a refused statement most likely lies at."""
    if not shape.has_rows:
        return "Table Is Empty"
    return TITLES[InvalidInput] if shape.key else "Table Has No Primary Key"


def foreseen(config: TemplateConfig) -> list[PreflightWarning]:
    """What *config* alone gives reason to warn of, whatever the target's state is."""
    return not_driven(config) + warnings_of(config)


def not_driven(config: TemplateConfig) -> list[PreflightWarning]:
    """What of *config* this backend cannot do at all, whatever the target's state is."""
    warnings: list[PreflightWarning] = []
    if config.table_type not in TABLE_TYPES_DRIVEN:
        kinds = " and ".join(sorted(TABLE_TYPES_DRIVEN))
        warnings.append(
            _high(
                "Table Type Not Available Here",
                f"The embedded backend loads {kinds} tables, not {config.table_type}.",
                config,
                advice="Set BENCHGATE_BACKEND_URL to a backend that drives Snowflake",
            )
        )
    if config.load_mode not in LOAD_MODES_DRIVEN:
        warnings.append(
            _high(
                "Load Mode Not Available Here",
                f"The embedded backend drives CONCURRENCY, not {config.load_mode}.",
                config,
                advice="Change load_mode to CONCURRENCY",
            )
        )
    if config.table_type is TableType.SQLITE and config.connections > SQLITE_CONNECTIONS_MAX:
        warnings.append(
            _high(
                "Too Many Connections",
                f"{config.connections} connections to an SQLite file were asked for; this "
                f"backend drives {SQLITE_CONNECTIONS_MAX} at most.",
                config,
                advice=f"Reduce the connections to {SQLITE_CONNECTIONS_MAX} or less",
            )
        )
    return warnings


def _no_credential(missing: str, config: TemplateConfig) -> PreflightWarning:
    return _high(
        "Password Not Found",
        missing,
        config,
        advice="Provide it, then call `benchgate backend --restart`: it takes your environment",
    )


def _warning(
    error: BenchgateError, config: TemplateConfig, *, title: str | None = None
) -> PreflightWarning:
    name = title or TITLES.get(type(error), "Target Cannot Be Used")
    return _high(name, one_line(str(error)), config, advice=error.hint)


def _high(title: str, message: str, config: TemplateConfig, *, advice: str) -> PreflightWarning:
    return PreflightWarning(
        severity=Severity.HIGH,
        title=title,
        message=message,
        recommendations=(advice,),
        details={"target": one_line(config.target), "table_type": config.table_type.value},
    )
