"""Credits of a run, before and after it. A pure table and one division.

Rates are Snowflake's credits per hour: virtual warehouses by size (Interactive warehouses at
their own rate) and Snowflake Postgres instances (AWS). A database of one's own has no rate.
"""

from collections.abc import Sequence
from enum import StrEnum

from benchgate.domain.templates import (
    FILE_TABLES,
    SNOWFLAKE_TABLES,
    LoadMode,
    TableType,
    TemplateConfig,
)
from benchgate.domain.values import Value

SECONDS_PER_HOUR = 3_600
# A second on the smallest instance is two of the last digit: what costs something is never 0.
CREDIT_DIGITS = 6

WAREHOUSE_CREDITS_PER_HOUR: dict[str, float] = {
    "XSMALL": 1,
    "SMALL": 2,
    "MEDIUM": 4,
    "LARGE": 8,
    "XLARGE": 16,
    "2XLARGE": 32,
    "3XLARGE": 64,
    "4XLARGE": 128,
    "5XLARGE": 256,
    "6XLARGE": 512,
}
INTERACTIVE_CREDITS_PER_HOUR: dict[str, float] = {
    "XSMALL": 0.6,
    "SMALL": 1.2,
    "MEDIUM": 2.4,
    "LARGE": 4.8,
    "XLARGE": 9.6,
    "2XLARGE": 19.2,
    "3XLARGE": 38.4,
    "4XLARGE": 76.8,
}
POSTGRES_CREDITS_PER_HOUR: dict[str, float] = {
    "STANDARDM": 0.0356,
    "STANDARDL": 0.0712,
    "STANDARDXL": 0.1424,
    "STANDARD2X": 0.2848,
    "STANDARD2XL": 0.2848,
    "STANDARD4XL": 0.5696,
    "STANDARD8XL": 1.1392,
    "STANDARD12XL": 1.7088,
    "STANDARD24XL": 3.4176,
    "HIGHMEML": 0.1024,
    "HIGHMEMXL": 0.2048,
    "HIGHMEM2XL": 0.4096,
    "HIGHMEM4XL": 0.8192,
    "HIGHMEM8XL": 1.6384,
    "HIGHMEM12XL": 2.4576,
    "HIGHMEM16XL": 3.2768,
    "HIGHMEM24XL": 4.9152,
    "HIGHMEM32XL": 6.5536,
    "HIGHMEM48XL": 9.8304,
    "BURSTXS": 0.0068,
    "BURSTS": 0.0136,
    "BURSTM": 0.0272,
    "XSMALL": 0.0068,
    "SMALL": 0.0136,
    "MEDIUM": 0.0356,
    "LARGE": 0.0712,
    "XLARGE": 0.1424,
    "2XLARGE": 0.2848,
}


class CostBasis(StrEnum):
    """Where a cost figure comes from."""

    RATE = "rate"  # a known rate times a known time
    STEP = "step"  # the load decides its own end: the figure is for one step
    LOCAL = "local"  # a database of one's own: no credits
    UNKNOWN = "unknown"  # no rate is known for the size, or no size


class Cost(Value):
    """Credits and what they stand on; None where no honest figure exists."""

    credits: float | None
    basis: CostBasis


def credits_per_hour(config: TemplateConfig) -> float | None:
    """The rate of *config*'s target; 0 for a database of one's own, None where it is unknown."""
    if config.table_type in FILE_TABLES:
        return 0
    if config.table_type is TableType.POSTGRES:
        size = config.postgres_instance_size
        return POSTGRES_CREDITS_PER_HOUR.get(plain_size(size)) if size else 0
    rates = (
        INTERACTIVE_CREDITS_PER_HOUR
        if config.table_type is TableType.INTERACTIVE
        else WAREHOUSE_CREDITS_PER_HOUR
    )
    return rates.get(plain_size(config.warehouse_size or ""))


def estimate(config: TemplateConfig) -> Cost:
    """What a run of *config* will cost: warm-up and measurement, or one step of a search."""
    stepwise = config.load_mode is LoadMode.FIND_MAX_CONCURRENCY
    seconds = config.step_duration_seconds if stepwise else config.warmup + config.duration
    cost = spent(config, seconds)
    per_step = stepwise and cost.basis is CostBasis.RATE
    return Cost(credits=cost.credits, basis=CostBasis.STEP) if per_step else cost


def total(costs: Sequence[Cost]) -> Cost:
    """All *costs* together; unknown, or per step, as soon as one of them is."""
    bases = {cost.basis for cost in costs}
    known = [cost.credits for cost in costs if cost.credits is not None]
    if len(known) < len(costs):
        return Cost(credits=None, basis=CostBasis.UNKNOWN)
    basis = next((b for b in (CostBasis.STEP, CostBasis.RATE) if b in bases), CostBasis.LOCAL)
    return Cost(credits=round(sum(known), CREDIT_DIGITS), basis=basis)


def spent(config: TemplateConfig, seconds: float) -> Cost:
    """What *seconds* of *config* cost."""
    rate = credits_per_hour(config)
    if rate is None:
        return Cost(credits=None, basis=CostBasis.UNKNOWN)
    if rate == 0 and config.table_type not in SNOWFLAKE_TABLES:
        return Cost(credits=0, basis=CostBasis.LOCAL)
    return Cost(
        credits=round(rate * seconds / SECONDS_PER_HOUR, CREDIT_DIGITS), basis=CostBasis.RATE
    )


def plain_size(size: str) -> str:
    """`X-Small`, `2X-LARGE`, `XXLARGE` and `STANDARD_M` as the tables spell them."""
    letters = "".join(c for c in size.upper() if c.isalnum())
    return {"XXLARGE": "2XLARGE", "XXXLARGE": "3XLARGE"}.get(letters, letters)
