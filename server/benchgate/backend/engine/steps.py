"""The seconds of one step of a search that count, and what they come to.

A worker that was held up reports a long second and then very short ones. Rates are sums of
answers over sums of time therefore, and what is too short to tell by itself how much a step
scatters is told together with what follows.
"""

from typing import NamedTuple

from benchgate.backend.engine.accounts import Accounts
from benchgate.backend.engine.guard import SHORTEST_SAMPLE_S, MachineSample, mean_cpu_pct
from benchgate.backend.engine.ledger import Second
from benchgate.backend.engine.silences import Silences
from benchgate.backend.engine.timekeeping import Timekeeping
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.stability import Counted, Estimate, StepFigures, estimate, rate

PERCENTILES = (50.0, 95.0, 99.0)


class Makers(NamedTuple):
    """Who makes the load."""

    workers: int = 1
    cores: int = 0
    is_in_process: bool = False  # the database lives in the workers
    think_time_ms: int = 0


class StepSeconds:
    """What was measured in a step so far."""

    def __init__(self, makers: Makers) -> None:
        self.accounts = Accounts()
        self._makers = makers
        self._timekeeping = Timekeeping(makers.workers)
        self._machine: list[MachineSample] = []
        self._silences = Silences(think_time_ms=makers.think_time_ms)
        self.heard = 0  # seconds, of whatever length
        self._parts: list[Counted] = []
        self._percentiles_ms: tuple[list[float], ...] = ([], [], [])
        self._begin_part()

    def _begin_part(self) -> None:
        self._part, self._part_s = Accounts(), 0.0

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return sum(part.seconds for part in self._all_parts)

    @property
    def unanswered_s(self) -> int:
        """The seconds in which nothing was answered that should have been."""
        return self._silences.unanswered_s

    def add(self, second: Second, machine: MachineSample | None) -> None:
        """Count *second*, and how busy the generator's machine was in it where that is known."""
        self.heard += 1
        self._machine += [machine] if machine else []
        for worker, report in second.reports.items():
            self._timekeeping.enter(worker, report)
        self._silences.hear(second.heard)
        self.accounts.add(second.accounts)
        self._part.add(second.accounts)
        self._part_s += second.span_s
        if self._part_s >= SHORTEST_SAMPLE_S:
            self._end_part()

    def _end_part(self) -> None:
        self._parts.append(self._open_part)
        found = self._part.latency().percentiles_ms(PERCENTILES)
        for samples, value in zip(self._percentiles_ms, found, strict=True):
            if value is not None:
                samples.append(value)
        self._begin_part()

    @property
    def _open_part(self) -> Counted:
        return Counted(self._part.answered, self._part_s)

    @property
    def _all_parts(self) -> list[Counted]:
        """The last one may be short; it counts all the same."""
        return [*self._parts, self._open_part] if self._part_s else self._parts

    def health(self) -> GeneratorHealth:
        """How the generator was doing in the step."""
        busy_pct = round(mean_cpu_pct(self._machine), 1) if self._machine else None
        health = self._timekeeping.health(
            cores=self._makers.cores, machine_cpu_pct=busy_pct, lost=0
        )
        return health.model_copy(update={"is_in_process": self._makers.is_in_process})

    def figures(self, concurrency: int, *, short: int) -> StepFigures:
        """What the step came to; at its end *short* connections were missing."""
        whole = self.accounts.latency().percentiles_ms(PERCENTILES)
        p50, p95, p99 = (
            # The percentile is that of the whole step; its parts tell how much it scatters.
            Estimate(value=value, std_error=noise.std_error, n=noise.n)
            for value, noise in zip(whole, map(estimate, self._percentiles_ms), strict=True)
        )
        return StepFigures(
            concurrency=concurrency,
            seconds=self.seconds,
            total_queries=self.accounts.answered,
            qps=rate(self._all_parts),
            p50_latency_ms=p50,
            p95_latency_ms=p95,
            p99_latency_ms=p99,
            error_rate=self.accounts.error_rate,
            connections_missing=short,
            is_generator_spent=self.health().is_out_of_time,
        )
