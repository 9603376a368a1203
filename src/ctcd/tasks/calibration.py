"""Whether a classifier knows when it is wrong: closed forms of labels and probabilities."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
BINS = 15
COVERAGE = 0.8


def expected_calibration_error(correct: NDArray[np.bool_], confidences: Numbers) -> float:
    """Mean distance of accuracy and confidence over bins of equal width, each weighted by its examples.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 5, with 15 bins.

    Args:
        correct: (examples,) whether the predicted class is the label.
        confidences: (examples,) its probability.
    """
    bins = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)  # (0, 1/15], (1/15, 2/15], ...
    gaps = np.bincount(bins, correct - confidences, BINS)
    return float(np.abs(gaps).sum() / len(correct))


def squared_errors(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Numbers:
    """Each example's squared distance to the certain and right answer, from 0 to 2; the mean is the Brier score.

    Brier 1950, "Verification of Forecasts Expressed in Terms of Probability", equation 2.

    Args:
        labels: (examples,).
        probabilities: (examples, classes).
    """
    wide = probabilities.astype(np.float64)
    of_label = np.take_along_axis(wide, labels[:, None], axis=1)[:, 0]
    errors: Numbers = 1 - 2 * of_label + (wide**2).sum(axis=1)
    return errors


def selective_accuracy(correct: NDArray[np.bool_], confidences: Numbers, coverage: float = COVERAGE) -> float:
    """Accuracy on the most confident share of the examples; of equally confident ones it is the expected accuracy.

    Args:
        correct: (examples,) whether the predicted class is the label.
        confidences: (examples,) its probability.
        coverage: the share.
    """
    kept = max(1, round(coverage * len(correct)))
    return float(_most_confident_first(correct, confidences)[:kept].mean())


def risk_coverage_area(correct: NDArray[np.bool_], confidences: Numbers) -> float:
    """Area under the curve of error rate against coverage: the mean, over all n, of the n most confident's error rate.

    Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", whose curve it is.

    Args:
        correct: (examples,) whether the predicted class is the label.
        confidences: (examples,) its probability.
    """
    hits = _most_confident_first(correct, confidences).cumsum()
    return float(1 - (hits / np.arange(1, len(hits) + 1)).mean())


def _most_confident_first(correct: NDArray[np.bool_], confidences: Numbers) -> Numbers:
    """Whether each is right, the most confident first; equally confident ones share their mean."""
    _, group, sizes = np.unique(-confidences, return_inverse=True, return_counts=True)
    means = np.bincount(group, correct) / sizes
    shared: Numbers = np.repeat(means, sizes)
    return shared
