"""The guardrails of a run: limits at which it is stopped, and the machine that some of them watch.

What is too much for one second is often nothing; a limit is broken by the mean of several.
"""

from collections import deque
from collections.abc import Iterable
from statistics import fmean

import psutil

from benchgate.domain.runs import LiveMetrics
from benchgate.domain.templates import Guardrails
from benchgate.domain.values import Value

WINDOW_SECONDS = 5


class MachineSample(Value):
    """How busy the machine was since the last sample, in percent of all its cores and memory."""

    cpu_pct: float
    memory_pct: float


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
        self._error_rates: deque[float] = deque(maxlen=WINDOW_SECONDS)

    def breach(
        self, *, elapsed_seconds: float, metrics: LiveMetrics, sample: MachineSample
    ) -> str | None:
        """Why the run has to be stopped, or None."""
        self._samples.append(sample)
        self._error_rates.append(metrics.error_rate)
        if not self._limits.enabled:
            return None
        limits = self._limits
        if limits.max_seconds is not None and elapsed_seconds >= limits.max_seconds:
            return f"Guardrail: the limit of {limits.max_seconds} s was reached."
        if len(self._samples) < WINDOW_SECONDS:
            return None
        watched = (
            ("CPU of the load generator's machine", self._cpu, limits.max_cpu_percent),
            ("memory of the load generator's machine", self._memory, limits.max_memory_percent),
            ("error rate", self._error_rates, limits.max_error_rate_percent),
        )
        for name, values, limit in watched:
            if limit is not None and (mean := fmean(values)) > limit:
                return (
                    f"Guardrail: {name} was {mean:.1f}% over {WINDOW_SECONDS} s (limit {limit:g}%)."
                )
        return None

    @property
    def _cpu(self) -> Iterable[float]:
        return [sample.cpu_pct for sample in self._samples]

    @property
    def _memory(self) -> Iterable[float]:
        return [sample.memory_pct for sample in self._samples]
