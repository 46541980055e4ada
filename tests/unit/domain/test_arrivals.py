"""A schedule delivers exactly its rate, whole or in parts, and its starts are spaced as it says."""

from itertools import chain, islice, pairwise, takewhile
from math import ceil, floor
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchgate.domain.arrivals import (
    NS_PER_SECOND,
    SLICE_STARTS_MAX,
    Arrivals,
    due,
    starts_ns,
)
from benchgate.domain.templates import Spacing

RATES = st.floats(min_value=0.01, max_value=3_000)
SPACINGS = st.sampled_from(Spacing)


def load(rate: float, spacing: Spacing = Spacing.POISSON, **others: int) -> Arrivals:
    return Arrivals.model_validate({"rate_per_s": rate, "spacing": spacing, "seed": 7} | others)


def parts_of(rate: float, spacing: Spacing, parts: int) -> list[Arrivals]:
    return [load(rate, spacing, part=part, parts=parts) for part in range(parts)]


def before(arrivals: Arrivals, seconds: float) -> list[int]:
    return list(takewhile(lambda at: at < seconds * NS_PER_SECOND, starts_ns(arrivals)))


@pytest.mark.parametrize(
    "wrong",
    [{"rate_per_s": 0}, {"rate_per_s": -1}, {"part": 1}, {"part": -1}, {"parts": 0}],
)
def test_a_load_without_rate_or_a_part_of_no_load_is_refused(wrong: dict[str, int]) -> None:
    known = {"rate_per_s": 10, "spacing": "CONSTANT", "seed": 1}
    with pytest.raises(ValidationError):
        Arrivals.model_validate(known | wrong)


def test_constant_starts_are_evenly_spaced_from_the_very_beginning() -> None:
    assert before(load(4, Spacing.CONSTANT), 1) == [0, 250_000_000, 500_000_000, 750_000_000]


def test_constant_parts_interleave_evenly() -> None:
    parts = [before(part, 2) for part in parts_of(3, Spacing.CONSTANT, 3)]
    assert parts == [[0, 1_000_000_000], [333_333_333, 1_333_333_333], [666_666_666, 1_666_666_666]]
    assert sorted(chain(*parts)) == before(load(3, Spacing.CONSTANT), 2)


@pytest.mark.parametrize("rate", [10, 11.5, 300, 2_000, 20_000])
def test_every_window_of_a_poisson_load_holds_the_count_of_the_schedule(rate: float) -> None:
    starts = before(load(rate), 5)
    for seconds in range(6):
        passed = [at for at in starts if at < seconds * NS_PER_SECOND]
        assert len(passed) == floor(rate * seconds)


@pytest.mark.parametrize(
    ("rate", "parts", "seconds"),
    [(5, 1, 2), (0.3, 1, 34), (1, 1, 10), (20, 4, 2), (0.5, 2, 40)],
)
def test_a_slow_load_has_windows_long_enough_for_chance(
    rate: float, parts: int, seconds: int
) -> None:
    whole = parts_of(rate, Spacing.POISSON, parts)
    counts = [sum(len(before(part, n * seconds)) for part in whole) for n in range(4)]
    assert counts == [floor(round(rate * n * seconds, 6)) for n in range(4)]
    assert len(before(whole[0], seconds)) in range(9, 12)


def test_a_rate_counts_as_it_was_written_and_not_as_the_float_next_to_it() -> None:
    # The float is a little less than 0.3, and three starts in ten seconds would become two.
    assert due(load(0.3), 340 * NS_PER_SECOND) == 102
    assert due(load(0.3, Spacing.CONSTANT), 10 * NS_PER_SECOND) == 3


@given(RATES, st.integers(1, 12), st.integers(0, 40))
def test_all_parts_together_are_the_whole_load_at_every_window(
    rate: float, parts: int, windows: int
) -> None:
    # So many seconds are whole windows of every rate that is drawn here.
    seconds = windows * ceil(10 * parts / rate) if rate < 10 * parts else windows
    elapsed_ns = seconds * NS_PER_SECOND
    poisson = sum(due(part, elapsed_ns) for part in parts_of(rate, Spacing.POISSON, parts))
    assert poisson == pytest.approx(rate * seconds, abs=1)
    constant = sum(due(part, elapsed_ns) for part in parts_of(rate, Spacing.CONSTANT, parts))
    assert constant == due(load(rate, Spacing.CONSTANT), elapsed_ns)
    assert constant == pytest.approx(rate * seconds, abs=1)


