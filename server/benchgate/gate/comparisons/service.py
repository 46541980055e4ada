"""What can be done with a comparison: make it, start or resume it, look at it, stop it."""

import logging
from collections.abc import Callable, Sequence
from uuid import uuid4

from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import ExecutionMode, SubjectKind
from benchgate.domain.comparisons import (
    REPEATS_MAX,
    RUNS_MAX,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    PlannedTest,
    interleaved,
)
from benchgate.domain.happenings import Happening
from benchgate.domain.likeness import cautions
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.domain.templates import Template
from benchgate.domain.text import NAME_CHARACTERS_MAX, one_line
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError, Conflict, InvalidInput
from benchgate.gate.approvals import asking
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.inquiry import Inquiry, Matter
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.autopilot import Autopilot
from benchgate.gate.comparisons.book import Book
from benchgate.gate.comparisons.driver import Driver
from benchgate.gate.comparisons.listing import Listing
from benchgate.gate.comparisons.matters import UNASKED, next_test_wording
from benchgate.gate.endings import Ending, NotStarted
from benchgate.gate.live import Live
from benchgate.gate.starts import Starts
from benchgate.gate.transport.wire import within

logger = logging.getLogger(__name__)

# What is recorded can be told without the backend, if that takes longer.
LOOK_SECONDS_MAX = 5
PREPARE_SECONDS_MAX = 15
OPEN_MAX = 10


class Plan(Value):
    """What somebody wants compared."""

    template_ids: tuple[str, ...]
    comparison_type: str = ""
    variants: tuple[str, ...] = ()
    repeats: int = 1


class View(Value):
    """A comparison as it stands, with the newest of the run that is under way.

    `trouble` is why that run cannot be asked about; `live` is then the last that was known of it.
    """

    comparison: Comparison
    live: RunSnapshot | None = None
    trouble: str | None = None


class Comparisons:
    """The comparisons of one backend."""

    def __init__(
        self,
        *,
        whole: Callable[[Comparison], Matter],
        live: Live,
        book: Book,
        desk: Desk,
        driver: Driver,
        autopilot: Autopilot,
        listing: Listing,
        inquiry: Inquiry,
        starts: Starts,
        blocks: Blocks,
    ) -> None:
        """Keep them in *book*; questions go through *inquiry*, and what runs is seen in *live*.

        *whole* makes what is left of one a thing to ask about.
        """
        self._whole = whole
        self._live = live
        self._book = book
        self._desk = desk
        self._driver = driver
        self._autopilot = autopilot
        self._listing = listing
        self._inquiry = inquiry
        self._starts = starts
        self._blocks = blocks

    async def create(self, plan: Plan) -> Comparison:
        """A new comparison; nothing of it runs.

        Raises:
            InvalidInput: it cannot be meant.
            NotFound: a template does not exist.
        """
        _check(plan)
        templates = await self._listing.templates(plan.template_ids)
        tests = _planned(plan, templates)
        now = utc_now()
        comparison = Comparison(
            comparison_id=f"cmp-{uuid4().hex[:12]}",
            comparison_type=one_line(plan.comparison_type, NAME_CHARACTERS_MAX) or "tests",
            tests=tests,
            repeats=plan.repeats,
            cautions=cautions([one.config for one in templates]),
            steps=interleaved(len(tests), plan.repeats),
            created_at=now,
            updated_at=now,
        )
        await self._book.add(comparison)
        return comparison

    async def start(
        self, comparison_id: str, ctx: Context, *, confirmation: str = ""
    ) -> Ending | InputRequiredResult:
        """Start what is left, or the next test, if the person behind *ctx* says yes to it.

        Raises:
            BenchgateError: it does not exist, or the backend cannot be asked about it.
        """
        comparison = await self._present(comparison_id)
        if reason := _not_now(comparison):
            return _refused(comparison, reason)
        try:
            with within(PREPARE_SECONDS_MAX):
                matter = await self._matter(comparison, ctx)
        except Conflict as exc:
            return _refused(await self._book.get(comparison_id), str(exc))
        if matter is None:
            present = await self._book.get(comparison_id)
            return _refused(present, _not_now(present))
        ending = await self._inquiry.pursue(matter, ctx, confirmation=confirmation)
        self._autopilot.wake()
        return ending

    async def look(self, comparison_id: str) -> View:
        """How it stands now; what is overdue to be known is found out, as far as that goes.

        Raises:
            NotFound: there is no such comparison.
        """
        comparison = await self._present(comparison_id)
        if not comparison.is_under_way:
            return View(comparison=comparison)
        assert comparison.step is not None, "what is under way has a run"
        run_id = comparison.step.run_id or ""
        try:
            with within(LOOK_SECONDS_MAX):
                return View(comparison=comparison, live=await self._live.snapshot(run_id))
        except BenchgateError as exc:
            last = await self._live.last(run_id)
            last = last or RunSnapshot(run_id=run_id, status=RunStatus.STARTING)
            return View(comparison=comparison, live=last, trouble=str(exc))

    async def of_run(self, run_id: str) -> Comparison | None:
        """The comparison that a run belongs to, as far as the record can tell."""
        try:
            return await self._book.with_run(run_id)
        except BenchgateError:
            # What a run is does not depend on it.
            logger.exception("The comparison of run %s cannot be told", run_id)
            return None

    async def open(self) -> list[Comparison]:
        """Those that have not ended, the newest first, at most so many."""
        return await self._book.open(OPEN_MAX)

    async def stop_of(self, run_id: str) -> Comparison | None:
        """A run is about to be stopped: its comparison stops with it, if it is that one's turn."""
        try:
            comparison = await self._book.with_run(run_id)
            if comparison is None or not _is_at(comparison, run_id):
                return None
            stopped = Happening(
                event=ComparisonEvent.STOP, run_id=run_id, reason=f"Run {run_id} was stopped."
            )
            return await self._book.record(comparison.comparison_id, stopped)
        except Conflict:
            return None
        except BenchgateError:
            # Stopping is always possible: a comparison of which nothing is known then pauses
            # when it finds its run cancelled.
            logger.exception("The comparison of run %s could not be told of its stop", run_id)
            return None

    async def _present(self, comparison_id: str) -> Comparison:
        """The comparison, a run of it that may be under way looked at."""
        comparison = await self._book.get(comparison_id)
        if comparison.state is ComparisonState.RUNNING:
            self._autopilot.wake()
            return comparison
        try:
            with within(LOOK_SECONDS_MAX):
                return await self._driver.reconcile(comparison)
        except BenchgateError:
            # What is recorded can be told without the backend.
            return await self._book.get(comparison_id)

    async def _matter(self, comparison: Comparison, ctx: Context) -> Matter | None:
        """What to ask about: all that is left, or the next test; None where it cannot run."""
        if await self._is_whole(comparison, ctx):
            return self._whole(comparison)
        async with self._autopilot.alone(comparison.comparison_id):
            # Another call may have brought it on while this one waited for its turn.
            present = await self._book.get(comparison.comparison_id)
            if _not_now(present) is not None:
                return None
            asked = ctx.request_state is not None
            prepared = await self._driver.prepare(present, asked=asked)
        step = prepared.step
        if step is None or step.run_id is None or _not_now(prepared) is not None:
            return None
        return self._starts.matter(
            step.run_id,
            lambda facts, changed: next_test_wording(self._blocks, prepared, facts, changed),
        )

    async def _is_whole(self, comparison: Comparison, ctx: Context) -> bool:
        """Whether one yes may be good for all that is left."""
        if comparison.state in UNASKED:
            return True
        if ctx.request_state is not None:
            state = asking.sealed_state(ctx.request_state)
            asked = await self._desk.get(state.approval_id)
            return asked.subject.kind is SubjectKind.COMPARISON
        if comparison.mode is not ExecutionMode.SEQUENTIAL or comparison.step is None:
            return False
        # What the preflight speaks against needs the name of the test, and so its own question.
        template_id = comparison.tests[comparison.step.test].template_id
        (ready,) = await self._listing.readiness([template_id])
        return ready.can_proceed


