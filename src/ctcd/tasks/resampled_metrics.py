"""The metrics of `ctcd.tasks.metrics` on many resamples of the same examples at once.

A resample is a row of counts: how often each example was drawn. Every function takes (examples,) labels and
predictions and (resamples, examples) counts, and gives (resamples,) values.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Cells:
    """What the metrics of classes need of the confusion matrices.

    Attributes:
        correct: (resamples, classes) examples of a class that were predicted as it.
        labelled: (resamples, classes) examples of a class.
        predicted: (resamples, classes) examples predicted as it.
        second_class: position of the second class that occurs among the labels.
    """

    correct: Numbers
    labelled: Numbers
    predicted: Numbers
    second_class: int

    @classmethod
    def of(cls, labels: Numbers, predictions: Numbers, counts: Numbers) -> "_Cells":
        classes = np.unique(np.concatenate([labels, predictions]))
        right = labels == predictions
        second = np.unique(labels)[-1 if len(np.unique(labels)) < 2 else 1]
        return cls(
            correct=_sums(labels[right], classes, counts[:, right]),
            labelled=_sums(labels, classes, counts),
            predicted=_sums(predictions, classes, counts),
            second_class=int(np.searchsorted(classes, second)),
        )

    @property
    def f1(self) -> Numbers:
        """(resamples, classes) F1; NaN for a class that is neither labelled nor predicted."""
        with np.errstate(invalid="ignore"):
            return 2 * self.correct / (self.labelled + self.predicted)


def _sums(values: Numbers, classes: Numbers, counts: Numbers) -> Numbers:
    """(resamples, classes): the counts of the examples of each class."""
    return counts @ (values[:, None] == classes).astype(np.float64)


def accuracy(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Share of equal labels."""
    cells = _Cells.of(labels, predictions, counts)
    return cells.correct.sum(1) / cells.labelled.sum(1)


def f1(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """F1 of the second class."""
    cells = _Cells.of(labels, predictions, counts)
    return np.nan_to_num(cells.f1[:, cells.second_class])


def macro_f1(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Mean of the F1 of every class that occurs among labels or predictions."""
    return np.nanmean(_Cells.of(labels, predictions, counts).f1, axis=1)


def matthews(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Matthews correlation; 0 if either side is constant."""
    cells = _Cells.of(labels, predictions, counts)
    total = cells.labelled.sum(1)
    covariance = cells.correct.sum(1) * total - (cells.labelled * cells.predicted).sum(1)
    spread = (total**2 - (cells.labelled**2).sum(1)) * (total**2 - (cells.predicted**2).sum(1))
    return np.divide(covariance, np.sqrt(spread), out=np.zeros_like(covariance), where=spread > 0)


def pearson(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Linear correlation; 0 if either side is constant."""
    return _correlation(labels - labels.mean(), predictions - predictions.mean(), counts)


def spearman(labels: Numbers, predictions: Numbers, counts: Numbers) -> Numbers:
    """Rank correlation; 0 if either side is constant."""
    return _correlation(_ranks(labels, counts), _ranks(predictions, counts), counts)


def _correlation(left: Numbers, right: Numbers, counts: Numbers) -> Numbers:
    """(resamples,) correlations of two sides, each (examples,) or (resamples, examples)."""
    total = counts.sum(1, keepdims=True)
    left = left - (counts * left).sum(1, keepdims=True) / total
    right = right - (counts * right).sum(1, keepdims=True) / total
    spread = (counts * left**2).sum(1) * (counts * right**2).sum(1)
    covariance = (counts * left * right).sum(1)
    return np.divide(covariance, np.sqrt(spread), out=np.zeros_like(covariance), where=spread > 0)


def _ranks(values: Numbers, counts: Numbers) -> Numbers:
    """(resamples, examples) average ranks of the examples in each resample."""
    order = np.argsort(values, kind="stable")
    _, starts, group = np.unique(values[order], return_index=True, return_inverse=True)
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks = np.empty_like(counts)
    ranks[:, order] = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]
    return ranks
