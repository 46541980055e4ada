"""Starts single runs, each on a person's yes to exactly what is true of it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from benchgate.domain.approvals import Approval
from benchgate.domain.facts import Difference, Facts, StartFacts
from benchgate.gate.approvals.inquiry import Inquiry
from benchgate.gate.blocks import Blocks
from benchgate.gate.endings import Ending
from benchgate.gate.facts import FactsReader, Obstacle
from benchgate.gate.launch import Launch

Wording = Callable[[StartFacts, Sequence[Difference]], str]


class OneRun:
    """One run, as a thing to say yes to."""

    def __init__(
        self, run_id: str, *, facts: FactsReader, launch: Launch, wording: Wording
    ) -> None:
        """Ask about *run_id* in the words of *wording*."""
        self._run_id = run_id
        self._facts = facts
        self._launch = launch
        self._wording = wording

    @property
    def subject_id(self) -> str:
        """The run's id."""
        return self._run_id

    def is_starting(self) -> bool:
        """Whether a call of this process has taken a yes for it and not come back yet."""
        return self._launch.is_starting(self._run_id)

    async def look(self) -> Facts | Obstacle:
        """What is true of it now, or why it cannot start."""
        return await self._facts.read(self._run_id)

    def wording(self, facts: Facts, changed: Sequence[Difference]) -> str:
        """The question."""
        assert isinstance(facts, StartFacts), "a run has the facts of a run"
        return self._wording(facts, changed)

    async def start(self, approval: Approval, facts: Facts, *, read_at: datetime) -> Ending:
        """Take the yes and start."""
        assert isinstance(facts, StartFacts), "a run has the facts of a run"
        return await self._launch.start(approval, facts, read_at=read_at)


class Starts:
    """Starts runs."""

    def __init__(
        self, inquiry: Inquiry, *, facts: FactsReader, launch: Launch, blocks: Blocks
    ) -> None:
        """Ask through *inquiry* about *facts* in the words of *blocks*."""
        self._inquiry = inquiry
        self._facts = facts
        self._launch = launch
        self._blocks = blocks

    def matter(self, run_id: str, wording: Wording | None = None) -> OneRun:
        """The run as a thing to ask about, in its own words if it has any."""
        return OneRun(
            run_id, facts=self._facts, launch=self._launch, wording=wording or self._question
        )

    async def start(
        self, run_id: str, ctx: Context, *, confirmation: str = ""
    ) -> Ending | InputRequiredResult:
        """Start *run_id* if the person behind *ctx* says yes, or has said it elsewhere.

        *confirmation* is a chat's: a code that was given out, and the person's words.

        Raises:
            BenchgateError: the run does not exist, or the backend cannot be asked about it.
        """
        return await self._inquiry.pursue(self.matter(run_id), ctx, confirmation=confirmation)

    def _question(self, facts: StartFacts, changed: Sequence[Difference]) -> str:
        return self._blocks.render("question", facts=facts, changed=changed)
