"""What a run costs: the table of rates, and what is said where there is none."""

import pytest

from benchgate.domain.cost import (
    INTERACTIVE_CREDITS_PER_HOUR,
    POSTGRES_CREDITS_PER_HOUR,
    WAREHOUSE_CREDITS_PER_HOUR,
    Cost,
    CostBasis,
    estimate,
    spent,
    total,
)
from tests.unit.examples import config_of

HOUR = 3_600


@pytest.mark.parametrize("table_type", ["STANDARD", "HYBRID", "DYNAMIC"])
@pytest.mark.parametrize(("size", "rate"), WAREHOUSE_CREDITS_PER_HOUR.items())
def test_a_warehouse_costs_its_rate(table_type: str, size: str, rate: float) -> None:
    config = config_of(table_type=table_type, warehouse_size=size)
    assert spent(config, HOUR) == Cost(credits=rate, basis=CostBasis.RATE)


@pytest.mark.parametrize(("size", "rate"), INTERACTIVE_CREDITS_PER_HOUR.items())
def test_an_interactive_warehouse_has_its_own_rate(size: str, rate: float) -> None:
    config = config_of(table_type="INTERACTIVE", warehouse_size=size)
    assert spent(config, HOUR) == Cost(credits=rate, basis=CostBasis.RATE)


@pytest.mark.parametrize(("size", "rate"), POSTGRES_CREDITS_PER_HOUR.items())
def test_a_postgres_instance_costs_its_rate(size: str, rate: float) -> None:
    config = config_of(postgres_instance_size=size)
    assert spent(config, HOUR) == Cost(credits=rate, basis=CostBasis.RATE)


@pytest.mark.parametrize(
    ("size", "rate"),
    [
        ("X-Small", 1),
        ("x-small", 1),
        ("X SMALL", 1),
        ("2X-Large", 32),
        ("XXLARGE", 32),
        ("XXX-Large", 64),
        ("4X-LARGE", 128),
    ],
)
def test_a_size_may_be_spelt_in_several_ways(size: str, rate: float) -> None:
    assert spent(config_of(table_type="STANDARD", warehouse_size=size), HOUR).credits == rate


@pytest.mark.parametrize(
    ("size", "rate"),
    [
        ("STANDARD_M", 0.0356),
        ("standard_2x", 0.2848),
        ("HIGHMEM_48XL", 9.8304),
        ("BURST_XS", 0.0068),
    ],
)
def test_an_instance_size_may_be_spelt_as_the_product_does(size: str, rate: float) -> None:
    assert spent(config_of(postgres_instance_size=size), HOUR).credits == rate


@pytest.mark.parametrize(
    "target",
    [
        {"table_type": "STANDARD"},
        {"table_type": "STANDARD", "warehouse_size": "HUGE"},
        {"table_type": "INTERACTIVE", "warehouse_size": "6XLARGE"},
        {"postgres_instance_size": "GIGANTIC"},
    ],
    ids=str,
)
def test_without_a_known_rate_no_figure_is_made_up(target: dict[str, str]) -> None:
    config = config_of(**target)
    assert estimate(config) == Cost(credits=None, basis=CostBasis.UNKNOWN)
    stepwise = config_of(**target, load_mode="FIND_MAX_CONCURRENCY")
    assert estimate(stepwise) == Cost(credits=None, basis=CostBasis.UNKNOWN)


@pytest.mark.parametrize("table_type", ["SQLITE", "DUCKDB", "POSTGRES"])
@pytest.mark.parametrize("load_mode", ["CONCURRENCY", "FIND_MAX_CONCURRENCY"])
def test_a_database_of_ones_own_costs_nothing(table_type: str, load_mode: str) -> None:
    config = config_of(table_type=table_type, load_mode=load_mode)
    assert estimate(config) == Cost(credits=0, basis=CostBasis.LOCAL)


def test_an_estimate_covers_warmup_and_measurement() -> None:
    config = config_of(table_type="STANDARD", warehouse_size="MEDIUM", warmup=10, duration=300)
    assert estimate(config) == Cost(credits=0.344444, basis=CostBasis.RATE)


def test_a_search_is_estimated_by_the_step() -> None:
    config = config_of(
        table_type="STANDARD",
        warehouse_size="SMALL",
        load_mode="FIND_MAX_CONCURRENCY",
        step_duration_seconds=36,
    )
    assert estimate(config) == Cost(credits=0.02, basis=CostBasis.STEP)


@pytest.mark.parametrize("size", [*POSTGRES_CREDITS_PER_HOUR])
def test_what_costs_something_is_never_rounded_to_nothing(size: str) -> None:
    cost = spent(config_of(postgres_instance_size=size), 1)
    assert cost.basis is CostBasis.RATE
    assert cost.credits


RATED = Cost(credits=0.1, basis=CostBasis.RATE)
STEP = Cost(credits=0.2, basis=CostBasis.STEP)
LOCAL = Cost(credits=0, basis=CostBasis.LOCAL)
UNKNOWN = Cost(credits=None, basis=CostBasis.UNKNOWN)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], LOCAL),
        ([LOCAL, LOCAL], LOCAL),
        ([LOCAL, RATED], RATED),
        ([RATED] * 3, Cost(credits=0.3, basis=CostBasis.RATE)),
        ([RATED, STEP, LOCAL], Cost(credits=0.3, basis=CostBasis.STEP)),
        ([RATED, UNKNOWN], UNKNOWN),
        ([UNKNOWN, STEP, LOCAL], UNKNOWN),
    ],
)
def test_a_total_is_only_as_good_as_the_worst_that_is_in_it(
    costs: list[Cost], expected: Cost
) -> None:
    assert total(costs) == expected
