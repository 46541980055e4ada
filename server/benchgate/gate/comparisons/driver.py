"""Brings one comparison on, a turn at a time: prepares, starts and watches the run at its position.

What is to happen is recorded before it happens, and what happened after it. So whoever takes a
turn reads what is recorded, asks the backend what is true, and knows what is left to do. A start
goes out only where a yes covers it; whatever speaks against it holds the comparison.
"""

from datetime import datetime, timedelta

from benchgate.domain.comparisons import (
    REST_MAX,
    Comparison,
    ComparisonEvent,
    ComparisonState,
    Step,
    StepState,
)
from benchgate.domain.contract import RunDetail
from benchgate.domain.facts import (
    ComparisonFacts,
    StartFacts,
    differing_test,
    is_same_test,
)
from benchgate.domain.happenings import Happening, completion
from benchgate.domain.results import result_of
from benchgate.domain.runs import Phase, RunSnapshot, RunStatus, is_active
from benchgate.domain.text import one_line
from benchgate.errors import Conflict, InvalidInput, NotFound
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.backend import Backend
from benchgate.gate.comparisons.book import Book
from benchgate.gate.facts import FactsReader, Obstacle
from benchgate.gate.launch import Launch
from benchgate.gate.live import Live

SETTLE_MAX = timedelta(minutes=5)
WAIT_MAX = timedelta(hours=1)
# A backend may miss a run for a moment, while a query of its own fails.
MISSED_MAX = timedelta(minutes=1)
NO_MORE = "It has been in the way for an hour."
NOT_SENT = "The server ended before this test was started; it is asked about again."
IN_DOUBT = (
    "The server that was starting this test ended, and its start may have been sent; this backend "
    "does not refuse a second one, so a person is asked again."
)
RESTED = "Nobody drove this comparison for more than a day, so the yes to it is not good any more."


