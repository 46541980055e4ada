"""The tools that hand a run on: its results and its errors. They change nothing."""

from typing import Annotated

import anyio
from mcp.types import CallToolResult, ResourceLink
from pydantic import Field

from benchgate.domain.compared import cautions_of, compared, is_local
from benchgate.domain.comparisons import Comparison
from benchgate.domain.contract import ErrorRow
from benchgate.domain.disclosure import masked
from benchgate.domain.results import HandOver, RunResult, hand_over
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.values import ComparisonId, RunId, Value
from benchgate.errors import InvalidInput
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.service import Comparisons
from benchgate.gate.names import SERIES_URI, SUMMARY_URI
from benchgate.gate.tools.answers import ErrorsAnswer, answer

RUNS_MAX = 20
ERROR_ROWS_MAX = 10

RunIds = Annotated[list[RunId], Field(min_length=1, max_length=RUNS_MAX)]


class Page(Value):
    """A run with what a person calls it in its comparison."""

    variant: str
    run: RunSnapshot


class ResultTools:
    """What is left of a run once it has ended."""

    def __init__(
        self, *, backend: Backend, comparisons: Comparisons, desk: Desk, blocks: Blocks
    ) -> None:
        """Read from *backend*, with the evidence of *desk*, and tell in *blocks*."""
        self._backend = backend
        self._comparisons = comparisons
        self._desk = desk
        self._blocks = blocks

    async def get_results(
        self, run_ids: RunIds | None = None, comparison_id: ComparisonId | None = None
    ) -> Annotated[CallToolResult, HandOver]:
        """Hand over the figures of ended runs, or of a comparison, with the yeses they ran on.

        Give either run_ids or comparison_id. Links lead to CSV.
        """
        if bool(run_ids) == bool(comparison_id):
            raise InvalidInput("Either run_ids or comparison_id is needed, and not both.")
        if comparison_id is not None:
            return await self._compared(comparison_id)
        unique = list(dict.fromkeys(run_ids or []))
        runs = [await self._backend.snapshot(run_id) for run_id in unique]
        approvals, ledger_head = await self._desk.evidence(unique)
        handed = hand_over(runs, approvals=approvals, ledger_head=ledger_head)
        text = self._blocks.render("results", hand_over=handed, runs=runs)
        links = [link for run_id in unique for link in _links(run_id)]
        return answer(text, handed, links=links)

    async def _compared(self, comparison_id: str) -> CallToolResult:
        """The specification's hand-over of a comparison, as far as it has come."""
        view = await self._comparisons.look(comparison_id)
        comparison = view.comparison
        ended = [step.result.run_id for step in comparison.steps if step.result]
        approvals, ledger_head = await self._desk.evidence(ended)
        handed = compared(comparison, live=view.live, approvals=approvals, ledger_head=ledger_head)
        pages = await self._pages(comparison)
        text = self._blocks.render(
            "comparison_results",
            hand_over=handed,
            comparison=comparison,
            cautions=cautions_of(comparison),
            is_local=is_local(comparison),
            pages=pages,
            ended_count=len(ended),
        )
        links = [link for page in pages for link in _links(page.run.run_id)]
        return answer(text, handed, links=links)

    async def _pages(self, comparison: Comparison) -> list[Page]:
        """Its first runs that have ended, all looked at in the time of one; for their links."""
        ended = [(step, step.result) for step in comparison.steps if step.result][:RUNS_MAX]
        found: dict[str, RunSnapshot] = {}

        async def look(result: RunResult) -> None:
            told = RunSnapshot(run_id=result.run_id, status=result.status)
            found[result.run_id] = await self._backend.snapshot_or(told)

        async with anyio.create_task_group() as tasks:
            for _, result in ended:
                tasks.start_soon(look, result)
        return [
            Page(variant=comparison.variant_of(step), run=found[result.run_id])
            for step, result in ended
        ]

    async def get_errors(self, run_id: RunId) -> Annotated[CallToolResult, ErrorsAnswer]:
        """Read a run's errors by category, with possible causes."""
        run = await self._backend.snapshot(run_id)
        summary = await self._backend.errors(run_id)
        rows = tuple(_without_secrets(row) for row in summary.rows[:ERROR_ROWS_MAX])
        summary = summary.model_copy(update={"rows": rows})
        text = self._blocks.render("errors", run=run, summary=summary)
        return answer(text, ErrorsAnswer(run_id=run_id, rows=summary.rows))


def _without_secrets(row: ErrorRow) -> ErrorRow:
    """*row* with what looks secret masked: a database repeats the statement that it refuses."""
    told = {"summary": masked(row.summary), "message": masked(row.message)}
    return row.model_copy(update=told)


def _links(run_id: str) -> list[ResourceLink]:
    return [
        ResourceLink(
            uri=uri.format(run_id=run_id), name=uri.rpartition("/")[2], mime_type="text/csv"
        )
        for uri in (SUMMARY_URI, SERIES_URI)
    ]
