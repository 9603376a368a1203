"""Metrics as GLUE defines them. A new one is one entry of `METRICS`.

Settings are checked against their names, so the libraries that compute them are imported when they are needed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctcd.tasks import resampled_metrics
from ctcd.tasks.resampled_metrics import Numbers
from ctcd.tasks.tasks import Task

Values = NDArray[np.generic]


def matthews(labels: Values, predictions: Values) -> float:
    """Matthews correlation; 0 if either side is constant."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(labels, predictions))


def accuracy(labels: Values, predictions: Values) -> float:
    """Share of equal labels."""
    return float(np.mean(labels == predictions))


def f1(labels: Values, predictions: Values) -> float:
    """F1 of class 1; 0 if it is never predicted."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, pos_label=1, average="binary", zero_division=0))


def macro_f1(labels: Values, predictions: Values) -> float:
    """Mean of the F1 of every class that occurs among labels or predictions."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions, average="macro", zero_division=0))


def pearson(labels: Values, predictions: Values) -> float:
    """Linear correlation; 0 if either side is constant."""
    from scipy.stats import pearsonr

    return 0.0 if _is_constant(labels, predictions) else float(pearsonr(labels, predictions)[0])


def spearman(labels: Values, predictions: Values) -> float:
    """Rank correlation; 0 if either side is constant."""
    from scipy.stats import spearmanr

    return 0.0 if _is_constant(labels, predictions) else float(spearmanr(labels, predictions)[0])


@dataclass(frozen=True)
class Metric:
    """How well predictions agree with labels.

    Attributes:
        value: of (examples,) labels and predictions.
        resampled: the same for many resamples at once: (examples,) labels and predictions, (resamples, examples) counts
            of how often each example was drawn, to (resamples,) values.
        for_numbers: whether it is for regression; else it is for classes.
        most_classes: that it is defined for; None for any number.
    """

    value: Callable[[Values, Values], float]
    resampled: Callable[[Numbers, Numbers, Numbers], Numbers]
    for_numbers: bool = False
    most_classes: int | None = None

    def __call__(self, labels: Values, predictions: Values) -> float:
        """The value."""
        return self.value(labels, predictions)


METRICS: dict[str, Metric] = {
    "matthews": Metric(matthews, resampled_metrics.matthews),
    "accuracy": Metric(accuracy, resampled_metrics.accuracy),
    "f1": Metric(f1, resampled_metrics.f1, most_classes=2),
    "macro_f1": Metric(macro_f1, resampled_metrics.macro_f1),
    "pearson": Metric(pearson, resampled_metrics.pearson, for_numbers=True),
    "spearman": Metric(spearman, resampled_metrics.spearman, for_numbers=True),
}


def score(task: Task, labels: Values, predictions: Values) -> dict[str, float]:
    """All metrics of a task.

    Args:
        task: says which metrics.
        labels: (examples,) classes, or numbers for regression.
        predictions: (examples,) of the same kind.
    """
    return {name: METRICS[name](labels, predictions) for name in task.metrics}


def resampled(metric: str, labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Compute a metric for every resample.

    Args:
        metric: its name.
        labels: (examples,).
        predictions: (examples,).
        counts: (resamples, examples).

    Returns:
        (resamples,) values.
    """
    return METRICS[metric].resampled(labels, predictions, counts)


def _is_constant(*values: Values) -> bool:
    return any(np.ptp(side.astype(float)) == 0.0 for side in values)
