"""How figures are written for a reader: digits, units and times. Knows no text around them."""

import math

from benchgate.domain.cost import Cost, CostBasis

NONE = "-"
SECONDS_PER_MINUTE = 60
MINUTES_PER_HOUR = 60

REMARKS: dict[CostBasis, str] = {
    CostBasis.RATE: "",
    CostBasis.STEP: " per step; the number of steps is open",
    CostBasis.LOCAL: "",
    CostBasis.UNKNOWN: " (no rate is known for this target)",
}


def count(number: int) -> str:
    """`374,100`."""
    return f"{number:,}"


def rate(per_second: float) -> str:
    """`1,247`, and three digits below a hundred: `52.3`, `3.14`."""
    return f"{per_second:,.{_decimals(per_second, whole_from=100)}f}" if per_second else "0"


def ms(milliseconds: float | None) -> str:
    """`12ms`, `4.2ms`, `0.42ms`; a dash where there is no figure."""
    if milliseconds is None:
        return NONE
    return f"{milliseconds:,.{_decimals(milliseconds, whole_from=10)}f}ms"


def pct(percent: float) -> str:
    """`0.0%` for exactly none; a share too small to show is not hidden behind it."""
    shown = f"{percent:.1f}%"
    return "<0.1%" if percent > 0 and shown == "0.0%" else shown


def difference(amount: float | None) -> str:
    """`+277`, `-72.0`, `0`; a dash for what is compared with itself."""
    if amount is None:
        return NONE
    shown = rate(abs(amount))
    return shown if shown in {"0", "0.00"} else f"{'+' if amount > 0 else '-'}{shown}"


def difference_pct(percent: float | None) -> str:
    """`+88.8%`, `-46.2%`; a dash where there is nothing to compare with."""
    return NONE if percent is None else f"{percent:+.1f}%"


def share(percent: float) -> str:
    """`80%`, `33.33%`."""
    return f"{percent:g}%"


def clock(seconds: float) -> str:
    """`45s`, `2m 30s`, `1h 02m 03s`."""
    minutes, rest_seconds = divmod(round(max(0, seconds)), SECONDS_PER_MINUTE)
    hours, rest_minutes = divmod(minutes, MINUTES_PER_HOUR)
    if hours:
        return f"{hours}h {rest_minutes:02}m {rest_seconds:02}s"
    return f"{minutes}m {rest_seconds:02}s" if minutes else f"{rest_seconds}s"


def credits_spent(amount: float | None) -> str:
    """`0.34 credits`; a database of one's own is free."""
    if amount is None:
        return "unknown"
    return "0 credits (local database)" if amount == 0 else f"{_amount(amount)} credits"


def credits_estimated(cost: Cost) -> str:
    """`~0.35 credits`, and for a load that decides its own end the cost of one step."""
    return f"{'~' if cost.credits else ''}{credits_spent(cost.credits)}{REMARKS[cost.basis]}"


def _amount(amount: float) -> str:
    """Two decimals, and below one as many as show two digits."""
    decimals = max(2, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{decimals}f}"


def _decimals(number: float, *, whole_from: float) -> int:
    """None from *whole_from* on, one from a tenth of it, else two."""
    if number >= whole_from:
        return 0
    return 1 if number >= whole_from / 10 else 2
