"""How many connections load at each second of a run, and whether it is over before its time.

A pilot hears each second when it has come to an end, and says what shall be from then on. It
knows no worker: who carries its word out is the crew.

A step of a search begins with a change of the load. The seconds until all its connections are
open belong to it and are not measured; those that follow are judged.
"""

from typing import NamedTuple, Protocol

from benchgate.backend.engine.accounts import Accounts
from benchgate.backend.engine.guard import SHORTEST_SAMPLE_S, MachineSample
from benchgate.backend.engine.ledger import Second
from benchgate.backend.engine.load import Load, Ramp
from benchgate.backend.engine.steps import Makers, StepSeconds
from benchgate.domain.findings import Position, SearchFindings
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.search import Search
from benchgate.domain.templates import FILE_TABLES

# A database that has not opened a step's connections by then will not: the step shows it.
SETTLING_SECONDS_MAX = 10
SETTLING_SECONDS_MIN = 1  # that in which the load changes is of two levels
STANDING_STEPS = 4


class Standing(NamedTuple):
    """A part of the measurement: its operations, its length, its generator and its silence."""

    accounts: Accounts
    seconds: float
    health: GeneratorHealth
    unanswered_s: int


class Pilot(Protocol):
    """Leads the load of one run."""

    connections: int  # that shall load at this moment
    is_over: bool  # whether there is nothing left to measure

    def hear(self, second: Second, machine: MachineSample | None) -> None:
        """Take in a second that has been, and how busy the generator's machine was in it."""
        ...

    def disturb(self) -> bool:
        """Something else than the database has changed the load; whether seconds are given up."""
        ...

    @property
    def position(self) -> Position:
        """Where the run is."""
        ...

    @property
    def found(self) -> SearchFindings | None:
        """What a search came to; None for any other load."""
        ...

    @property
    def standing(self) -> Standing | None:
        """What stands for the run, where that is not all that was measured."""
        ...


class SteadyPilot:
    """A load that stays as it is until its time is over."""

    is_over = False
    found: SearchFindings | None = None
    standing: Standing | None = None

    def __init__(self, load: Load) -> None:
        """Keep to *load*."""
        self.connections = load.connections
        self._is_rate = load.schedule is not None
        self._open: int | None = load.connections_at_start

    def hear(self, second: Second, machine: MachineSample | None) -> None:  # noqa: ARG002 - the port's
        """Note how many connections are open."""
        self._open = second.connections

    def disturb(self) -> bool:
        """Go on: of a steady load all that was measured counts."""
        return False

    @property
    def position(self) -> Position:
        """The load of this moment: of a rate, the connections that it has come to need."""
        return Position(current_concurrency=self._open if self._is_rate else self.connections)


class SearchPilot:
    """A search for the most connections that are stable."""

    def __init__(self, ramp: Ramp, makers: Makers) -> None:
        """Begin the search of *ramp*, whose load *makers* make."""
        self._ramp = ramp
        self._makers = makers
        self._search = Search(plan=ramp.plan)
        self._stable: dict[int, Standing] = {}  # by the number of the step
        self.connections = ramp.plan.start_concurrency
        self.is_over = False
        self._begin_step()

    def _begin_step(self) -> None:
        self._settling_s, self._settling_span_s = 0, 0.0
        self._is_settled = False
        self._step = StepSeconds(self._makers)

    def hear(self, second: Second, machine: MachineSample | None) -> None:
        """Count the second to its step, and judge the step when it is complete."""
        if not second.is_measured or self.is_over:
            return
        if not self._is_settled:
            self._settle(second)
            return
        self._step.add(second, machine)
        if self._is_complete:
            self._judge(short=max(0, self.connections - second.connections))

    def disturb(self) -> bool:
        """Measure the step under way anew: what it lacks now is not the database's doing.

        The time that this takes is taken from the steps that would follow.
        """
        was_begun = self._settling_s > 0 and not self.is_over
        self._search = self._search.after_loss()
        self._begin_step()
        return was_begun

    @property
    def _is_complete(self) -> bool:
        measured_s, whole_s = self._step.heard, self._ramp.step_seconds
        # A step that took long to settle is longer, so that there is enough to judge it by.
        return measured_s + self._settling_s >= whole_s and 2 * measured_s >= whole_s

    def _settle(self, second: Second) -> None:
        self._settling_s += 1
        self._settling_span_s += second.span_s
        # What a worker catches up with may have been before the load has changed.
        is_long_enough = self._settling_span_s >= SHORTEST_SAMPLE_S
        is_reached = is_long_enough and second.connections == self.connections
        self._is_settled = is_reached or self._settling_s >= SETTLING_SECONDS_MAX

    def _judge(self, *, short: int) -> None:
        figures = self._step.figures(self.connections, short=short)
        self._search = self._search.after(figures)
        step = self._search.steps[-1]
        if step.is_stable:
            self._stable[step.number] = Standing(
                self._step.accounts,
                figures.seconds,
                health=self._step.health(),
                unanswered_s=self._step.unanswered_s,
            )
            self._forget_low_steps()
        following = self._search.next_concurrency
        self.is_over = following is None
        self.connections = following or self.connections
        self._begin_step()

    def _forget_low_steps(self) -> None:
        """Keep the histograms of the highest steps: the best one falls back by one at most."""
        levels = {step.number: step.concurrency for step in self._search.steps}
        lowest_first = sorted(self._stable, key=lambda number: (levels[number], number))
        for number in lowest_first[:-STANDING_STEPS]:
            del self._stable[number]

    @property
    def position(self) -> Position:
        """The step that is under way, and the best so far."""
        best = self._search.best
        return Position(
            current_step=len(self._search.steps) + (not self.is_over),
            total_steps=self._search.steps_at_most,
            current_concurrency=self.connections,
            best_concurrency=best.concurrency if best else None,
            best_qps=best.figures.qps.value if best else None,
        )

    @property
    def found(self) -> SearchFindings | None:
        """What the search came to, and every step of the way."""
        return SearchFindings(outcome=self._search.outcome(), steps=self._search.steps)

    @property
    def standing(self) -> Standing | None:
        """The best step: figures of all steps together would be those of no load at all."""
        best = self._search.best
        return None if best is None else self._stable.get(best.number)


def pilot_of(load: Load, *, workers: int, cores: int) -> Pilot:
    """Who leads *load*, which so many workers make on so many cores."""
    if load.ramp is None:
        return SteadyPilot(load)
    is_in_process = load.target.table_type in FILE_TABLES
    makers = Makers(workers, cores, is_in_process, think_time_ms=load.think_time_ms)
    return SearchPilot(load.ramp, makers)
