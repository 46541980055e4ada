"""The only way by which a run starts: a person's yes to exactly what is true at that moment.

A start goes through one path in both eras of the protocol: gather the facts, ask, read the
answer, gather the facts again, take the yes, start. Whatever leaves that path is `NotStarted`.
An answer that is lost on the way to the backend is resolved by reading the run's state; a start
is never repeated.
"""

import logging

import anyio
from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from benchgate.domain import cost
from benchgate.domain.approvals import (
    OUTCOMES,
    Answer,
    Approval,
    ApprovalEvent,
    ApprovalState,
    StartFacts,
    StartOutcome,
    read_answer,
    start_facts,
)
from benchgate.domain.contract import RunDetail
from benchgate.domain.preflight import PreflightReport, Severity
from benchgate.domain.runs import RunSnapshot, RunStatus, is_terminal
from benchgate.domain.values import Value
from benchgate.errors import BackendError, BenchgateError, Conflict, NotFound, StoreError
from benchgate.gate import asking
from benchgate.gate.approvals import Approvals
from benchgate.gate.backend import Backend, within
from benchgate.gate.blocks import Blocks

logger = logging.getLogger(__name__)

REASKS_MAX = 3
FACTS_SECONDS_MAX = 25
RESOLVE_SECONDS_MAX = 15
STATE_SEPARATOR = "."


class Started(Value):
    """The run has been started by this call."""

    snapshot: RunSnapshot


class NotStarted(Value):
    """The run has not been started by this call."""

    run_id: str
    outcome: StartOutcome
    reason: str
    template_name: str = ""
    note: str = ""


Ending = Started | NotStarted