class Driver:
    """Takes turns."""

    def __init__(
        self,
        backend: Backend,
        book: Book,
        *,
        desk: Desk,
        facts: FactsReader,
        launch: Launch,
        live: Live,
    ) -> None:
        """Runs are prepared on *backend*, started through *launch* alone, and seen in *live*."""
        self._backend = backend
        self._live = live
        self._book = book
        self._desk = desk
        self._facts = facts
        self._launch = launch
        # When each run was first seen to have ended: a backend's own times need not be ours.
        self._ended_at: dict[str, datetime] = {}
        # Since when a run that was there is not found.
        self._missed_at: dict[str, datetime] = {}

    async def turn(self, comparison: Comparison, *, fresh: bool = False) -> Comparison:
        """Bring a RUNNING *comparison* one step on, if there is one to take now.

        *fresh* says that the person's yes has just been taken. Without it only a series that was
        approved as one starts anything.

        Raises:
            BackendError: the backend cannot be reached, or not be understood.
            Conflict: somebody else has brought it on meanwhile, or drives it now.
        """
        step = comparison.step
        assert step is not None, "what runs has a run at its position"
        may_start = fresh or comparison.drives_itself
        if step.state in {StepState.STARTING, StepState.ACTIVE}:
            return await self._look(comparison, step, may_start=may_start)
        if not may_start:
            return await self._held(comparison, NOT_SENT)
        if step.state is StepState.PREPARED and step.run_id is not None:
            return await self._start(comparison, step.run_id)
        return await self.prepare(comparison)

    async def prepare(self, comparison: Comparison, *, asked: bool = False) -> Comparison:
        """Create the run at the position, or see that the one that is there can still start.

        One that was made before its template was changed gives way to another, so that a person's
        change counts; but not one that has been *asked* about, since a yes to it may be on its way.
        """
        step = comparison.step
        assert step is not None, "something is left to prepare"
        planned = comparison.tests[step.test]
        try:
            present = await self._prepared(step)
            if present is not None and await self._can_start(present, asked=asked):
                return comparison
            was_started = present is not None and _has_run(present.status)
            if was_started and step.approval_id is not None:
                # It was taken for one that had not started; its start came late.
                created = None
            else:
                created = await self._backend.create_run(planned.template_id)
        except NotFound as gone:
            return await self._told(comparison, ComparisonEvent.MISS, reason=str(gone))
        except (InvalidInput, Conflict) as refusal:
            return await self._held(comparison, str(refusal))
        if created is None:
            return await self._told(comparison, ComparisonEvent.BEGIN)
        prepared = Happening(
            event=ComparisonEvent.PREPARE, run_id=created.run_id, replaces=step.run_id
        )
        return await self._book.record(comparison.comparison_id, prepared)

    async def _prepared(self, step: Step) -> RunDetail | None:
        """The run that is there for the position already, if one is."""
        if step.state is not StepState.PREPARED or step.run_id is None:
            return None
        return await self._backend.run(step.run_id)

    async def _can_start(self, run: RunDetail, *, asked: bool) -> bool:
        """Whether it is PREPARED, and its template has not been changed since it was made."""
        if run.status != RunStatus.PREPARED:
            return False
        if asked:
            return True
        template = await self._backend.template(run.template_id)
        is_newer = template.updated_at.timestamp() > run.created_at.timestamp()
        return not is_newer or template.config == run.config

    async def rested(self, comparison: Comparison, since: timedelta) -> Comparison:
        """*comparison* after nobody has driven it for so long."""
        if since <= REST_MAX or comparison.state is not ComparisonState.RUNNING:
            return comparison
        return await self.lose(comparison, RESTED)

    async def reconcile(self, comparison: Comparison) -> Comparison:
        """Find out what became of a run that may be under way; starts nothing.

        Raises:
            BackendError: the backend cannot be reached, or not be understood.
        """
        step = comparison.step
        is_driven = comparison.state is ComparisonState.RUNNING
        if step is None or is_driven or not comparison.is_under_way:
            return comparison
        return await self._look(comparison, step, may_start=False)

    async def lose(self, comparison: Comparison, reason: str) -> Comparison:
        """It cannot go on by itself: what is under way has to be found again, the rest pauses."""
        if not comparison.is_under_way:
            return await self._held(comparison, reason)
        return await self._told(comparison, ComparisonEvent.LOSE, reason=reason)

    async def _look(self, comparison: Comparison, step: Step, *, may_start: bool) -> Comparison:
        """See where the run stands, and record what is news."""
        assert step.run_id is not None, "what is under way has an id"
        snapshot = await self._seen(comparison, step.run_id)
        if isinstance(snapshot, Comparison):
            return snapshot
        if snapshot.status == RunStatus.PREPARED:
            if await self._book.is_being_started(step.run_id):
                return comparison
            if not may_start:
                return await self._held(comparison, NOT_SENT)
            if not (await self._backend.activity()).is_exclusive:
                return await self._held(comparison, IN_DOUBT)
            return await self._start_again(comparison, step)
        if is_active(snapshot.status):
            self._live.keep(step.run_id)
        is_news = step.state is StepState.STARTING
        is_news |= comparison.state is ComparisonState.INTERRUPTED
        if is_news:
            began = Happening(event=ComparisonEvent.BEGIN, run_id=step.run_id)
            comparison = await self._book.record(comparison.comparison_id, began)
        return await self._ended(comparison, snapshot) if self._is_settled(snapshot) else comparison

    async def _seen(self, comparison: Comparison, run_id: str) -> RunSnapshot | Comparison:
        """Where a run that was there stands, or *comparison* while it is missed, and after that."""
        try:
            snapshot = await self._live.snapshot(run_id)
        except NotFound as gone:
            since = self._missed_at.setdefault(run_id, utc_now())
            if utc_now() - since <= MISSED_MAX:
                return comparison
            del self._missed_at[run_id]
            return await self._told(comparison, ComparisonEvent.MISS, reason=str(gone))
        self._missed_at.pop(run_id, None)
        return snapshot

    def _is_settled(self, snapshot: RunSnapshot) -> bool:
        """Whether the run has ended and its figures are counted, or have had their time for it."""
        if not snapshot.is_terminal:
            return False
        ended_at = self._ended_at.setdefault(snapshot.run_id, utc_now())
        if snapshot.phase == Phase.PROCESSING and utc_now() - ended_at <= SETTLE_MAX:
            return False
        del self._ended_at[snapshot.run_id]
        return True

    async def _ended(self, comparison: Comparison, snapshot: RunSnapshot) -> Comparison:
        result = result_of(snapshot)
        if result.status == RunStatus.COMPLETED:
            return await self._told(comparison, completion(comparison), result=result)
        told = f": {one_line(result.reason)}" if result.reason else "."
        reason = f"Run {result.run_id} ended as {result.status}{told}"
        return await self._told(comparison, ComparisonEvent.HOLD, result=result, reason=reason)

    async def _start(self, comparison: Comparison, run_id: str) -> Comparison:
        read_at = utc_now()
        facts = await self._read(comparison, run_id)
        if isinstance(facts, Comparison):
            return facts
        cover = comparison.cover
        assert cover is not None, "what may start is covered"
        if reason := await self._objection(comparison, cover.approval_id, facts):
            return await self._held(comparison, reason)
        before = comparison.steps[comparison.position - 1] if comparison.position else None
        await self._launch.start_covered(
            cover.approval_id, facts, read_at=read_at, after=before.run_id if before else None
        )
        return await self._book.get(comparison.comparison_id)

    async def _start_again(self, comparison: Comparison, step: Step) -> Comparison:
        """Send a start that was intended by a process that is gone, and never arrived."""
        assert step.run_id is not None, "what was intended has an id"
        assert step.approval_id is not None, "what was intended has a yes"
        read_at = utc_now()
        facts = await self._read(comparison, step.run_id)
        if isinstance(facts, Comparison):
            return facts
        if reason := await self._objection(comparison, step.approval_id, facts):
            return await self._held(comparison, reason)
        await self._launch.repeat(step.approval_id, facts, read_at=read_at)
        return await self._book.get(comparison.comparison_id)

    async def _read(self, comparison: Comparison, run_id: str) -> StartFacts | Comparison:
        """What is true of the run, or *comparison* after it was told why that cannot start."""
        try:
            facts = await self._facts.read(run_id)
        except NotFound as gone:
            return await self._told(comparison, ComparisonEvent.MISS, reason=str(gone))
        except (InvalidInput, Conflict) as refusal:
            return await self._held(comparison, str(refusal))
        return facts if isinstance(facts, StartFacts) else await self._obstructed(comparison, facts)

    async def _obstructed(self, comparison: Comparison, obstacle: Obstacle) -> Comparison:
        """Wait for a run that is in the way; anything else holds the comparison."""
        if obstacle.active_run_id is None:
            return await self._held(comparison, obstacle.reason)
        reason = (
            f"Run {one_line(obstacle.active_run_id)} is active on this backend; "
            "the next test starts when it has ended."
        )
        if comparison.reason == reason:
            too_long = utc_now() - comparison.updated_at > WAIT_MAX
            return (
                await self._held(comparison, f"{obstacle.reason} {NO_MORE}")
                if too_long
                else comparison
            )
        return await self._told(comparison, ComparisonEvent.WAIT, reason=reason)

    async def _objection(
        self, comparison: Comparison, approval_id: str, facts: StartFacts
    ) -> str | None:
        """What speaks against a start on the yes to the whole, if anything does."""
        approval = await self._desk.get(approval_id)
        shown = approval.facts
        assert isinstance(shown, ComparisonFacts), "the yes to a whole has shown its tests"
        step = comparison.step
        assert step is not None, "it is the turn of something"
        variant = comparison.tests[step.test].variant
        listed = next(test for test in shown.tests if test.variant == variant)
        if not is_same_test(listed, facts):
            told = ", ".join(
                f"{one.name} ({one.before} → {one.after})" for one in differing_test(listed, facts)
            )
            return one_line(f"It is not any more what the person said yes to: {told}.")
        if not facts.can_proceed:
            titles = ", ".join(warning.title for warning in facts.warnings)
            return one_line(f"The preflight says that this run should not go ahead: {titles}.")
        return None

    async def _held(self, comparison: Comparison, reason: str) -> Comparison:
        return await self._told(comparison, ComparisonEvent.HOLD, reason=reason)

    async def _told(
        self, comparison: Comparison, event: ComparisonEvent, **about: object
    ) -> Comparison:
        run_id = comparison.step.run_id if comparison.step else None
        happening = Happening.model_validate({"event": event, "run_id": run_id} | about)
        return await self._book.record(comparison.comparison_id, happening)


def _has_run(status: str) -> bool:
    return is_active(status) or status == RunStatus.COMPLETED
