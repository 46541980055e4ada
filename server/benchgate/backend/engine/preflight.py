"""The preflight: what a configuration warns of, and what a look at its database tells.

It looks, and changes nothing. Whatever would keep the load from running is a high warning in the
database's own words; what the server can bear is judged by the rules of `advice`. A person may
want a start against such a warning, because the target may be another by then; what this backend
cannot drive at all stays out of reach.
"""

from collections.abc import Callable

import anyio
import anyio.to_thread

from benchgate.backend import credentials
from benchgate.backend.drivers.port import Driver, Survey, TableShape, Target
from benchgate.backend.engine.advice import SERVER_RULES, Look, advice
from benchgate.backend.engine.capacity import driven_max
from benchgate.backend.engine.plan_advice import PLAN_RULES, thought_away
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.backend.engine.targets import Targets
from benchgate.backend.engine.warehouse_advice import WAREHOUSE_RULES
from benchgate.backend.engine.write_advice import WRITE_RULES, in_place
from benchgate.backend.runs import Run
from benchgate.domain.preflight import (
    PreflightReport,
    PreflightWarning,
    Severity,
    about,
    report,
    warnings_of,
)
from benchgate.domain.templates import LoadMode, QueryKind, TableType, TemplateConfig
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, DatabaseError, InvalidInput, MissingExtra, NotFound

LOOK_SECONDS_MAX = 15
SURVEY_SECONDS_MAX = 5
LOOKS_AT_A_TIME = 4

LOAD_MODES_DRIVEN = frozenset(LoadMode)
TABLE_TYPES_DRIVEN = frozenset(TableType)
RULES = (*WRITE_RULES, *SERVER_RULES, *WAREHOUSE_RULES, *PLAN_RULES)

TITLES: dict[type[BenchgateError], str] = {
    NotFound: "Connection Does Not Exist",
    MissingExtra: "Driver Is Not Installed",
    DatabaseError: "Target Cannot Be Used",
}


class Preflight:
    """Looks at what a run would load, whether there is one yet or not."""

    def __init__(
        self,
        targets: Targets,
        driver_for: Callable[[TableType], Driver],
        surroundings: Surroundings,
    ) -> None:
        """Find *targets*, and look at them through what *driver_for* gives."""
        self._targets = targets
        self._driver_for = driver_for
        self._surroundings = surroundings
        self._looks = anyio.CapacityLimiter(LOOKS_AT_A_TIME)

    async def report(self, run: Run) -> PreflightReport:
        """Everything to know before *run* is started."""
        return report(run.run_id, await self.warnings(run.config))

    async def warnings(self, config: TemplateConfig) -> list[PreflightWarning]:
        """Everything that *config* gives reason to warn of, its target having been looked at."""
        return foreseen(config) + await self._look(config)

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
        target = await anyio.to_thread.run_sync(self._targets.of, config)
        driver = self._driver_for(config.table_type)
        missing = await anyio.to_thread.run_sync(_missing_credential, target)
        if missing is not None:
            return [_no_credential(missing, config)]
        # First, because a look into a table wakes the warehouse that it is to tell of.
        look, unseen = await self._surveyed(config, target, driver)
        try:
            shape = await driver.describe(target)
        except DatabaseError as exc:
            return [_warning(exc, config), *advice(WAREHOUSE_RULES, look)]
        warnings: list[PreflightWarning] = []
        try:
            await driver.check(target, config.workload)
        except InvalidInput as exc:
            warnings.append(_warning(exc, config, title=_title(shape, config)))
        return warnings + unseen + advice(RULES, look)

    async def _surveyed(
        self, config: TemplateConfig, target: Target, driver: Driver
    ) -> tuple[Look, list[PreflightWarning]]:
        """What the server tells of what it can bear, and what it does not let be seen."""
        warnings: list[PreflightWarning] = []
        survey = Survey()
        try:
            with anyio.fail_after(SURVEY_SECONDS_MAX):
                survey = await driver.survey(target)
        except TimeoutError:
            late = f"The server did not tell within {SURVEY_SECONDS_MAX} s."
            warnings.append(_unknown(late, config))
        except DatabaseError as exc:
            warnings.append(_unknown(str(exc), config))
        look = Look(
            config=config,
            survey=survey,
            surroundings=self._surroundings,
            connection=target.connection,
        )
        return look, warnings


def _missing_credential(target: Target) -> str | None:
    return credentials.missing(target.connection) if target.connection else None


def _title(shape: TableShape, config: TemplateConfig) -> str:
    """What a refused statement most likely lies at."""
    if not shape.has_rows:
        return "Table Is Empty"
    needs_key = any(share.kind is not QueryKind.GENERIC_SQL for share in config.workload)
    return "Table Has No Primary Key" if needs_key and not shape.key else "Statement Cannot Be Used"


def foreseen(config: TemplateConfig) -> list[PreflightWarning]:
    """What *config* alone gives reason to warn of, whatever the target's state is."""
    return not_driven(config) + in_place(config) + thought_away(config) + warnings_of(config)


def not_driven(config: TemplateConfig) -> list[PreflightWarning]:
    """What of *config* this backend cannot do at all, whatever the target's state is."""
    most = driven_max(config.table_type)
    if config.connections <= most:
        return []
    return [
        about(
            config,
            severity=Severity.HIGH,
            title="Too Many Connections",
            message=(
                f"{config.connections} connections to a {config.table_type} table were asked "
                f"for; this backend drives {most} at most, because each of them is a thread."
            ),
            recommendations=(f"Reduce the connections to {most} or less",),
            details={"connections": config.connections, "connections_driven_max": most},
        )
    ]


def _no_credential(missing: str, config: TemplateConfig) -> PreflightWarning:
    remedy = "Provide it, then call `benchgate backend --restart`: it takes your environment"
    return about(
        config,
        severity=Severity.HIGH,
        title="Password Not Found",
        message=missing,
        recommendations=(remedy,),
    )


def _unknown(reason: str, config: TemplateConfig) -> PreflightWarning:
    return about(
        config,
        severity=Severity.MEDIUM,
        title="Server Could Not Be Surveyed",
        message=(
            "Whether the server can bear the load is not known: its connections, sessions and "
            f"disk could not be seen. {one_line(reason)}"
        ),
        recommendations=("Look at them yourself before the run",),
    )


def _warning(
    error: BenchgateError, config: TemplateConfig, *, title: str | None = None
) -> PreflightWarning:
    return about(
        config,
        severity=Severity.HIGH,
        title=title or TITLES.get(type(error), "Target Cannot Be Used"),
        message=one_line(str(error)),
        recommendations=(error.hint,),
    )
