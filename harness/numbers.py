"""How numbers are written wherever they are shown: in the terminal, in LaTeX, and on pages."""

from __future__ import annotations

import math
from collections.abc import Iterable

ABSENT = "–"


def number(value: float | None, digits: int = 3) -> str:
    """`0.03360`, or `3.59e-04` below 0.01 and from 10,000 on; four digits without an exponent, a dash for NaN."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    return f"{value:#.{digits + 1}g}".rstrip(".") if 1e-2 <= abs(value) < 1e4 else f"{value:.{digits - 1}e}"


def mean_sem(mean: float | None, sem: float | None) -> str:
    """`3.59e-04 ± 2.3e-05`, or `0.03360 ± 0.00026`; a dash where there is no number."""
    if mean is None or math.isnan(mean):
        return ABSENT
    if sem is None or math.isnan(sem):
        return number(mean)
    plain = "e" not in number(mean) and sem >= 1e-4
    return f"{number(mean)} ± {'0' if sem == 0 else f'{sem:#.2g}' if plain else f'{sem:.1e}'}"


def quartiles(median: float | None, low: float | None, high: float | None) -> str:
    """`3.59e-04 [2.30e-05, 4.10e-04]`."""
    return f"{number(median)} [{number(low)}, {number(high)}]"


def ratio(value: float, low: float = math.nan, high: float = math.nan, unit: str = "") -> str:
    """`1.5`, or `1.5 [1.2, 1.9]` with its interval, or `1.5 times [1.2, 1.9]`: what has no unit, in three digits."""
    told = [ABSENT if math.isnan(x) else "∞" if math.isinf(x) else f"{x:.3g}" for x in (value, low, high)]
    return told[0] + unit + ("" if math.isnan(low) else f" [{told[1]}, {told[2]}]")


def power(values: Iterable[float]) -> int:
    """The power of ten that `values` have in common in a column: that of the smallest above 0; 0 if there is none."""
    exponents = [math.floor(math.log10(value)) for value in values if 0 < value < math.inf]
    return min(exponents, default=0)


def scaled(value: float, exponent: int) -> str:
    """`value` in units of 10^`exponent`, with two decimals."""
    return f"{value / 10.0**exponent:.2f}"
