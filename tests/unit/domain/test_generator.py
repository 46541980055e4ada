"""Whether the generator was the limit: both sides of each threshold."""

import pytest

from benchgate.domain.generator import GeneratorHealth

BUSY = {"cores": 2, "machine_cpu_pct": 95, "workers_cpu_pct": 40, "busiest_worker_cpu_pct": 20}


@pytest.mark.parametrize(
    ("figures", "is_limit"),
    [
        ({}, False),
        ({"busiest_worker_cpu_pct": 89.9}, False),
        ({"busiest_worker_cpu_pct": 90}, True),
        (BUSY, True),
        # The machine is busy with something else.
        (BUSY | {"workers_cpu_pct": 39}, False),
        (BUSY | {"machine_cpu_pct": 94.9}, False),
        (BUSY | {"cores": 0}, False),
        (BUSY | {"busiest_worker_cpu_pct": 99, "is_in_process": True}, False),
        ({"oversleep_p99_ms": 0.5, "response_p99_ms": 0.5}, False),
        ({"oversleep_p99_ms": 0.6, "response_p99_ms": 0.5}, True),
        # A millisecond is nothing to an operation that takes a second.
        ({"oversleep_p99_ms": 1.1, "response_p99_ms": 1_000}, False),
    ],
)
def test_a_generator_is_the_limit_where_it_had_nothing_left(
    figures: dict[str, float], *, is_limit: bool
) -> None:
    assert GeneratorHealth.model_validate(figures).is_limit is is_limit


def test_the_reader_is_told_which_way_the_figures_err() -> None:
    short = GeneratorHealth.model_validate(BUSY)
    assert short.sentence == (
        "Limited by the load generator: treat QPS as a lower bound "
        "(its busiest worker used 20% of a core, the machine was 95% busy)."
    )
    alone = GeneratorHealth(busiest_worker_cpu_pct=97)
    assert alone.sentence.endswith("(its busiest worker used 97% of a core).")
    late = GeneratorHealth(oversleep_p99_ms=3.21)
    assert late.sentence.endswith("upper bound (p99 of its own delay 3.21 ms).")
