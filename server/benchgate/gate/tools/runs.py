"""The tools of one run's life: create, check, start, watch, stop."""

from typing import Annotated

import anyio
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field

from benchgate.domain.answers import NOTE_CHARACTERS_MAX, StartOutcome
from benchgate.domain.approvals import Approval
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.domain.values import RunId, TemplateId
from benchgate.domain.variants import LoadChanges, variant
from benchgate.gate import monitor
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.service import Comparisons
from benchgate.gate.endings import NotStarted, Started
from benchgate.gate.live import Live
from benchgate.gate.starts import Starts
from benchgate.gate.tools.answers import (
    CreatedAnswer,
    PreflightAnswer,
    StartAnswer,
    StatusAnswer,
    StopAnswer,
    answer,
)

PROGRESS_STEP_SECONDS = 0.001

WaitSeconds = Annotated[float, Field(ge=0, le=monitor.WAIT_SECONDS_MAX)]
Confirmation = Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX)]


class RunTools:
    """What an agent can do with a run."""

    def __init__(
        self,
        *,
        backend: Backend,
        live: Live,
        starts: Starts,
        comparisons: Comparisons,
        desk: Desk,
        blocks: Blocks,
    ) -> None:
        """Act on *backend*, start through *starts* alone, and tell in *blocks*.

        What goes on is seen in *live*, and what was answered at *desk*.
        """
        self._backend = backend
        self._live = live
        self._comparisons = comparisons
        self._starts = starts
        self._desk = desk
        self._blocks = blocks

    async def create_run(
        self, template_id: TemplateId, changes: LoadChanges | None = None
    ) -> Annotated[CallToolResult, CreatedAnswer]:
        """Create a PREPARED run from a template. It loads nothing until start_run.

        With changes, a new template is saved with them and used; the given one stays as it is.
        """
        if changes is not None:
            template = await self._backend.template(template_id)
            saved = await self._backend.save_template(variant(template, changes))
            template_id = saved.template_id
        created = await self._backend.create_run(template_id)
        told = RunSnapshot(
            run_id=created.run_id,
            status=created.status,
            template_id=template_id,
            dashboard_url=created.dashboard_url,
        )
        run = await self._backend.snapshot_or(told)
        return answer(
            self._blocks.render("created", run=run, is_variant=changes is not None),
            CreatedAnswer(
                run_id=run.run_id,
                status=run.status,
                template_id=template_id,
                template_name=run.template_name,
                dashboard_url=run.dashboard_url,
            ),
        )

    async def preflight(self, run_id: RunId) -> Annotated[CallToolResult, PreflightAnswer]:
        """Check a prepared run for problems. Show every warning to the person."""
        detail = await self._backend.run(run_id)
        report = await self._backend.preflight(run_id)
        text = self._blocks.render("preflight", report=report, run=detail)
        return answer(text, PreflightAnswer.model_validate(report.model_dump()))

    async def start_run(
        self, run_id: RunId, ctx: Context
    ) -> Annotated[CallToolResult, StartAnswer] | InputRequiredResult:
        """Ask the person whether to start a prepared run, and start it only on their yes.

        You cannot answer for them. On any outcome but "started" nothing runs: follow the text.
        """
        return await self._start(run_id, ctx, confirmation="")

    async def start_run_by_words(
        self, run_id: RunId, ctx: Context, confirmation: Confirmation = ""
    ) -> Annotated[CallToolResult, StartAnswer] | InputRequiredResult:
        """Ask the person whether to start a prepared run, and start it only on their yes.

        You cannot answer for them. On any outcome but "started" nothing runs: follow the text.
        confirmation: only when a code was given to you: that code, a space, and the words with
        which the person answered the question after you showed it, verbatim.
        """
        return await self._start(run_id, ctx, confirmation=confirmation)

    async def get_status(
        self, run_id: RunId, ctx: Context, wait_seconds: WaitSeconds = 0
    ) -> Annotated[CallToolResult, StatusAnswer]:
        """Read a run's state and figures, waiting for its end at most wait_seconds.

        Repeat with next_check_seconds as wait_seconds until the run has ended.
        Only a COMPLETED run has final figures.
        """
        told_seconds = -PROGRESS_STEP_SECONDS

        async def tell(run: RunSnapshot) -> None:
            nonlocal told_seconds
            # The protocol wants each progress above the last; a run that gets ready stands at 0.
            told_seconds = max(run.elapsed_seconds, told_seconds + PROGRESS_STEP_SECONDS)
            line = self._blocks.render("progress_line", run=run).strip()
            await ctx.report_progress(told_seconds, run.expected_seconds, line)

        deadline = anyio.current_time() + wait_seconds
        async with self._live.watching(run_id) as feed:
            run = await monitor.watch(feed, tell, wait_seconds=wait_seconds)
        approval = None
        if run.status == RunStatus.PREPARED:
            approval = await monitor.until_answered(
                lambda: self._desk.newest(run_id),
                wait_seconds=max(0, deadline - anyio.current_time()),
            )
            # Another call may have started it on that answer.
            run = await self._backend.snapshot_or(run) if wait_seconds and approval else run
        comparison = await self._comparisons.of_run(run_id)
        return self._status(run, approval, comparison.comparison_id if comparison else None)

    async def stop_run(self, run_id: RunId) -> Annotated[CallToolResult, StopAnswer]:
        """Stop a run, and the comparison that it belongs to. Needs no approval."""
        # Before the run itself: nothing of the comparison may start in between.
        comparison = await self._comparisons.stop_of(run_id)
        changed = await self._backend.stop(run_id)
        run = await self._backend.snapshot_or(RunSnapshot(run_id=run_id, status=changed.status))
        text = self._blocks.render("stop_requested", run=run, comparison=comparison)
        comparison_id = comparison.comparison_id if comparison else None
        return answer(
            text, StopAnswer(run_id=run_id, status=run.status, comparison_id=comparison_id)
        )

    async def _start(
        self, run_id: str, ctx: Context, *, confirmation: str
    ) -> CallToolResult | InputRequiredResult:
        ending = await self._starts.start(run_id, ctx, confirmation=confirmation)
        if isinstance(ending, InputRequiredResult):
            return ending
        if isinstance(ending, Started):
            return self._started(ending)
        unread = RunSnapshot(run_id=run_id, status="", template_name=ending.name)
        return self._not_started(ending, run=await self._backend.snapshot_or(unread))

    def _started(self, started: Started) -> CallToolResult:
        run = started.snapshot
        return answer(
            self._blocks.render("started", run=run),
            StartAnswer(
                run_id=run.run_id,
                outcome=StartOutcome.STARTED,
                status=run.status,
                dashboard_url=run.dashboard_url,
            ),
        )

    def _not_started(self, ending: NotStarted, *, run: RunSnapshot) -> CallToolResult:
        text = self._blocks.render(
            "not_started",
            run=run,
            comparison=None,
            outcome=ending.outcome.value,
            run_id=ending.subject_id,
            template_name=ending.name,
            reason=ending.reason,
            note=ending.note,
            offer=ending.offer,
        )
        return answer(
            text,
            StartAnswer(
                run_id=ending.subject_id,
                outcome=ending.outcome,
                reason=ending.reason,
                note=ending.note or None,
                approval_url=ending.offer.page_url,
            ),
        )

    def _status(
        self, run: RunSnapshot, approval: Approval | None, comparison_id: str | None
    ) -> CallToolResult:
        state = approval.state if approval and run.status == RunStatus.PREPARED else None
        next_check_seconds = monitor.next_check_seconds(run, state)
        text = self._blocks.render(
            BLOCKS.get(run.status, "progress"),
            run=run,
            comparison_id=comparison_id,
            approval=state,
            next_check_seconds=next_check_seconds,
        )
        fields = run.model_dump(exclude={"dashboard_url"})
        return answer(
            text,
            StatusAnswer.model_validate(
                fields
                | {
                    "comparison_id": comparison_id,
                    "approval": state,
                    "next_check_seconds": next_check_seconds,
                }
            ),
        )


BLOCKS: dict[str, str] = {
    RunStatus.COMPLETED: "completed",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "ended",
    RunStatus.STOPPED: "ended",
}
