"""The search for the highest concurrency that a database bears: what to try next, what was found.

It goes up in even steps while they are stable. After the first that is not it goes back once, to
see whether the best level still holds, and then halves the gap between the highest level that was
stable and the lowest that was not. It knows no clock and no load: whoever runs a step measures it.
"""

from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from benchgate.domain.bounds import WORKER_CONNECTIONS_DEFAULT, bound_of
from benchgate.domain.generator import LIMITED_BY_IT
from benchgate.domain.stability import (
    Limits,
    StepFigures,
    connections,
    objections,
    of_the_answers,
)
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.values import Value

# Where nothing else limits a search, it ends at the highest level at which one may begin.
CONCURRENCY_MAX_DEFAULT = 1_000
# A database's limit is not found again more exactly than this in another run.
GAP_PCT = 5
LOST_WORKERS = (
    "After the loss of a worker the later steps of the search were made by fewer workers: "
    "treat its maximum as a lower bound."
)


class SearchPlan(Limits):
    """From where on and how far a search goes, and by which limits it judges."""

    start_concurrency: int = Field(ge=1)
    increment: int = Field(ge=1)
    concurrency_max: int = Field(ge=1)
    steps_max: int = Field(ge=1)

    @property
    def highest(self) -> int:
        """The highest level that so many steps can lead to."""
        way = (self.steps_max - 1) * self.increment
        return min(self.concurrency_max, self.start_concurrency + way)


def plan_of(config: TemplateConfig, *, server_max: int | None) -> SearchPlan:
    """The plan of a search, never above the *server_max* connections that a database offers."""
    bound = bound_of(config)
    assert bound is not None, "only a search is planned"
    highest = CONCURRENCY_MAX_DEFAULT
    if config.scaling.max_workers is not None:
        each = config.scaling.max_connections or WORKER_CONNECTIONS_DEFAULT
        highest = config.scaling.max_workers * each
    if server_max is not None:
        highest = max(1, min(highest, server_max))
    return SearchPlan(
        start_concurrency=min(config.start_concurrency, highest),
        increment=config.concurrency_increment,
        concurrency_max=highest,
        # A step back and the halving of a gap may take more of them than the way up did.
        steps_max=(bound.seconds_max - config.warmup) // config.step_duration_seconds,
        qps_stability_pct=config.qps_stability_pct,
        latency_stability_pct=config.latency_stability_pct,
        max_error_rate_pct=config.max_error_rate_pct,
    )


class StepPurpose(StrEnum):
    """Why a step is made."""

    RAMP = "RAMP"
    BACKOFF = "BACKOFF"
    BISECTION = "BISECTION"


class SearchStep(Value):
    """A step that was made; `reasons` has one sentence for each limit that it broke."""

    number: int
    purpose: StepPurpose
    figures: StepFigures
    is_stable: bool
    reasons: tuple[str, ...] = ()

    @property
    def concurrency(self) -> int:
        """The level that it tried."""
        return self.figures.concurrency


class SearchEnd(StrEnum):
    """By what a search ended."""

    CEILING_STABLE = "CEILING_STABLE"
    GAP_CLOSED = "GAP_CLOSED"
    STEPS_SPENT = "STEPS_SPENT"
    TIME_SPENT = "TIME_SPENT"


class SearchOutcome(Value):
    """What a search has found, and in one sentence why it ended."""

    best_concurrency: int | None
    best_qps: float | None
    reason: str
    end: SearchEnd
    is_lower_bound: bool = False  # the load generator's limit ended it, or a worker was lost
    has_lost_workers: bool = False  # before some of its steps

    @property
    def caution(self) -> str | None:
        """What a reader of the maximum has to know of it."""
        if not self.is_lower_bound:
            return None
        if self.has_lost_workers:
            return LOST_WORKERS
        if self.best_concurrency is None:
            return f"{LIMITED_BY_IT}: it had no time left at any level, so no maximum was found."
        found = connections(self.best_concurrency)
        return f"{LIMITED_BY_IT}: treat the maximum of {found} as a lower bound."


class Planned(NamedTuple):
    """A step that is to be made."""

    purpose: StepPurpose
    concurrency: int


