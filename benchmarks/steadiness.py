"""How steadily the machine computes when nobody else uses it.

A virtual machine may be slowed down from outside for a while, and no program on it is told. What a
generator needs of a core is then many times as much, and every percentile above the share of that
time tells of the machine. So the same small work is done again and again, without sleep or system,
and the time is added up in which it went at less than a quarter of the median speed.
"""

from statistics import median
from time import perf_counter_ns

SECONDS = 3
NS_PER_S = 1_000_000_000
WORK = range(5_000)  # about 0.1 ms
SLOW = 4


def slow_pct() -> float:
    """The share of time in which it computes at less than a quarter of its median speed."""
    until_ns = perf_counter_ns() + SECONDS * NS_PER_S
    spans_ns: list[int] = []
    before_ns = perf_counter_ns()
    while before_ns < until_ns:
        sum(WORK)
        now_ns = perf_counter_ns()
        spans_ns.append(now_ns - before_ns)
        before_ns = now_ns
    limit_ns = SLOW * median(spans_ns)
    return 100 * sum(span_ns for span_ns in spans_ns if span_ns > limit_ns) / sum(spans_ns)
