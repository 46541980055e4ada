"""What is asked about a comparison: the whole of what is left, or the next test alone."""

from collections.abc import Sequence
from datetime import datetime

import anyio

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import Approval
from benchgate.domain.comparisons import Comparison, ComparisonEvent, ComparisonState, StepState
from benchgate.domain.facts import ComparisonFacts, Difference, Facts, StartFacts
from benchgate.domain.happenings import Happening
from benchgate.domain.progress import finished
from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendError, Conflict, NotFound
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.taking import take
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.comparisons.autopilot import Autopilot
from benchgate.gate.comparisons.book import Book
from benchgate.gate.comparisons.driver import Driver
from benchgate.gate.comparisons.listing import Listing
from benchgate.gate.endings import Ending, Started, refused
from benchgate.gate.facts import Obstacle
from benchgate.gate.launch import TOO_LATE

UNASKED = frozenset({ComparisonState.PLANNED, ComparisonState.AWAITING_CHOICE})
BEGUN_STATES = frozenset({StepState.ACTIVE, StepState.ENDED})
TURNS_MAX = 4
NOT_BEGUN = "The first test has not been started."
BEGUN = "Another call has started this comparison meanwhile: read its state."


class Whole:
    """What is left of a comparison, as one thing to say yes to."""

    def __init__(
        self,
        comparison: Comparison,
        *,
        backend: Backend,
        book: Book,
        desk: Desk,
        driver: Driver,
        autopilot: Autopilot,
        listing: Listing,
        blocks: Blocks,
    ) -> None:
        """Ask about *comparison* as *listing* reads it; *driver* starts the first test."""
        self._comparison = comparison
        self._backend = backend
        self._book = book
        self._desk = desk
        self._driver = driver
        self._autopilot = autopilot
        self._listing = listing
        self._blocks = blocks

    @property
    def subject_id(self) -> str:
        """The comparison's id."""
        return self._comparison.comparison_id

    def is_starting(self) -> bool:
        """Whether its turns are being taken in this process."""
        return self._autopilot.is_at(self.subject_id)

    async def look(self) -> Facts | Obstacle:
        """What is true of the tests that are left, or why none can start now."""
        facts = await self._read()
        if isinstance(facts, ComparisonFacts) and self._comparison.state in UNASKED:
            try:
                await self._book.record(self.subject_id, Happening(event=ComparisonEvent.ASK))
            except Conflict:
                return Obstacle(subject_id=self.subject_id, name=facts.name, reason=BEGUN)
        return facts

    def wording(self, facts: Facts, changed: Sequence[Difference]) -> str:
        """The numbered list, with what else there is to know, and the two questions."""
        return self._blocks.render(
            "comparison_question", facts=facts, changed=changed, comparison=self._comparison
        )

    async def start(
        self,
        approval: Approval,
        facts: Facts,
        *,
        read_at: datetime,  # noqa: ARG002 - the lane is entered with the run's own facts
    ) -> Ending:
        """Take the yes, and start the first of the tests that are left.

        A caller who goes away now can no longer interrupt it.
        """
        ending: Ending = refused(facts, "The start was interrupted.")
        with anyio.CancelScope(shield=True):
            try:
                async with self._autopilot.alone(self.subject_id):
                    ending = await self._take_and_begin(approval, facts)
            except Conflict as exc:
                ending = refused(facts, str(exc))
            self._autopilot.wake()
        return ending

    async def _take_and_begin(self, approval: Approval, facts: Facts) -> Ending:
        claim = await self._book.claim(self.subject_id)
        if not claim.granted:
            return refused(facts, "Another process drives this comparison: read its state.")
        async with self._book.kept(self.subject_id):
            return await self._take(approval, facts)

    async def _take(self, approval: Approval, facts: Facts) -> Ending:
        # Late, because it imports SQLAlchemy; by now the record is open.
        from benchgate.gate.comparisons import plans  # noqa: PLC0415

        untaken = await take(
            self._desk,
            approval,
            facts,
            along=lambda tx, used: plans.choose(tx, used, at=utc_now()),
        )
        if untaken is not None:
            return untaken
        return await self._begin(facts)

    async def _begin(self, facts: Facts) -> Ending:
        """Take turns until the first test is under way, or held.

        The next ones are not this call's: if it was held up, another process may drive by now.
        """
        comparison = await self._book.get(self.subject_id)
        position = comparison.position
        if comparison.step is not None and comparison.step.state is StepState.PREPARED:
            comparison = await self._driver.prepare(comparison)
        for _ in range(TURNS_MAX):
            if comparison.state is not ComparisonState.RUNNING or comparison.is_under_way:
                break
            if comparison.position != position:
                break
            comparison = await self._turn(comparison)
        if comparison.steps[position].state not in BEGUN_STATES:
            return await self._not_begun(comparison, facts)
        told = RunSnapshot(run_id=comparison.steps[position].run_id or "", status="STARTING")
        return Started(snapshot=await self._backend.snapshot_or(told))

    async def _not_begun(self, comparison: Comparison, facts: Facts) -> Ending:
        """Held, in doubt, or waiting for what is in the way; only a series waits by itself."""
        reason = comparison.reason or (TOO_LATE if comparison.is_under_way else NOT_BEGUN)
        if comparison.state is not ComparisonState.RUNNING:
            return refused(facts, reason)
        if comparison.drives_itself:
            return refused(facts, reason, outcome=StartOutcome.WAITING)
        await self._hold(comparison, reason)
        return refused(facts, reason)

    async def _turn(self, comparison: Comparison) -> Comparison:
        try:
            return await self._driver.turn(comparison, fresh=True)
        except (BackendError, Conflict) as exc:
            return await self._hold(comparison, str(exc))

    async def _hold(self, comparison: Comparison, reason: str) -> Comparison:
        held = Happening(event=ComparisonEvent.HOLD, run_id=_run_at(comparison), reason=reason)
        try:
            return await self._book.record(self.subject_id, held, as_driver=True)
        except Conflict:
            # Somebody else has brought it on, or drives it now, and it is theirs to hold.
            return await self._book.get(self.subject_id)

    async def _read(self) -> ComparisonFacts | Obstacle:
        try:
            return await self._listing.facts(self._comparison)
        except NotFound as gone:
            missed = Happening(
                event=ComparisonEvent.MISS, run_id=_run_at(self._comparison), reason=str(gone)
            )
            await self._book.record(self.subject_id, missed)
            raise


def _run_at(comparison: Comparison) -> str | None:
    return comparison.step.run_id if comparison.step is not None else None


def next_test_wording(
    blocks: Blocks, comparison: Comparison, facts: StartFacts, changed: Sequence[Difference]
) -> str:
    """The question about the next test alone, after the results of the one before it."""
    step = comparison.step
    assert step is not None, "there is a next one"
    done = finished(comparison)
    return blocks.render(
        "next_test_question",
        facts=facts,
        changed=changed,
        comparison=comparison,
        variant=comparison.variant_of(step),
        last=done[-1] if done else None,
        last_variant=comparison.variant_of(done[-1]) if done else None,
    )
