"""The guardrails of a run: limits at which it is stopped, and the machine that some of them watch.

What is too much for one second is often nothing; a limit is broken by the mean of several.
"""

from collections import deque
from statistics import fmean
from typing import NamedTuple

import psutil

from benchgate.domain.templates import Guardrails
from benchgate.domain.values import Value

WINDOW_SECONDS = 5
PERCENT = 100.0


class MachineSample(Value):
    """How busy the machine was since the last sample, in percent of all its cores and memory."""

    cpu_pct: float
    memory_pct: float


class Tried(NamedTuple):
    """What was tried in one second."""

    failed: int
    answered: int


class Machine:
    """The machine that the load is generated on."""

    def __init__(self) -> None:
        psutil.cpu_percent(None)  # the first call has nothing to compare with
        self._cpu_pct: deque[float] = deque(maxlen=86_400)

    def sample(self) -> MachineSample:
        """How busy it was since the last time."""
        now = MachineSample(
            cpu_pct=psutil.cpu_percent(None), memory_pct=psutil.virtual_memory().percent
        )
        self._cpu_pct.append(now.cpu_pct)
        return now

    @property
    def mean_cpu_pct(self) -> float | None:
        """The mean of all samples; None where there is none."""
        return round(fmean(self._cpu_pct), 1) if self._cpu_pct else None

    def forget(self) -> None:
        """Begin anew: what has been was not measured."""
        self._cpu_pct.clear()


class Guard:
    """Watches over one run."""

    def __init__(self, limits: Guardrails) -> None:
        """Enforce *limits*, where they are enabled."""
        self._limits = limits
        self._samples: deque[MachineSample] = deque(maxlen=WINDOW_SECONDS)
        self._tried: deque[Tried] = deque(maxlen=WINDOW_SECONDS)

    def breach(self, *, elapsed_seconds: float, tried: Tried, sample: MachineSample) -> str | None:
        """Why the run has to be stopped, or None."""
        self._samples.append(sample)
        self._tried.append(tried)
        if not self._limits.enabled:
            return None
        limits = self._limits
        if limits.max_seconds is not None and elapsed_seconds >= limits.max_seconds:
            return f"Guardrail: the limit of {limits.max_seconds} s was reached."
        if len(self._samples) < WINDOW_SECONDS:
            return None
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
        return fmean(sample.cpu_pct for sample in self._samples)

    @property
    def _memory_pct(self) -> float:
        return fmean(sample.memory_pct for sample in self._samples)

    @property
    def _error_rate_pct(self) -> float:
        """Of everything that was tried: a second in which nothing was is no good one."""
        failed = sum(tried.failed for tried in self._tried)
        whole = failed + sum(tried.answered for tried in self._tried)
        return PERCENT * failed / whole if whole else 0.0
