"""The one port to a benchmark backend, whichever dialect it speaks.

Callers see values of the domain and never a backend's own shapes. Which dialect a server speaks
is found out from its answers, remembered, and found out anew after it has not been understood.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from benchgate.domain.contract import (
    ConnectionList,
    ErrorSummary,
    Readiness,
    RunChanged,
    RunCreated,
    RunDetail,
    RunRow,
    Series,
    TemplateReadiness,
)
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.templates import Template, TemplateDraft
from benchgate.errors import BackendError, BenchgateError
from benchgate.gate.dialects.port import Activity, Dialect
from benchgate.gate.dialects.recognition import recognised
from benchgate.gate.wire import Whereabouts, Wire, within

LOOK_AFTER_ACT_SECONDS_MAX = 5

T = TypeVar("T")


class Backend:
    """A backend, typed."""

    def __init__(self, whereabouts: Whereabouts, http: httpx.AsyncClient) -> None:
        """Speak through *http*, which the caller owns, to wherever *whereabouts* says."""
        self._wire = Wire(whereabouts, http)
        self._dialect: Dialect | None = None

    @property
    def identity(self) -> str:
        """The backend within which tests run one at a time, without asking or starting it."""
        return self._wire.identity

    async def is_known_alive(self) -> bool:
        """Whether there is a backend to ask without starting one."""
        return await self._wire.is_known_alive()

    async def templates(self) -> list[Template]:
        """All saved templates, newest first."""
        return await self._ask(lambda it: it.templates())

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        return await self._ask(lambda it: it.template(template_id))

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        return await self._ask(lambda it: it.save_template(draft))

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template now, before there is a run of it.

        Only the embedded backend looks at the target of what is no run yet, and tells what is
        active beside it.
        """
        return await self._ask(lambda it: it.template_readiness(template_id))

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return await self._ask(lambda it: it.connections())

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        return await self._ask(lambda it: it.runs())

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        return await self._ask(lambda it: it.create_run(template_id))

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created."""
        return await self._ask(lambda it: it.run(run_id))

    async def readiness(self, run_id: str) -> Readiness | None:
        """All that speaks for or against a start now; None where that takes several questions."""
        return await self._ask(lambda it: it.readiness(run_id))

    async def preflight(self, run_id: str) -> PreflightReport:
        """The backend's warnings for a run, as of now."""
        return await self._ask(lambda it: it.preflight(run_id))

    async def start(self, run_id: str, *, acknowledged: bool = False) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        *acknowledged* says that it is a yes against the preflight's advice.
        """
        return await self._ask(lambda it: it.start(run_id, acknowledged=acknowledged))

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run."""
        return await self._ask(lambda it: it.stop(run_id))

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        return await self._ask(lambda it: it.snapshot(run_id))

    async def snapshot_or(self, told: RunSnapshot) -> RunSnapshot:
        """The newest known state, or *told* by an act that worked where only the look fails."""
        try:
            with within(LOOK_AFTER_ACT_SECONDS_MAX):
                return await self.snapshot(told.run_id)
        except BenchgateError:
            return told

    async def series(self, run_id: str) -> Series:
        """The run's seconds."""
        return await self._ask(lambda it: it.series(run_id))

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        return await self._ask(lambda it: it.errors(run_id))

    async def activity(self) -> Activity:
        """What runs on it now, as far as it says so."""
        return await self._ask(lambda it: it.activity())

    async def _ask(self, act: Callable[[Dialect], Awaitable[T]]) -> T:
        dialect = self._dialect = self._dialect or await recognised(self._wire)
        try:
            return await act(dialect)
        except BackendError:
            # Another server may answer at that address by now, in a dialect of its own.
            self._dialect = None
            raise
