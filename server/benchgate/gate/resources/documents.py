"""Runs, their results and templates as JSON resources: which there are, and what stands in them.

The source is handed in; where it has things from is its own to know. The list of runs alone is
read without starting a backend: hosts read lists just to show them.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from mcp.server import MCPServer

from benchgate.domain.contract import RunRow
from benchgate.domain.disclosure import disclosed
from benchgate.domain.evidence import Evidence
from benchgate.domain.results import hand_over
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.templates import Template
from benchgate.domain.values import Value
from benchgate.gate.names import RESULTS_URI, RUN_URI, RUNS_URI, TEMPLATE_URI, ToolName
from benchgate.gate.resources.lookups import looked_up, read

JSON_TYPE = "application/json"
RUNS_MAX = 100
NO_BACKEND_NOTE = (
    "No backend is running, and reading this list starts none; "
    f"{ToolName.LIST_TEMPLATES} starts the embedded one."
)
NO_RUNS_NOTE = (
    "The backend lists no runs. If there ought to be some, check its own database, "
    "without which some backends list nothing."
)

ReadSnapshot = Callable[[str], Awaitable[RunSnapshot]]
ReadEvidence = Callable[[Sequence[str]], Awaitable[tuple[list[Evidence], str | None]]]


class Source(Protocol):
    """Where the list of runs and the templates are read."""

    async def is_known_alive(self) -> bool:
        """Whether there is a backend to ask without starting one."""
        ...

    async def runs(self) -> list[RunRow]:
        """The newest runs, newest first."""
        ...

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        ...


class RunLine(Value):
    """One run in the list."""

    run_id: str
    template_id: str | None = None
    template_name: str
    status: str
    created_at: datetime


class RunList(Value):
    """The newest runs, newest first; `note` says why there are none, or not all."""

    runs: tuple[RunLine, ...] = ()
    note: str | None = None


def register(
    server: MCPServer[Any],
    source: Source,
    *,
    read_snapshot: ReadSnapshot,
    read_evidence: ReadEvidence,
) -> None:
    """Offer on *server* what is in *source*, what is known of a run, and its results.

    Results come with the evidence of the yeses on which their runs were started.
    """
    _offer_list(server, source)
    _offer_run(server, read_snapshot)
    _offer_results(server, read_snapshot, read_evidence)
    _offer_template(server, source)


def _offer_list(server: MCPServer[Any], source: Source) -> None:
    @server.resource(
        RUNS_URI,
        name="runs",
        title="Runs",
        description="The newest runs with their status, as JSON",
        mime_type=JSON_TYPE,
    )
    async def runs() -> str:
        return disclosed(await read(_listed(source)))


def _offer_run(server: MCPServer[Any], read_snapshot: ReadSnapshot) -> None:
    @server.resource(
        RUN_URI,
        name="run",
        title="State of a run",
        description="Status, phase, progress and live figures of one run, as JSON",
        mime_type=JSON_TYPE,
    )
    async def run(run_id: str) -> str:
        return disclosed(await looked_up(read_snapshot, run_id, noun="run"))


def _offer_results(
    server: MCPServer[Any], read_snapshot: ReadSnapshot, read_evidence: ReadEvidence
) -> None:
    @server.resource(
        RESULTS_URI,
        name="run_results",
        title="Results of a run",
        description="The hand-over of one run to the analysis, as JSON; figures once it has ended",
        mime_type=JSON_TYPE,
    )
    async def results(run_id: str) -> str:
        snapshot = await looked_up(read_snapshot, run_id, noun="run")
        if not snapshot.is_terminal:
            # What a live run has measured so far is no result.
            snapshot = snapshot.model_copy(update={"summary": None, "estimated_cost": None})
        approvals, ledger_head = await read(read_evidence([run_id]))
        return disclosed(hand_over([snapshot], approvals=approvals, ledger_head=ledger_head))


def _offer_template(server: MCPServer[Any], source: Source) -> None:
    @server.resource(
        TEMPLATE_URI,
        name="template",
        title="Template",
        description="One saved test configuration, as JSON; without secrets",
        mime_type=JSON_TYPE,
    )
    async def template(template_id: str) -> str:
        return disclosed(await looked_up(source.template, template_id, noun="template"))


async def _listed(source: Source) -> RunList:
    if not await source.is_known_alive():
        return RunList(note=NO_BACKEND_NOTE)
    rows = await source.runs()
    lines = tuple(
        RunLine.model_validate(row.model_dump() | {"template_id": row.template_id or None})
        for row in rows[:RUNS_MAX]
    )
    note = f"The newest {RUNS_MAX} of {len(rows)} runs." if len(rows) > RUNS_MAX else None
    note = note if rows else NO_RUNS_NOTE
    return RunList(runs=lines, note=note)