class Search(Value):
    """A search as far as it has come."""

    plan: SearchPlan
    steps: tuple[SearchStep, ...] = ()
    steps_of_all: int | None = None  # made before a worker was lost

    @property
    def planned(self) -> Planned | None:
        """The step to make next; None when the search is over."""
        if len(self.steps) >= self.plan.steps_max:
            return None
        return self._wanted

    @property
    def next_concurrency(self) -> int | None:
        """The level to try next; None when the search is over."""
        planned = self.planned
        return planned.concurrency if planned else None

    @property
    def best(self) -> SearchStep | None:
        """The highest stable step below all that were not; of two at one level the later one."""
        worst = self.worst
        stable = (
            step
            for step in self.steps
            if step.is_stable and (worst is None or step.concurrency < worst.concurrency)
        )
        return max(stable, key=lambda step: (step.concurrency, step.number), default=None)

    @property
    def worst(self) -> SearchStep | None:
        """The lowest step that was not stable."""
        unstable = (step for step in self.steps if not step.is_stable)
        return min(unstable, key=lambda step: step.concurrency, default=None)

    @property
    def steps_at_most(self) -> int:
        """How many steps it will have made in the end, if all that may be needed are."""
        return min(self.plan.steps_max, len(self.steps) + self._wanted_at_most)

    def after(self, figures: StepFigures) -> "Search":
        """The search with the step that was planned, for which *figures* were measured."""
        planned = self.planned
        assert planned is not None, "a search that is over makes no step"
        assert figures.concurrency == planned.concurrency, "a step is made as it was planned"
        reasons = self._objections(figures)
        step = SearchStep(
            number=len(self.steps) + 1,
            purpose=planned.purpose,
            figures=figures,
            is_stable=not reasons,
            reasons=reasons,
        )
        return self.model_copy(update={"steps": (*self.steps, step)})

    def after_loss(self) -> "Search":
        """The search whose further steps are made by fewer workers."""
        made = len(self.steps) if self.steps_of_all is None else self.steps_of_all
        return self.model_copy(update={"steps_of_all": made})

    def outcome(self) -> SearchOutcome:
        """What was found; a search that is not over has run out of time."""
        best = self.best
        return SearchOutcome(
            best_concurrency=best.concurrency if best else None,
            best_qps=best.figures.qps.value if best else None,
            reason=self._reason,
            end=self._end,
            is_lower_bound=self._is_ended_by_generator or self._has_lost_workers,
            has_lost_workers=self._has_lost_workers,
        )

    @property
    def _wanted(self) -> Planned | None:
        """What the search would try next if it had all the steps of the world."""
        if self.worst is None:
            return self._further_up
        low = self.best.concurrency if self.best else 0
        if self.best and self.steps[-1].purpose is StepPurpose.RAMP:
            return Planned(StepPurpose.BACKOFF, low)
        gap = self.worst.concurrency - low
        if gap == 1 or 100 * gap <= GAP_PCT * self.worst.concurrency:
            return None
        return Planned(StepPurpose.BISECTION, low + gap // 2)

    @property
    def _further_up(self) -> Planned | None:
        plan = self.plan
        if not self.steps:
            return Planned(StepPurpose.RAMP, plan.start_concurrency)
        level = self.steps[-1].concurrency
        if level == plan.concurrency_max:
            return None
        return Planned(StepPurpose.RAMP, min(level + plan.increment, plan.concurrency_max))

    @property
    def _wanted_at_most(self) -> int:
        """The steps of the longest way that may still lie ahead."""
        wanted = self._wanted
        if wanted is None:
            return 0
        if wanted.purpose is StepPurpose.BISECTION and self.worst:
            low = self.best.concurrency if self.best else 0
            return _halvings(self.worst.concurrency - low)
        # The step back may fail as well, and then the gap is the one below.
        back = 1 + _halvings(max(self.plan.increment, self.plan.start_concurrency))
        if wanted.purpose is StepPurpose.BACKOFF:
            return back
        way = self.plan.concurrency_max - wanted.concurrency
        return 1 + -(-way // self.plan.increment) + back

    def _objections(self, figures: StepFigures) -> tuple[str, ...]:
        stable = [step.figures for step in self.steps if step.is_stable]
        lower = (one for one in stable if one.concurrency < figures.concurrency)
        return objections(
            figures,
            self.plan,
            baseline=stable[0] if stable else None,
            best=max(lower, key=lambda one: one.qps.value or 0, default=None),
        )

    @property
    def _end(self) -> SearchEnd:
        if self._wanted is None:
            return SearchEnd.GAP_CLOSED if self.worst else SearchEnd.CEILING_STABLE
        return SearchEnd.TIME_SPENT if self.planned else SearchEnd.STEPS_SPENT

    @property
    def _reason(self) -> str:
        end, steps_max = self._end, self.plan.steps_max
        if end is SearchEnd.CEILING_STABLE:
            limit = connections(self.plan.concurrency_max)
            return f"the limit of {limit} was reached and was stable"
        spent = {
            SearchEnd.STEPS_SPENT: f"the {steps_max} steps that its duration allows were used; ",
            SearchEnd.TIME_SPENT: "its time was used up; ",
        }
        return spent.get(end, "") + self._finding

    @property
    def _finding(self) -> str:
        """What the steps have shown, whether or not they were all that was needed."""
        best, worst = self.best, self.worst
        if not self.steps:
            return "no step was completed"
        told = f"{_were(best.concurrency)} stable" if best else self._nothing_stable
        if worst is None:
            return f"{told}, and nothing higher was tried"
        if self._is_ended_by_generator:
            told += f", and at {worst.concurrency} the load generator itself was the limit"
        elif best is not None:
            again = " any more" if worst.purpose is StepPurpose.BACKOFF else ""
            told += f" and {worst.concurrency} were not{again}"
        return f"{told}: {'; '.join(worst.reasons)}"

    @property
    def _is_ended_by_generator(self) -> bool:
        """Whether the lowest level that was not stable tells of the generator alone."""
        worst = self.worst
        if worst is None or not worst.figures.is_generator_spent:
            return False
        # What the database refused it has refused, whoever was short of time.
        return not next(of_the_answers(worst.figures, self.plan), None)

    @property
    def _has_lost_workers(self) -> bool:
        """Whether steps of fewer workers were held against those of more, or made by them alone."""
        return self.steps_of_all is not None and len(self.steps) > self.steps_of_all

    @property
    def _nothing_stable(self) -> str:
        was_stable = any(step.is_stable for step in self.steps)
        return "no level stayed stable" if was_stable else "no step was stable"


def _halvings(gap: int) -> int:
    """How often a gap is halved until nothing lies within it."""
    return (gap - 1).bit_length()


def _were(count: int) -> str:
    return f"{connections(count)} {'was' if count == 1 else 'were'}"