@given(RATES, SPACINGS, st.integers(0, 5), st.integers(-1, 500))
def test_what_is_due_is_what_has_been_handed_out(
    rate: float, spacing: Spacing, part: int, count: int
) -> None:
    arrivals = load(rate, spacing, part=part, parts=6)
    last = next(islice(starts_ns(arrivals), max(0, count), None))
    handed_out = list(takewhile(lambda at: at <= last, starts_ns(arrivals)))
    assert due(arrivals, last + 1) == len(handed_out)
    assert due(arrivals, last) == sum(at < last for at in handed_out)


@pytest.mark.parametrize("spacing", Spacing)
@pytest.mark.parametrize("elapsed_ns", [-1, 0])
def test_nothing_is_due_before_the_beginning(spacing: Spacing, elapsed_ns: int) -> None:
    assert due(load(1_000, spacing), elapsed_ns) == 0


@pytest.mark.parametrize("spacing", Spacing)
def test_the_slowest_load_that_can_be_written_has_a_schedule(spacing: Spacing) -> None:
    arrivals = load(5e-324, spacing)
    assert next(starts_ns(arrivals)) >= 0
    assert due(arrivals, NS_PER_SECOND) == (spacing is Spacing.CONSTANT)


@given(RATES, SPACINGS, st.integers(1, 4))
def test_starts_ascend_over_slices_and_windows(rate: float, spacing: Spacing, parts: int) -> None:
    starts = list(islice(starts_ns(load(rate, spacing, parts=parts)), 600))
    assert all(earlier <= later for earlier, later in pairwise(starts))


def test_the_same_seed_gives_the_same_starts_and_everything_else_others() -> None:
    def first(**others: int) -> tuple[int, ...]:
        return tuple(islice(starts_ns(load(100, Spacing.POISSON, **others)), 50))

    assert first() == first()
    different = [first(), first(seed=8), first(parts=2), first(parts=2, part=1), first(parts=3)]
    assert len({*different}) == len(different)


def test_the_distances_of_a_poisson_load_are_those_of_chance() -> None:
    starts = before(load(20_000), 5)
    distances = [later - earlier for earlier, later in pairwise(starts)]
    mean = fmean(distances)
    assert mean == pytest.approx(NS_PER_SECOND / 20_000, rel=0.001)
    # Exponential distances vary as much as they last, and 1 in e of them exceeds their mean.
    assert pstdev(distances) == pytest.approx(mean, rel=0.02)
    assert sum(d > mean for d in distances) / len(distances) == pytest.approx(0.3679, abs=0.005)


def test_within_a_window_the_counts_of_slices_fluctuate_as_chance_does() -> None:
    rate, pieces = 20_000, 100
    counts = [0] * pieces * 10
    for at in before(load(rate), 10):
        counts[at * pieces // NS_PER_SECOND] += 1
    # Of 20,000 independent starts each falls into a given piece with a chance of 1 in 100.
    assert pstdev(counts) == pytest.approx((rate / pieces * (1 - 1 / pieces)) ** 0.5, rel=0.1)


def test_independent_parts_are_as_random_together_as_one_load() -> None:
    merged = sorted(at for part in parts_of(8_000, Spacing.POISSON, 4) for at in before(part, 5))
    distances = [later - earlier for earlier, later in pairwise(merged)]
    assert len(merged) == 40_000
    assert pstdev(distances) == pytest.approx(fmean(distances), rel=0.03)


@pytest.mark.parametrize("starts", [1, SLICE_STARTS_MAX - 1, SLICE_STARTS_MAX, 100_000])
def test_a_start_falls_into_its_window_however_finely_that_is_cut(starts: int) -> None:
    rate = max(10, starts)
    drawn = list(islice(starts_ns(load(rate)), rate + 1))
    assert drawn[-2] < NS_PER_SECOND <= drawn[-1]
