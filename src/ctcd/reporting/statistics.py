"""Means and differences with their intervals. The unit is one pre-training: what varies between two of them decides.

A model's value under a pre-training seed is the mean over its fine-tuning seeds. Differences are taken within each
seed. For a model that somebody gives, of which there is one pre-training, the unit is one fine-tuning.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pandas as pd
from scipy.special import stdtr, stdtrit

from ctcd.reporting.tables import MAJORITY, NO_SEED, is_untrained, model_names, split_model_name

MEAN_OVER_TASKS = "mean over tasks"
WNLI = "wnli"
# GLUE's score is often given without this task, which was made so that no model learns it from its training data.
MEAN_WITHOUT_WNLI = "mean without wnli"
MEANS = (MEAN_OVER_TASKS, MEAN_WITHOUT_WNLI)

COLUMNS = [
    "task", "quantity", "model", "reference", "mean", "standard_deviation", "low", "high", "seeds", "confidence",
    "is_partial",
]  # fmt: skip
Unit = Literal["pretraining_seed", "seed"]
# Points or nats: what differs by less differs by rounding.
ROUNDING = 1e-9
UNITS: dict[Unit, str] = {"pretraining_seed": "pre-training seed", "seed": "fine-tuning seed"}
Pair = tuple[str, str]


def compare(scores: pd.DataFrame, pairs: Iterable[Pair], confidence: float, unit: Unit) -> pd.DataFrame:
    """Compute mean, spread and interval over seeds of every model and of some differences.

    The value of a task under one seed is the mean of its metrics, averaged over its splits, in points (x 100). The mean
    over tasks is taken within each seed, and exists for seeds that have every task of the study. Intervals are
    Student's, two-sided. An undefined score (NaN) counts as missing. Where there is the task wnli and others, a mean
    without it follows: these two are GLUE's score.

    Args:
        scores: as `collect_scores` makes it.
        pairs: (model, reference) of the differences.
        confidence: of the intervals, such as 0.95.
        unit: what the seeds are of.

    Returns:
        One row per task (the means last) and quantity: task, quantity, model, reference (None unless the
        quantity is the difference model - reference), mean, standard_deviation, low, high, seeds (0 for the majority
        class), confidence, is_partial (whether the task's data, or those of a task in a mean, are only a part).
        A single seed has neither standard deviation nor interval: NaN.
    """
    if scores.empty:
        return pd.DataFrame(columns=COLUMNS)
    tables = seed_tables(scores, unit)
    quantities: list[tuple[str, str | None]] = [(model, None) for model in tables]
    quantities += [pair for pair in dict.fromkeys(pairs) if set(pair) <= tables.keys()]
    partial = _partial(scores)
    rows: list[dict[str, Any]] = []
    for task in next(iter(tables.values())).columns:
        for model, reference in quantities:
            values = tables[model][task] if reference is None else tables[model][task] - tables[reference][task]
            values = values.dropna()
            if values.empty:
                continue
            quantity = model if reference is None else f"{model} - {reference}"
            names = {"task": task, "quantity": quantity, "model": model, "reference": reference}
            rows.append({**names, **summary(values, confidence), "confidence": confidence, "is_partial": partial[task]})
    return pd.DataFrame(rows)


def gains_over_random_weights(models: Sequence[str]) -> list[Pair]:
    """Each pre-trained model with the one of its role fine-tuned from random weights, where there is one."""
    untrained = {split_model_name(model)[1]: model for model in reversed(models) if is_untrained(model)}
    trained = [(model, split_model_name(model)[1]) for model in models if model != MAJORITY and not is_untrained(model)]
    return [(model, untrained[role]) for model, role in trained if role in untrained]


def seed_tables(scores: pd.DataFrame, unit: Unit) -> dict[str, pd.DataFrame]:
    """Model -> values in points, one row per seed, one column per task and one for each mean."""
    frame = scores.assign(model=model_names(scores))
    keys = ["model", "task", unit] if unit == "seed" else ["model", "task", unit, "seed"]
    # pandas would skip an undefined metric, and so compare a mean of two metrics with a mean of one.
    per_split = frame.groupby([*keys, "split"], sort=False)["value"].agg(_mean_of_all)
    per_training = 100 * per_split.groupby(level=keys, sort=False).agg(_mean_of_all)
    per_task = per_training.groupby(level=["model", "task", unit], sort=False).agg(_mean_of_all)
    means = _means(list(frame["task"].unique()))
    tables = {}
    for model in frame["model"].unique():
        table = per_task.loc[model].unstack("task").reindex(columns=frame["task"].unique())
        tables[model] = table.assign(**{mean: table[tasks].mean(axis=1, skipna=False) for mean, tasks in means.items()})
    return tables


def summary(values: pd.Series, confidence: float) -> dict[str, float]:
    """Mean, standard deviation and Student's interval of a value per seed; the seeds are the index."""
    count, mean, deviation = len(values), float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * deviation / math.sqrt(count) if count > 1 else math.nan
    seeds = int((values.index != NO_SEED).sum())
    return {
        "mean": mean,
        "standard_deviation": deviation,
        "low": mean - half,
        "high": mean + half,
        "seeds": seeds,
    }


def p_value(differences: pd.Series) -> float:
    """Two-sided p of Student's t for a mean of zero; NaN for fewer than two differences."""
    count, deviation = len(differences), float(differences.std(ddof=1))
    if count < 2:
        return math.nan
    if deviation <= ROUNDING:
        return 0.0 if abs(differences.mean()) > ROUNDING else 1.0
    return float(2 * stdtr(count - 1, -abs(differences.mean()) / deviation * math.sqrt(count)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number (Holm 1979); NaN stays and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def model_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `compare` that are scores of models."""
    return comparison[comparison["reference"].isna()]


def gain_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `compare` that are gains over random weights."""
    return comparison[_is_gain(comparison)]


def difference_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `compare` that are differences between pre-trained models."""
    return comparison[comparison["reference"].notna() & ~_is_gain(comparison)]


def outcome(low: float, high: float) -> str:
    """Say what the interval of a difference says: better, worse, or undecided if it includes zero or is NaN."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def _is_gain(comparison: pd.DataFrame) -> pd.Series:
    return comparison["reference"].fillna("").map(lambda reference: is_untrained(str(reference))).astype(bool)


def _means(tasks: Sequence[str]) -> dict[str, list[str]]:
    """Mean -> tasks in it."""
    others = [task for task in tasks if task != WNLI]
    means = {MEAN_OVER_TASKS: list(tasks)}
    return means | ({MEAN_WITHOUT_WNLI: others} if 0 < len(others) < len(tasks) else {})


def _partial(scores: pd.DataFrame) -> dict[str, bool]:
    """Task or mean -> whether it rests on a part of some published data."""
    partial = {str(task): bool(rows.any()) for task, rows in scores.groupby("task")["is_partial"]}
    return partial | {mean: any(partial[task] for task in tasks) for mean, tasks in _means(list(partial)).items()}


def _mean_of_all(values: pd.Series) -> float:
    return float(values.to_numpy(dtype=float).mean())
