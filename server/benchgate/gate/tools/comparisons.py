"""The tools of comparisons: plan, start and go on, watch."""

from typing import Annotated

import anyio
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import Field

from benchgate.domain.answers import NOTE_CHARACTERS_MAX, StartOutcome
from benchgate.domain.approvals import Approval, ApprovalState, ExecutionMode, SubjectKind
from benchgate.domain.comparisons import (
    REPEATS_MAX,
    RESUMABLE,
    TESTS_MAX,
    TESTS_MIN,
    Comparison,
    ComparisonState,
    StepState,
)
from benchgate.domain.progress import (
    elapsed_seconds,
    expected_seconds,
    lines_of,
    remaining_seconds,
)
from benchgate.domain.text import NAME_CHARACTERS_MAX
from benchgate.domain.values import ComparisonId, TemplateId
from benchgate.gate import monitor
from benchgate.gate.approvals.desk import Desk
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.matters import UNASKED
from benchgate.gate.comparisons.service import Comparisons, Plan, View
from benchgate.gate.endings import NotStarted
from benchgate.gate.tools.answers import (
    ComparisonAnswer,
    ComparisonCreated,
    ComparisonStart,
    OpenComparison,
    answer,
)

Templates = Annotated[list[TemplateId], Field(min_length=TESTS_MIN, max_length=TESTS_MAX)]
Name = Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)]
Variants = Annotated[list[Name], Field(max_length=TESTS_MAX, description="What to call each test")]
Repeats = Annotated[int, Field(ge=1, le=REPEATS_MAX, description="Runs of each test, interleaved")]
WaitSeconds = Annotated[float, Field(ge=0, le=monitor.WAIT_SECONDS_MAX)]
Confirmation = Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX)]

PROGRESS_STEP_SECONDS = 0.001
ASKABLE = RESUMABLE | UNASKED