class Starts:
    """Starts runs, each on one yes."""

    def __init__(
        self, *, backend: Backend, approvals: Approvals, blocks: Blocks, ask_wait_seconds: float
    ) -> None:
        """Ask with *blocks*' question, for at most *ask_wait_seconds* where the client waits."""
        self._backend = backend
        self._approvals = approvals
        self._blocks = blocks
        self._ask_wait_seconds = ask_wait_seconds
        self._open_dialogs: set[str] = set()

    async def start(self, run_id: str, ctx: Context) -> Ending | InputRequiredResult:
        """Start *run_id* if the person behind *ctx* says yes.

        Raises:
            BenchgateError: the run does not exist, or the backend cannot be asked about it.
        """
        if ctx.request_state is not None:
            return await self._go_on(run_id, ctx, state=ctx.request_state)
        facts = await self._facts(run_id)
        if isinstance(facts, NotStarted):
            return facts
        if not asking.can_ask(ctx.client_capabilities):
            return _refused(
                facts,
                "This client cannot show a question to a person (it does not declare form "
                "elicitation), and without a person's answer nothing starts.",
            )
        if asking.is_multi_round(ctx):
            return await self._return_question(facts, ctx, reasks=0)
        return await self._converse(facts, ctx)

    async def _converse(self, facts: StartFacts, ctx: Context) -> Ending:
        """Ask a client that waits, again when the facts have changed meanwhile."""
        run_id = facts.run_id
        if run_id in self._open_dialogs:
            return NotStarted(
                run_id=run_id,
                outcome=StartOutcome.AWAITING_APPROVAL,
                reason="A dialog for this run is open already, in another call.",
                template_name=facts.template_name,
            )
        self._open_dialogs.add(run_id)
        # One wait for all dialogs of a call: its caller's patience does not begin anew with each.
        began = anyio.current_time()
        try:
            for reasks in range(REASKS_MAX + 1):
                approval = await self._ask(facts, ctx, changed=reasks > 0)
                reply = await asking.reply_of(
                    ctx, approval.question, began=began, wait_seconds=self._ask_wait_seconds
                )
                ending = await self._conclude(approval, reply)
                if not isinstance(ending, StartFacts):
                    return ending
                facts = ending
        finally:
            self._open_dialogs.discard(run_id)
        return _kept_changing(facts)

    async def _go_on(
        self, run_id: str, ctx: Context, *, state: str
    ) -> Ending | InputRequiredResult:
        """Take up the answer that a multi-round client has come back with."""
        approval_id, _, reasks = state.partition(STATE_SEPARATOR)
        approval = await self._approvals.get(approval_id)
        if approval.run_id != run_id:
            raise NotFound("That question was about another run.")
        ending = await self._conclude(approval, asking.returned_reply(ctx))
        if not isinstance(ending, StartFacts):
            return ending
        if int(reasks) >= REASKS_MAX:
            return _kept_changing(ending)
        return await self._return_question(ending, ctx, reasks=int(reasks) + 1)

    async def _return_question(
        self, facts: StartFacts, ctx: Context, *, reasks: int
    ) -> InputRequiredResult:
        approval = await self._ask(facts, ctx, changed=reasks > 0)
        state = f"{approval.approval_id}{STATE_SEPARATOR}{reasks}"
        return asking.question_to_return(approval.question, state=state)

    async def _ask(self, facts: StartFacts, ctx: Context, *, changed: bool) -> Approval:
        """Record the question before it goes out."""
        return await self._approvals.ask(
            facts,
            question=self._blocks.render("question", facts=facts, changed=changed),
            asked=asking.asked_through(ctx),
        )

    async def _conclude(
        self, approval: Approval, reply: asking.Reply | asking.Silence
    ) -> Ending | StartFacts:
        """What *reply* leads to; new facts mean that the question has to be asked again."""
        if reply is asking.Silence.TIME:
            return NotStarted(
                run_id=approval.run_id,
                outcome=StartOutcome.AWAITING_APPROVAL,
                reason="The person has not answered yet.",
                template_name=approval.template_name,
            )
        answer = _answer(reply)
        try:
            answered = await self._approvals.answer(approval.approval_id, answer)
        except Conflict:
            return await self._closed_already(approval)
        if answered.state is not ApprovalState.APPROVED:
            return _not_approved(answered, failed=reply is asking.Silence.CLIENT)
        now = await self._facts(approval.run_id)
        if isinstance(now, StartFacts) and now.digest == approval.digest:
            return await self._launch(answered, now)
        try:
            await self._approvals.supersede(approval.approval_id)
        except Conflict:
            return await self._closed_already(approval)
        return now

    async def _closed_already(self, approval: Approval) -> NotStarted:
        present = await self._approvals.get(approval.approval_id)
        taken = present.state in {ApprovalState.APPROVED, ApprovalState.USED}
        return NotStarted(
            run_id=present.run_id,
            outcome=OUTCOMES[present.state],
            reason="The yes to this question belongs to another call, and starts one run once."
            if taken
            else f"This question was closed before: {present.state.value.replace('_', ' ')}.",
            template_name=present.template_name,
            note=present.note,
        )

    async def _launch(self, approval: Approval, facts: StartFacts) -> Ending:
        """Take the yes and start. A caller who goes away now can no longer interrupt it."""
        ending: Ending = _refused(facts, "The start was interrupted.")
        with anyio.CancelScope(shield=True):
            try:
                await self._approvals.use(approval.approval_id)
            except Conflict:
                ending = await self._closed_already(approval)
            else:
                ending = await self._start(facts)
                await self._settle(approval, ending)
        return ending

    async def _settle(self, approval: Approval, ending: Ending) -> None:
        result = ending.snapshot.status if isinstance(ending, Started) else ending.reason
        try:
            await self._approvals.settle(approval.approval_id, result)
        except StoreError:
            # What happened must still be told; the record only lacks the note of it.
            logger.exception("What became of the start of %s could not be noted", approval.run_id)

    async def _start(self, facts: StartFacts) -> Ending:
        """Send the start once; where its answer is lost, read what became of it."""
        try:
            changed = await self._backend.start(facts.run_id)
        except BackendError as lost:
            return await self._resolve(facts, lost)
        except BenchgateError as refusal:
            return _refused(facts, str(refusal))
        told = RunSnapshot(
            run_id=facts.run_id, status=changed.status, template_name=facts.template_name
        )
        return Started(snapshot=await self._backend.snapshot_or(told))

    async def _resolve(self, facts: StartFacts, lost: BackendError) -> Ending:
        try:
            with within(RESOLVE_SECONDS_MAX):
                snapshot = await self._backend.snapshot(facts.run_id)
        except BenchgateError:
            return _refused(
                facts,
                f"{lost} Whether the run started is not known: read its status before "
                "anything else. The yes is spent and starts nothing later.",
            )
        if snapshot.status == RunStatus.PREPARED:
            return _refused(facts, f"{lost} The run was not started. The yes is spent.")
        return Started(snapshot=snapshot)

    async def _facts(self, run_id: str) -> StartFacts | NotStarted:
        """What is true of *run_id* now, or why it cannot start."""
        with within(FACTS_SECONDS_MAX):
            detail = await self._backend.run(run_id)
            if reason := _not_startable(detail) or await self._busy():
                return NotStarted(
                    run_id=run_id,
                    outcome=StartOutcome.REFUSED,
                    reason=reason,
                    template_name=detail.template_name,
                )
            # Last, because it looks into the database, which another test may be loading.
            report = await self._backend.preflight(run_id)
        facts = start_facts(detail, preflight=report, cost=cost.estimate(detail.config))
        return facts if report.can_proceed else _refused(facts, _blocked(report))

    async def _busy(self) -> str | None:
        """Why no test can start now, if that is so."""
        active_run_id = await self._backend.active_run_id()
        if active_run_id is None:
            return None
        return (
            f"Run {active_run_id} is active on this backend, and tests run one at a time: "
            "wait for it with get_status, or stop it with stop_run."
        )


