"""The tools that hand a run on: its results and its errors. They change nothing."""

from typing import Annotated

from mcp.types import CallToolResult, ResourceLink
from pydantic import Field

from benchgate.domain.results import HandOver, hand_over
from benchgate.domain.values import RunId
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.names import SERIES_URI, SUMMARY_URI
from benchgate.gate.tools.answers import ErrorsAnswer, answer

RUNS_MAX = 20
ERROR_ROWS_MAX = 10

RunIds = Annotated[list[RunId], Field(min_length=1, max_length=RUNS_MAX)]


class ResultTools:
    """What is left of a run once it has ended."""

    def __init__(self, *, backend: Backend, desk: Desk, blocks: Blocks) -> None:
        """Read from *backend*, with the evidence of *desk*, and tell in *blocks*."""
        self._backend = backend
        self._desk = desk
        self._blocks = blocks

    async def get_results(self, run_ids: RunIds) -> Annotated[CallToolResult, HandOver]:
        """Hand over the figures of ended runs, with links to CSV and the approvals they ran on."""
        unique = list(dict.fromkeys(run_ids))
        runs = [await self._backend.snapshot(run_id) for run_id in unique]
        approvals, ledger_head = await self._desk.evidence(unique)
        handed = hand_over(runs, approvals=approvals, ledger_head=ledger_head)
        text = self._blocks.render("results", hand_over=handed, runs=runs)
        links = [link for run_id in unique for link in _links(run_id)]
        return answer(text, handed, links=links)

    async def get_errors(self, run_id: RunId) -> Annotated[CallToolResult, ErrorsAnswer]:
        """Read a run's errors by category, with possible causes."""
        run = await self._backend.snapshot(run_id)
        summary = await self._backend.errors(run_id)
        summary = summary.model_copy(update={"rows": summary.rows[:ERROR_ROWS_MAX]})
        text = self._blocks.render("errors", run=run, summary=summary)
        return answer(text, ErrorsAnswer(run_id=run_id, rows=summary.rows))


def _links(run_id: str) -> list[ResourceLink]:
    return [
        ResourceLink(
            uri=uri.format(run_id=run_id), name=uri.rpartition("/")[2], mime_type="text/csv"
        )
        for uri in (SUMMARY_URI, SERIES_URI)
    ]
