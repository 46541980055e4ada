"""Guardrails: what breaks one, and what does not."""

from typing import Any

import pytest

from benchgate.backend.engine.guard import WINDOW_SECONDS, Guard, Machine, MachineSample, Tried
from benchgate.domain.templates import Guardrails

CALM = MachineSample(cpu_pct=10, memory_pct=10)


def breach_of(
    limits: dict[str, Any],
    samples: list[MachineSample],
    *,
    error_rate: float = 0,
) -> str | None:
    guard = Guard(Guardrails.model_validate({"enabled": True} | limits))
    told = [
        guard.breach(
            elapsed_seconds=second,
            tried=Tried(failed=round(10 * error_rate), answered=round(1_000 - 10 * error_rate)),
            sample=sample,
        )
        for second, sample in enumerate(samples, 1)
    ]
    return told[-1]


@pytest.mark.parametrize(
    ("limits", "sample", "error_rate", "told"),
    [
        ({}, CALM, 100, None),
        ({}, MachineSample(cpu_pct=80, memory_pct=85), 0, None),
        ({}, MachineSample(cpu_pct=81, memory_pct=0), 0, "CPU"),
        ({}, MachineSample(cpu_pct=0, memory_pct=86), 0, "memory"),
        ({"max_error_rate_percent": 5}, CALM, 5, None),
        ({"max_error_rate_percent": 5}, CALM, 6, "error rate was 6.0% over 5 s (limit 5%)"),
        ({"max_cpu_percent": 100}, MachineSample(cpu_pct=100, memory_pct=0), 0, None),
        ({"enabled": False}, MachineSample(cpu_pct=100, memory_pct=100), 100, None),
    ],
)
def test_a_limit_is_broken_by_the_mean_of_several_seconds(
    limits: dict[str, Any], sample: MachineSample, error_rate: float, told: str | None
) -> None:
    found = breach_of(limits, [sample] * WINDOW_SECONDS, error_rate=error_rate)
    assert (found is None) if told is None else (found is not None and told in found)
    assert breach_of(limits, [sample] * (WINDOW_SECONDS - 1), error_rate=error_rate) is None


def test_one_busy_second_breaks_no_limit() -> None:
    busy = MachineSample(cpu_pct=100, memory_pct=10)
    assert breach_of({}, [CALM] * WINDOW_SECONDS + [busy]) is None


def test_a_second_in_which_nothing_was_tried_is_no_good_one() -> None:
    guard = Guard(Guardrails(enabled=True, max_error_rate_percent=80))
    told = [
        guard.breach(
            elapsed_seconds=second, tried=Tried(failed=second % 2, answered=0), sample=CALM
        )
        for second in range(1, WINDOW_SECONDS + 1)
    ]
    assert told[-1] is not None


def test_a_limit_of_time_is_broken_when_it_is_reached() -> None:
    assert breach_of({"max_seconds": 3}, [CALM] * 2) is None
    assert breach_of({"max_seconds": 3}, [CALM] * 3) == "Guardrail: the limit of 3 s was reached."


def test_a_second_that_is_caught_up_with_is_no_sample_of_its_own() -> None:
    guard = Guard(Guardrails(enabled=True, max_error_rate_percent=50))
    samples = [CALM, None, CALM, None, None, CALM, CALM]
    for second, sample in enumerate(samples, 1):
        tried = Tried(failed=int(sample is None), answered=0)
        assert guard.breach(elapsed_seconds=second, tried=tried, sample=sample) is None
    tried = Tried(failed=0, answered=3)
    # Three failures of the moments between the samples, and three answers.
    assert guard.breach(elapsed_seconds=8, tried=tried, sample=CALM) is None
    told = guard.breach(elapsed_seconds=9, tried=Tried(failed=9, answered=0), sample=CALM)
    assert told is not None


def test_a_long_second_weighs_more_than_a_short_one() -> None:
    busy = MachineSample(cpu_pct=100, memory_pct=10, seconds=4)
    assert breach_of({}, [CALM] * 4 + [busy]) is None
    assert breach_of({"max_cpu_percent": 50}, [CALM] * 4 + [busy]) is not None
    assert (
        breach_of({"max_cpu_percent": 50}, [CALM] * 4 + [busy.model_copy(update={"seconds": 1})])
        is None
    )


def test_the_machine_has_a_mean_of_what_was_measured() -> None:
    now_s = 0.0
    machine = Machine(lambda: now_s)
    assert machine.mean_cpu_pct is None
    now_s = 0.1
    assert machine.sample() is None
    assert machine.mean_cpu_pct is None
    now_s = 2.0
    sample = machine.sample()
    assert sample is not None
    assert 0 <= sample.memory_pct <= 100
    assert sample.seconds == 2
    assert machine.mean_cpu_pct == round(sample.cpu_pct, 1)
    machine.forget()
    assert machine.mean_cpu_pct is None