def _not_startable(run: RunDetail) -> str | None:
    """Why *run* cannot start whatever anyone says, if that is so."""
    if run.status == RunStatus.PREPARED:
        return None
    if is_terminal(run.status):
        return (
            f"The run has ended as {run.status}, and a run starts once: create_run makes a new one."
        )
    return f"The run is {run.status} already; only a PREPARED run can start."


def _answer(reply: asking.Reply | asking.Silence) -> Answer:
    if isinstance(reply, asking.Silence):
        return Answer(event=ApprovalEvent.CANCEL)
    return read_answer(reply.action, reply.content)


REASONS: dict[ApprovalState, str] = {
    ApprovalState.DECLINED: "The person said no.",
    ApprovalState.CANCELLED: "The dialog was closed without an answer.",
    ApprovalState.MODIFY_REQUESTED: "The person wants something changed first.",
    ApprovalState.NOT_CREDIBLE: "What came back was not one of the answers that were offered.",
    ApprovalState.EXPIRED: "The answer came after the question had expired.",
}


def _not_approved(approval: Approval, *, failed: bool) -> NotStarted:
    reason = "The client did not bring an answer back." if failed else REASONS[approval.state]
    return NotStarted(
        run_id=approval.run_id,
        outcome=OUTCOMES[approval.state],
        reason=reason,
        template_name=approval.template_name,
        note=approval.note,
    )


def _refused(facts: StartFacts, reason: str) -> NotStarted:
    return NotStarted(
        run_id=facts.run_id,
        outcome=StartOutcome.REFUSED,
        reason=reason,
        template_name=facts.template_name,
    )


def _kept_changing(facts: StartFacts) -> NotStarted:
    return _refused(facts, f"What was asked about changed {REASKS_MAX + 1} times in a row.")


def _blocked(report: PreflightReport) -> str:
    high = [f"{w.title}: {w.message}" for w in report.warnings if w.severity is Severity.HIGH]
    return "The preflight does not allow it. " + " ".join(high)
