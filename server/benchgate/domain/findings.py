"""What a run came to beyond its summary, and the sentences that its reader has to know.

Pure: values, and the words for them.
"""

from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.objectives import KindFigures, RateVerdict, Verdict
from benchgate.domain.search import SearchOutcome, SearchStep
from benchgate.domain.values import Value

NOTES_MAX = 12


class Position(Value):
    """Where a live run is: the load of this moment, and how far a search has come."""

    current_step: int | None = None
    total_steps: int | None = None  # at most
    current_concurrency: int | None = None
    best_concurrency: int | None = None
    best_qps: float | None = None


class ScheduleFigures(Value):
    """How an open loop kept to its schedule; lag is from an intended start to the sending."""

    scheduled: int
    sent: int
    late: int  # sent more than `LATE_AFTER_MS` after their intended start
    missed: int  # due, and not sent when the time was over
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None


class SearchFindings(Value):
    """What a search has found, and every step of the way."""

    outcome: SearchOutcome
    steps: tuple[SearchStep, ...]

    @property
    def sentence(self) -> str:
        """Why it ended, for a person."""
        reason = self.outcome.reason
        return f"{reason[:1].upper()}{reason[1:].removesuffix('.')}."


class SessionsProof(Value):
    """What the database still had of the run's sessions when all workers were gone."""

    found: int
    left: int


class Findings(Value):
    """Everything that was measured, judged and noticed of a run, beyond its summary."""

    kinds: tuple[KindFigures, ...] = ()
    schedule: ScheduleFigures | None = None
    rate: RateVerdict | None = None
    unanswered_seconds: int = 0  # in silences that were longer than any answer took
    verdicts: tuple[Verdict, ...] = ()
    search: SearchFindings | None = None
    generator: GeneratorHealth = GeneratorHealth()
    sessions: SessionsProof | None = None
    remarks: tuple[str, ...] = ()  # what else happened that no figure shows

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the figures has to know and cannot see in them."""
        told: list[str] = []
        if self.search is not None:
            caution = self.search.outcome.caution
            told += [self.search.sentence, *([caution] if caution else [])]
        if self.generator.is_limit:
            told.append(self.generator.sentence)
        if self.rate is not None and not self.rate.holds:
            told.append(self.rate.sentence)
        if self.unanswered_seconds:
            told.append(
                f"For {self.unanswered_seconds} s nothing was answered although operations were "
                "wanted; the error rate is of what was tried, and tells little of that."
            )
        told += [verdict.sentence for verdict in self.verdicts if not verdict.holds]
        if self.schedule is not None and self.schedule.missed:
            told.append(f"Scheduled operations that were never sent: {self.schedule.missed:,}.")
        if self.sessions is not None and self.sessions.left:
            told.append(f"Sessions of the run still in the database: {self.sessions.left}.")
        return (*told, *self.remarks)[:NOTES_MAX]
