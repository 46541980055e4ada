"""The guardrails of a run: limits at which it is stopped, and the machine that some of them watch.

What is too much for one second is often nothing; a limit is broken by the mean of several.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import reduce
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

import psutil

from benchgate.domain.templates import Guardrails
from benchgate.domain.values import Value

WINDOW_SECONDS = 5
# Seconds that are caught up with lie so close together that nothing between them can be told.
SHORTEST_SAMPLE_S = 0.5
PERCENT = 100.0


class MachineSample(Value):
    """How busy the machine was since the last sample, in percent of all its cores and memory."""

    cpu_pct: float
    memory_pct: float
    seconds: float = 1.0  # since the last sample


class Tried(NamedTuple):
    """What was tried in some time."""

    failed: int
    answered: int


class Watched(NamedTuple):
    """A sample, and what was tried meanwhile."""

    sample: MachineSample
    tried: Tried


NOTHING_TRIED = Tried(failed=0, answered=0)


class Machine:
    """The machine that the load is generated on."""

    def __init__(self, clock_s: Callable[[], float] = perf_counter) -> None:
        """Begin to look; *clock_s* tells how long ago the last look was."""
        self._clock_s = clock_s
        self._samples: deque[MachineSample] = deque(maxlen=86_400)
        self.forget()

    def sample(self) -> MachineSample | None:
        """How busy it was since the last time; None where that is too short to tell."""
        seconds = self._clock_s() - self._looked_at_s
        if seconds < SHORTEST_SAMPLE_S:
            return None
        self._looked_at_s += seconds
        sample = MachineSample(
            cpu_pct=psutil.cpu_percent(None),
            memory_pct=psutil.virtual_memory().percent,
            seconds=seconds,
        )
        self._samples.append(sample)
        return sample

    @property
    def mean_cpu_pct(self) -> float | None:
        """The mean of all the time that was sampled; None where there is none."""
        return round(mean_cpu_pct(self._samples), 1) if self._samples else None

    def forget(self) -> None:
        """Begin anew: what has been was not measured."""
        self._samples.clear()
        psutil.cpu_percent(None)  # it tells of the time since the last call
        self._looked_at_s = self._clock_s()


def mean_cpu_pct(samples: Iterable[MachineSample]) -> float:
    """How busy the CPU was over all *samples*, each by its length."""
    told = [(sample.cpu_pct, sample.seconds) for sample in samples]
    return fmean((pct for pct, _ in told), weights=[seconds for _, seconds in told])


class Guard:
    """Watches over one run."""

    def __init__(self, limits: Guardrails) -> None:
        """Enforce *limits*, where they are enabled."""
        self._limits = limits
        self._watched: deque[Watched] = deque(maxlen=WINDOW_SECONDS)
        self._tried = NOTHING_TRIED  # since the last sample

    def breach(
        self, *, elapsed_seconds: float, tried: Tried, sample: MachineSample | None
    ) -> str | None:
        """Why the run has to be stopped, or None.

        A second without a *sample* was too short to be one: it counts to the next.
        """
        self._tried = _both(self._tried, tried)
        if sample is not None:
            self._watched.append(Watched(sample, self._tried))
            self._tried = NOTHING_TRIED
        if not self._limits.enabled:
            return None
        limit_s = self._limits.max_seconds
        if limit_s is not None and elapsed_seconds >= limit_s:
            return f"Guardrail: the limit of {limit_s} s was reached."
        return self._breach_of_means() if len(self._watched) == WINDOW_SECONDS else None

    def _breach_of_means(self) -> str | None:
        limits = self._limits
        watched = (
            ("CPU of the load generator's machine", self._cpu_pct, limits.max_cpu_percent),
            ("memory of the load generator's machine", self._memory_pct, limits.max_memory_percent),
            ("error rate", self._error_rate_pct, limits.max_error_rate_percent),
        )
        for name, value, limit in watched:
            if limit is not None and value > limit:
                return (
                    f"Guardrail: {name} was {value:.1f}% over {WINDOW_SECONDS} s "
                    f"(limit {limit:g}%)."
                )
        return None

    @property
    def _cpu_pct(self) -> float:
        return mean_cpu_pct(watched.sample for watched in self._watched)

    @property
    def _memory_pct(self) -> float:
        return fmean(watched.sample.memory_pct for watched in self._watched)

    @property
    def _error_rate_pct(self) -> float:
        """Of everything that was tried: a second in which nothing was is no good one."""
        failed, answered = reduce(_both, (watched.tried for watched in self._watched))
        return PERCENT * failed / (failed + answered) if failed or answered else 0.0


def _both(one: Tried, other: Tried) -> Tried:
    return Tried(failed=one.failed + other.failed, answered=one.answered + other.answered)
