"""From measurements to figures: medians, gains, shares of the peak, differences of the losses."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from contenders import Contender
from ladder import PLAIN
from measurement import Result
from workload import Shape

from engine import Terms

TOLERANCES = {"float32": 5e-5, "bfloat16": 2e-2}


@dataclass
class Row:
    """A contender's line in the table; None where there is nothing to say."""

    name: str
    section: str
    dtype: str
    unavailable: str
    tokens_per_second: float | None = None
    tokens_per_second_by_round: Sequence[float] = ()
    ratio: float | None = None  # to the baseline
    gain: float | None = None  # over the rung before
    memory_rise: float | None = None  # megabytes
    memory_of_baseline: float | None = None  # rise as a share of the baseline's
    process_peak: float | None = None  # megabytes
    executed_operations: int | None = None  # of a step
    needed_operations: int | None = None  # the fewest with which any contender makes the same step
    peak_share: float | None = None  # needed operations per second / best matrix product of the same data type
    difference: float | None = None  # largest relative difference of the losses from the baseline's
    tolerance: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether the losses are the baseline's, or were not compared."""
        return self.difference is None or self.tolerance is None or self.difference <= self.tolerance


def dtype_of(contender: Contender) -> str:
    """Data type of a contender's matrix products."""
    return "bfloat16" if contender.bfloat16 else "float32"


def summarize(results: list[Result], shape: Shape, peak: dict[str, float]) -> list[Row]:
    """One row per contender, in their order."""
    baseline = next(result for result in results if result.contender.name == PLAIN)
    needed = _needed_operations(results)
    rows = []
    below: Result | None = None  # the last rung that was measured
    for result in results:
        contender = result.contender
        row = Row(contender.name, contender.section, dtype_of(contender), result.unavailable)
        if not result.unavailable:
            _add_speed(row, result, below if contender.section == "ladder" else None)
            _add_memory(row, result, baseline)
            _add_operations(row, result, needed.get(contender.trains), shape, peak)
            if result.losses and baseline.losses:
                row.difference = largest_difference(result.losses, baseline.losses)
                row.tolerance = TOLERANCES[row.dtype]
            below = result if contender.section == "ladder" else below
        rows.append(row)
    return rows


def cost_of_codistillation(results: list[Result]) -> float | None:
    """Time of ctcd / time of standalone, both ours: median over the rounds."""
    ratios = {result.contender.name: result.ratios for result in results if not result.unavailable}
    return _median_ratio(ratios.get("ours: standalone", []), ratios.get("ours: ctcd", []))


def speed_against_trainer(rows: list[Row]) -> dict[str, float]:
    """Tokens per second of our fastest rung, both models together / of the `Trainer` on the teacher alone.

    By data type of both, and with everything on against the `Trainer` as it comes.
    """
    ours, trainer = (
        {
            dtype: max(
                (row.tokens_per_second or 0.0 for row in rows if belongs(row) and row.dtype == dtype), default=0.0
            )
            for dtype in TOLERANCES
        }
        for belongs in (_is_own_rung, _is_trainer)
    )
    ratios = {f"{dtype}, both": ours[dtype] / trainer[dtype] for dtype in TOLERANCES if ours[dtype] and trainer[dtype]}
    if trainer["float32"] and max(ours.values()):
        ratios["everything on, against float32"] = max(ours.values()) / trainer["float32"]
    return ratios


def largest_difference(losses: list[Terms], expected: list[Terms]) -> float:
    """Largest relative difference of any of the four losses at any step.

    The later steps also compare the gradients and the updates, which the losses then depend on.
    """
    return max(
        abs(found - wanted) / abs(wanted)
        for step, expected_step in zip(losses, expected, strict=True)
        for found, wanted in zip(step, expected_step, strict=True)
    )


def as_dictionaries(rows: list[Row]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(row) | {"agrees": row.agrees} for row in rows]


def _is_own_rung(row: Row) -> bool:
    return row.section == "ladder" and row.name != PLAIN


def _is_trainer(row: Row) -> bool:
    return row.name.startswith("Trainer")


def _add_speed(row: Row, result: Result, below: Result | None) -> None:
    row.tokens_per_second = median(result.tokens_per_second)
    row.tokens_per_second_by_round = result.tokens_per_second
    row.ratio = median(result.ratios)
    if below is not None:
        row.gain = _median_ratio(result.ratios, below.ratios)


def _add_memory(row: Row, result: Result, baseline: Result) -> None:
    row.memory_rise = result.memory["rise"]
    row.memory_of_baseline = row.memory_rise / baseline.memory["rise"]
    row.process_peak = result.memory["process_peak"]


def _add_operations(row: Row, result: Result, needed: int | None, shape: Shape, peak: dict[str, float]) -> None:
    row.executed_operations, row.needed_operations = result.operations, needed
    if needed and row.tokens_per_second:
        row.peak_share = needed * row.tokens_per_second / shape.tokens_per_step / peak[row.dtype]


def _needed_operations(results: list[Result]) -> dict[str, int]:
    needed: dict[str, int] = {}
    for result in results:
        if result.operations:
            trains = result.contender.trains
            needed[trains] = min(result.operations, needed.get(trains, result.operations))
    return needed


def _median_ratio(dividends: Sequence[float], divisors: Sequence[float]) -> float | None:
    """Median over the rounds that both have; the plain baseline has more where there are several groups."""
    ratios = [dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=False)]
    return median(ratios) if ratios else None
