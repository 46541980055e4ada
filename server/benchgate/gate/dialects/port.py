"""What every dialect of a backend can do, in values that know no dialect.

A dialect is one module, or package, that speaks over a wire. Another one is added by writing it
and naming it in the table of those that are recognised.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from benchgate.domain.bounds import Bound
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
from benchgate.domain.runs import RunSnapshot, Sighting
from benchgate.domain.templates import Template, TemplateConfig, TemplateDraft
from benchgate.domain.values import Value


class Activity(Value):
    """What runs on a backend now, as far as it says so.

    `is_exclusive`: it refuses a second run, and a second start of the same run.
    """

    active_run_id: str | None = None
    is_exclusive: bool = False


class Unreadable(Value):
    """A saved template of which no run could be made, and why not."""

    template_name: str
    reason: str


class Shelf(Value):
    """All saved templates: those that can be read, newest first, and those that cannot."""

    templates: tuple[Template, ...]
    unreadable: tuple[Unreadable, ...] = ()


class Memory(Protocol):
    """Remembers of a run what a backend forgets."""

    async def recall(self, run_id: str, *, anew: bool = False) -> Sighting:
        """What is remembered of the run; an empty sighting where nothing is.

        *anew*: another process may have stopped it since it was last asked about here.
        """
        ...


class Stream(Protocol):
    """A run's news, as they come."""

    async def next(self, last: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What the next message adds to *last*; *last* itself where it adds nothing.

        Raises:
            BackendError: nothing came in time, or nothing more will come.
        """
        ...


class Dialect(Protocol):
    """One way in which a backend speaks."""

    async def shelf(self) -> Shelf:
        """All saved templates, one that cannot be read among them hides no other."""
        ...

    async def templates(self) -> list[Template]:
        """All saved templates that can be read, newest first."""
        ...

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        ...

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        ...

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template now, before there is a run of it.

        Only the embedded backend looks at the target of what is no run yet, and tells what is
        active beside it.
        """
        ...

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        ...

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        ...

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        ...

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created."""
        ...

    async def readiness(self, run_id: str) -> Readiness | None:
        """All that speaks for or against a start now; None where that takes several questions."""
        ...

    async def preflight(self, run_id: str) -> PreflightReport:
        """The backend's warnings for a run, as of now."""
        ...

    async def start(
        self, run_id: str, *, acknowledged: bool = False, connection: str | None = None
    ) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        *acknowledged* says that it is a yes against the preflight's advice, *connection* which
        server it is a yes to.
        """
        ...

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run."""
        ...

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        ...

    def stream(self, run_id: str) -> AbstractAsyncContextManager[Stream]:
        """The run's own stream; whether there is such a run has to be known before."""
        ...

    def bound(self, config: TemplateConfig) -> Bound | None:
        """When a run must be stopped by us, because the backend would never end it by itself."""
        ...

    async def series(self, run_id: str) -> Series:
        """The run's seconds."""
        ...

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        ...

    async def activity(self) -> Activity:
        """What runs on it now, as far as it says so."""
        ...
