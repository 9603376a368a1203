"""Numbers as text, the same on the page, in the terminal and in the verdicts."""

import math

MISSING = "–"


def number(value: float, decimals: int = 2) -> str:
    """`1234.5` -> `1,234.50`; a dash where there is no value."""
    return MISSING if math.isnan(value) else f"{value:,.{decimals}f}"


def signed(value: float, decimals: int = 2) -> str:
    """`0.5` -> `+0.50`; what rounds to zero has no sign."""
    if math.isnan(value):
        return MISSING
    return f"{value:+,.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"


def score(mean: float, low: float, high: float) -> str:
    """`71.3 ±0.9`: a mean with half the width of its interval, if it has one."""
    if math.isnan(mean) or math.isnan(low):
        return number(mean, 1)
    return f"{mean:.1f} ±{(high - low) / 2:.1f}"


def interval(low: float, high: float, decimals: int = 2) -> str:
    """`+0.10 to +0.92`; a dash where there is no interval."""
    return MISSING if math.isnan(low) else f"{signed(low, decimals)} to {signed(high, decimals)}"


def percent(share: float) -> str:
    """`0.95` -> `95 %`."""
    return f"{100 * share:g} %"


def counted(count: int, noun: str) -> str:
    """`1, "seed"` -> `1 seed`; `5, "seed"` -> `5 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def task_label(task: str) -> str:
    """`bigram_shift` -> `bigram shift`."""
    return task.replace("_", " ")
