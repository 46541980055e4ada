"""What the backend finds around itself, apart from any database, before it loads one."""

import os

from benchgate.domain.production import PRODUCTION_PATTERNS
from benchgate.domain.values import Value


class Surroundings(Value):
    """The machine that makes the load, and what its owner has said of the servers around it."""

    cores: int  # that this process may use
    production_patterns: tuple[str, ...] = PRODUCTION_PATTERNS
    ray_address: str | None = None  # of the cluster from which servers are loaded


def look_around(
    production_patterns: tuple[str, ...] = PRODUCTION_PATTERNS, *, ray_address: str | None = None
) -> Surroundings:
    """The surroundings of this process."""
    return Surroundings(
        cores=_cores(),
        production_patterns=production_patterns,
        ray_address=ray_address,
    )


def _cores() -> int:
    # A container may use fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)