def _check(plan: Plan) -> None:
    runs = len(plan.template_ids) * plan.repeats
    if runs > RUNS_MAX:
        raise InvalidInput(f"repeats: {runs} runs are too many: at most {RUNS_MAX} in all.")
    if not 1 <= plan.repeats <= REPEATS_MAX:
        raise InvalidInput(f"repeats: 1 to {REPEATS_MAX} can be meant.")
    if plan.variants and len(plan.variants) != len(plan.template_ids):
        raise InvalidInput("variants: one name for each of template_ids is needed, or none.")


def _planned(plan: Plan, templates: Sequence[Template]) -> tuple[PlannedTest, ...]:
    names = plan.variants or tuple(one.template_name for one in templates)
    shown = [one_line(name, NAME_CHARACTERS_MAX) or "-" for name in names]
    if plan.variants and len({*shown}) < len(shown):
        raise InvalidInput("variants: each test needs a name of its own.")
    unique = shown if len({*shown}) == len(shown) else _numbered(shown)
    return tuple(
        PlannedTest(
            variant=variant,
            template_id=template_id,
            template_name=one_line(one.template_name, NAME_CHARACTERS_MAX),
            expected_seconds=one.config.expected_seconds,
        )
        for variant, template_id, one in zip(unique, plan.template_ids, templates, strict=True)
    )


def _numbered(names: Sequence[str]) -> list[str]:
    return [f"{number}. {name}" for number, name in enumerate(names, start=1)]


def _not_now(comparison: Comparison) -> str | None:
    """Why nothing of it can be asked about now, if that is so."""
    if comparison.state is ComparisonState.RUNNING:
        return "It runs already: wait for it, or stop its active run."
    if comparison.state is ComparisonState.COMPLETED:
        return "Every test of it has completed: hand its results over."
    if comparison.state is ComparisonState.FAILED:
        return f"It cannot go on: {comparison.reason}"
    if comparison.is_under_way and comparison.step is not None:
        return comparison.reason or f"Run {comparison.step.run_id} has not ended yet."
    return None


def _is_at(comparison: Comparison, run_id: str) -> bool:
    """Whether *run_id* has its turn, or has had it and the next one is about to start."""
    turns = comparison.steps[comparison.position : comparison.position + 1]
    goes_on = comparison.state is ComparisonState.RUNNING and not comparison.is_under_way
    if goes_on:
        turns += comparison.steps[max(0, comparison.position - 1) : comparison.position]
    return run_id in {step.run_id for step in turns}


def _refused(comparison: Comparison, reason: str | None) -> NotStarted:
    return NotStarted(
        subject_id=comparison.comparison_id,
        outcome=StartOutcome.REFUSED,
        reason=reason or comparison.reason or "The next test cannot be prepared.",
        name=comparison.comparison_type,
    )