class ComparisonTools:
    """What an agent can do with a comparison."""

    def __init__(self, comparisons: Comparisons, *, desk: Desk, blocks: Blocks) -> None:
        """Act through *comparisons*, look at *desk*, and tell in *blocks*."""
        self._comparisons = comparisons
        self._desk = desk
        self._blocks = blocks

    async def create_comparison(
        self,
        template_ids: Templates,
        comparison_type: Name = "",
        variants: Variants | None = None,
        repeats: Repeats = 1,
    ) -> Annotated[CallToolResult, ComparisonCreated]:
        """Plan tests that the server runs one after another, in this order. It starts nothing."""
        plan = Plan(
            template_ids=tuple(template_ids),
            comparison_type=comparison_type,
            variants=tuple(variants or ()),
            repeats=repeats,
        )
        comparison = await self._comparisons.create(plan)
        return answer(
            self._blocks.render("comparison_created", comparison=comparison),
            ComparisonCreated(
                comparison_id=comparison.comparison_id,
                state=comparison.state,
                run_count=len(comparison.steps),
                cautions=tuple(caution.kind.value for caution in comparison.cautions),
            ),
        )

    async def start_comparison(
        self, comparison_id: ComparisonId, ctx: Context
    ) -> Annotated[CallToolResult, ComparisonStart] | InputRequiredResult:
        """Ask the person whether and how to run a comparison, or its next test; start on their yes.

        You cannot answer for them. In pause mode call it again after each test.
        """
        return await self._start(comparison_id, ctx, confirmation="")

    async def start_comparison_by_words(
        self, comparison_id: ComparisonId, ctx: Context, confirmation: Confirmation = ""
    ) -> Annotated[CallToolResult, ComparisonStart] | InputRequiredResult:
        """Ask the person whether and how to run a comparison, or its next test; start on their yes.

        You cannot answer for them. In pause mode call it again after each test.
        confirmation: only when a code was given to you: that code, a space, and the words with
        which the person answered the question after you showed it, verbatim.
        """
        return await self._start(comparison_id, ctx, confirmation=confirmation)

    async def get_comparison(
        self,
        ctx: Context,
        comparison_id: ComparisonId | None = None,
        wait_seconds: WaitSeconds = 0,
    ) -> Annotated[CallToolResult, ComparisonAnswer]:
        """Read a comparison's progress, waiting for news at most wait_seconds.

        Repeat with next_check_seconds as wait_seconds. Without an id: the open ones.
        """
        if comparison_id is None:
            return await self._open()
        told_seconds = 0.0
        deadline = anyio.current_time() + wait_seconds

        async def tell(view: View) -> None:
            nonlocal told_seconds
            # The protocol wants each progress above the last.
            done = elapsed_seconds(view.comparison, view.live)
            told_seconds = max(done, told_seconds + PROGRESS_STEP_SECONDS)
            line = self._blocks.render("comparison_line", view=view).strip()
            total_seconds = expected_seconds(view.comparison, view.live)
            await ctx.report_progress(told_seconds, total_seconds, line)

        view = await monitor.watch_comparison(
            lambda: self._comparisons.look(comparison_id), tell, wait_seconds=wait_seconds
        )
        approval = await self._question(view.comparison)
        left_seconds = deadline - anyio.current_time()
        if approval is not None and left_seconds > 0:
            approval = await monitor.until_answered(
                lambda: self._question(view.comparison), wait_seconds=left_seconds
            )
            view = await self._comparisons.look(comparison_id)
        return self._progress(view, approval)

    async def _open(self) -> CallToolResult:
        comparisons = await self._comparisons.open()
        found = tuple(
            OpenComparison(
                comparison_id=one.comparison_id,
                comparison_type=one.comparison_type,
                state=one.state,
                completed=one.position,
                run_count=len(one.steps),
            )
            for one in comparisons
        )
        return answer(
            self._blocks.render("comparisons", comparisons=found), ComparisonAnswer(open=found)
        )

    async def _question(self, comparison: Comparison) -> Approval | None:
        """The newest question about what comes next, while it is to be answered or used.

        In a series that is the question about the whole of what is left, unless the preflight
        speaks against the next test, which then has one of its own.
        """
        if comparison.state not in ASKABLE:
            return None
        asks_whole = comparison.state in UNASKED or comparison.mode is ExecutionMode.SEQUENTIAL
        found: list[Approval | None] = []
        if asks_whole:
            found.append(await self._desk.newest(comparison.comparison_id))
        step = comparison.step
        # A run that has ended gives way to another, of which nobody has been asked.
        if step is not None and step.state is StepState.PREPARED and step.run_id is not None:
            of_run = await self._desk.newest(step.run_id)
            if not asks_whole or _is_override(of_run):
                found.append(of_run)
        asked = [one for one in found if one is not None and _counts(one, comparison)]
        return max(asked, key=lambda one: one.asked_at, default=None)

    async def _start(
        self, comparison_id: str, ctx: Context, *, confirmation: str
    ) -> CallToolResult | InputRequiredResult:
        ending = await self._comparisons.start(comparison_id, ctx, confirmation=confirmation)
        if isinstance(ending, InputRequiredResult):
            return ending
        view = await self._comparisons.look(comparison_id)
        comparison = view.comparison
        mode = comparison.mode.value if comparison.mode else None
        known: dict[str, object] = {
            "comparison_id": comparison_id,
            "state": comparison.state,
            "mode": mode,
        }
        if isinstance(ending, NotStarted):
            return self._not_started(ending, view, known)
        run = ending.snapshot
        text = self._blocks.render("comparison_started", view=view, run=run)
        started = ComparisonStart.model_validate(
            known | {"outcome": StartOutcome.STARTED, "run_id": run.run_id}
        )
        return answer(text, started)

    def _not_started(
        self, ending: NotStarted, view: View, known: dict[str, object]
    ) -> CallToolResult:
        text = self._blocks.render(
            "not_started",
            comparison=view.comparison,
            outcome=ending.outcome.value,
            reason=ending.reason,
            note=ending.note,
            offer=ending.offer,
        )
        about = {
            "outcome": ending.outcome,
            "reason": ending.reason,
            "note": ending.note or None,
            "approval_url": ending.offer.page_url,
        }
        return answer(text, ComparisonStart.model_validate(known | about))

    def _progress(self, view: View, approval: Approval | None) -> CallToolResult:
        comparison, live = view.comparison, view.live
        lines = lines_of(comparison, live)
        left_seconds = remaining_seconds(comparison, live)
        state = approval.state if approval else None
        next_check_seconds = monitor.next_look_seconds(view, state)
        text = self._blocks.render(
            "comparison_progress",
            comparison=comparison,
            lines=lines,
            remaining_seconds=left_seconds,
            trouble=view.trouble,
            approval=state.value if state else None,
            next_check_seconds=next_check_seconds,
        )
        return answer(
            text,
            ComparisonAnswer(
                comparison_id=comparison.comparison_id,
                state=comparison.state,
                mode=comparison.mode,
                reason=comparison.reason,
                run_id=live.run_id if live else None,
                approval=state,
                lines=lines,
                remaining_seconds=left_seconds,
                next_check_seconds=next_check_seconds,
            ),
        )


def _is_override(approval: Approval | None) -> bool:
    return approval is not None and approval.subject.kind is SubjectKind.OVERRIDE


def _counts(approval: Approval, comparison: Comparison) -> bool:
    """Whether a question is still about what comes next: a stop cancels the run of those before."""
    is_stale = (
        comparison.state is ComparisonState.STOPPED and approval.asked_at <= comparison.updated_at
    )
    return approval.state is not ApprovalState.USED and not is_stale
