"""Metrics as GLUE defines them."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from ctcd.finetuning.finetune import Predictions
from ctcd.tasks.suite import LABEL, TaskData
from ctcd.tasks.tasks import Task

Values = NDArray[np.generic]


def matthews(labels: Values, predictions: Values) -> float:
    """Matthews correlation; 0 if either side is constant."""
    return float(matthews_corrcoef(labels, predictions))


def accuracy(labels: Values, predictions: Values) -> float:
    """Share of equal labels."""
    return float(accuracy_score(labels, predictions))


def f1(labels: Values, predictions: Values) -> float:
    """F1 of class 1; 0 if it is never predicted."""
    return float(f1_score(labels, predictions, pos_label=1, average="binary", zero_division=0))


def macro_f1(labels: Values, predictions: Values) -> float:
    """Mean of the F1 of every class that occurs among labels or predictions."""
    return float(f1_score(labels, predictions, average="macro", zero_division=0))


def pearson(labels: Values, predictions: Values) -> float:
    """Linear correlation; 0 if either side is constant."""
    return 0.0 if _is_constant(labels, predictions) else float(stats.pearsonr(labels, predictions)[0])


def spearman(labels: Values, predictions: Values) -> float:
    """Rank correlation; 0 if either side is constant."""
    return 0.0 if _is_constant(labels, predictions) else float(stats.spearmanr(labels, predictions)[0])


METRICS: Mapping[str, Callable[[Values, Values], float]] = {
    "matthews": matthews,
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "pearson": pearson,
    "spearman": spearman,
}


def score(task: Task, labels: Values, predictions: Values) -> dict[str, float]:
    """All metrics of a task.

    Args:
        task: says which metrics.
        labels: (examples,) classes, or numbers for regression.
        predictions: (examples,) of the same kind.
    """
    return {name: METRICS[name](labels, predictions) for name in task.metrics}


def majority_class(data: TaskData) -> dict[str, Predictions]:
    """Predict all validation splits by the most frequent training class (regression: by the training mean)."""
    train = data.frames["train"][LABEL].to_numpy()
    if data.task.regression:
        constant = np.mean(train)
    else:
        classes, counts = np.unique(train, return_counts=True)
        constant = classes[counts.argmax()]
    return {
        split: Predictions(np.full(len(data.frames[split]), constant), None) for split in data.task.validation_splits
    }


def main_values(scores: pd.DataFrame) -> pd.DataFrame:
    """One value a task and seed: the mean over the task's metrics and validation splits.

    Args:
        scores: long table with the columns task, split, seed, metric and value.

    Returns:
        A table with the columns task, seed and value, tasks in their order of appearance.
    """
    return scores.groupby(["task", "seed"], sort=False)["value"].mean().reset_index()


def _is_constant(*values: Values) -> bool:
    return any(np.ptp(side.astype(float)) == 0.0 for side in values)
