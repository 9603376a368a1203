"""The comparison of a study's models: means over seeds, and differences paired by seed, with their intervals."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from scipy.special import stdtrit

from ctcd.distillation.methods import ROLES
from ctcd.reporting.tables import (
    MAJORITY,
    MATCHED,
    NO_SEED,
    ONE_WAY,
    STANDALONE,
    UNTRAINED,
    model_name,
    model_names,
    split_model_name,
)

MEAN_OVER_TASKS = "mean over tasks"
# Who is compared with whom: a model in a role with another variant's, if the study has it. The first is the claim.
QUESTIONS = (
    ("student", STANDALONE, "teacher"),
    ("student", STANDALONE, "student"),
    ("teacher", STANDALONE, "teacher"),
    ("student", ONE_WAY, "student"),
    ("student", MATCHED, "teacher"),
)
REFERENCES = tuple(dict.fromkeys(reference for _, reference, _ in QUESTIONS))
WNLI = "wnli"
# GLUE's score is often given without this task, which was made so that no model learns it from its training data.
MEAN_WITHOUT_WNLI = "mean without wnli"
MEANS = (MEAN_OVER_TASKS, MEAN_WITHOUT_WNLI)


def compare(scores: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compute mean, spread and interval over seeds of every model and of every difference that answers a question.

    The value of a task under one seed is the mean of its metrics, averaged over its splits, in points (x 100). The mean
    over tasks is taken within each seed, and exists for seeds that have every task of the study. Differences are taken
    within each seed. Intervals are Student's, two-sided. An undefined score (NaN) counts as missing. Where there is the
    task wnli and others, a mean without it follows: these two are GLUE's score.

    Args:
        scores: as `collect_scores` makes it.
        confidence: of the intervals, such as 0.95.

    Returns:
        One row per task (the means last) and quantity: task, quantity, model, reference (None unless the
        quantity is the difference model - reference), mean, standard_deviation, low, high, seeds (0 for the majority
        class), confidence, is_partial (whether the task's data, or those of a task in a mean, are only a part).
        A single seed has neither standard deviation nor interval: NaN.
    """
    tables = _seed_tables(scores)
    quantities: list[tuple[str, str | None]] = [(model, None) for model in tables]
    quantities += differences(list(tables))
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
            rows.append(
                {**names, **_summary(values, confidence), "confidence": confidence, "is_partial": partial[task]}
            )
    return pd.DataFrame(rows)


def differences(models: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs (model, reference) worth a difference, of the models that a study has.

    First each variant's models by `QUESTIONS`, then each pre-trained model against the same one fine-tuned from random
    weights.
    """
    variants = dict.fromkeys(split_model_name(model)[0] for model in models)
    pretrained = [variant for variant in variants if variant not in (UNTRAINED, MAJORITY)]
    pairs = [
        (model_name(variant, role), model_name(reference, reference_role))
        for variant in pretrained
        if variant != STANDALONE
        for role, reference, reference_role in QUESTIONS
        if reference != variant
    ]
    roles = (*ROLES, "")
    pairs += [(model_name(variant, role), model_name(UNTRAINED, role)) for variant in pretrained for role in roles]
    return (pair for pair in pairs if set(pair) <= set(models))


def outcome(low: float, high: float) -> str:
    """Say what the interval of a difference says: better, worse, or undecided if it includes zero or is NaN."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"


def model_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of `compare` that are scores of models."""
    return comparison[comparison["reference"].isna()]


def difference_rows(comparison: pd.DataFrame, *reference_variants: str) -> pd.DataFrame:
    """Select the rows of `compare` that are differences from a model of one of some variants."""
    variants = comparison["reference"].fillna("").map(lambda reference: split_model_name(str(reference))[0])
    return comparison[variants.isin(reference_variants)]


def _seed_tables(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Model -> values in points, one row per seed, one column per task and one for their mean."""
    frame = scores.assign(model=model_names(scores))
    # pandas would skip an undefined metric, and so compare a mean of two metrics with a mean of one.
    per_split = frame.groupby(["model", "task", "seed", "split"], sort=False)["value"].agg(_mean_of_all)
    per_task = 100 * per_split.groupby(level=["model", "task", "seed"], sort=False).agg(_mean_of_all)
    means = _means(list(frame["task"].unique()))
    tables = {}
    for model in frame["model"].unique():
        table = per_task.loc[model].unstack("task").reindex(columns=frame["task"].unique())
        tables[model] = table.assign(**{mean: table[tasks].mean(axis=1, skipna=False) for mean, tasks in means.items()})
    return tables


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


def _summary(values: pd.Series, confidence: float) -> dict[str, float]:
    """Statistics of a value per seed; the seeds are the index."""
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
