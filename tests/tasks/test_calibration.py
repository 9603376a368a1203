import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from ctcd.tasks.calibration import (
    BINS,
    expected_calibration_error,
    risk_coverage_area,
    selective_accuracy,
    squared_errors,
)

RANDOM = np.random.default_rng(0)
CONFIDENCES = RANDOM.uniform(0.3, 1.0, 400)
CORRECT = RANDOM.uniform(size=400) < CONFIDENCES**2


def test_the_calibration_error_of_two_bins_by_hand():
    correct = np.array([True, False, True, True])
    confidences = np.array([0.62, 0.66, 0.95, 1.0])
    # bin (9/15, 10/15]: accuracy 1/2, confidence 0.64; bin (14/15, 1]: accuracy 1, confidence 0.975
    assert expected_calibration_error(correct, confidences) == pytest.approx(0.5 * 0.14 + 0.5 * 0.025)


def test_the_calibration_error_is_that_of_a_plain_loop():
    expected = 0.0
    bins = np.digitize(CONFIDENCES, np.arange(1, BINS) / BINS, right=True)
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            expected += inside.mean() * abs(CORRECT[inside].mean() - CONFIDENCES[inside].mean())
    assert expected_calibration_error(CORRECT, CONFIDENCES) == pytest.approx(expected)


def test_certainty_that_is_always_right_has_no_calibration_error_and_that_is_always_wrong_has_all():
    assert expected_calibration_error(np.ones(5, bool), np.ones(5)) == 0
    assert expected_calibration_error(np.zeros(5, bool), np.ones(5)) == 1


def test_squared_errors_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert squared_errors(np.array([0, 1, 2]), probabilities).tolist() == pytest.approx([0.09 + 0.04 + 0.01, 0.0, 2.0])


def test_squared_errors_of_two_classes_are_twice_scikit_learns_brier_score():
    positive = RANDOM.uniform(size=100)
    labels = RANDOM.integers(0, 2, 100)
    found = squared_errors(labels, np.stack([1 - positive, positive], axis=1)).mean()
    assert found == pytest.approx(2 * brier_score_loss(labels, positive))


def test_half_precision_is_enough_for_the_brier_score():
    logits = RANDOM.normal(size=(300, 151)) * 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = RANDOM.integers(0, 151, 300)
    exact = squared_errors(labels, probabilities)
    assert squared_errors(labels, probabilities.astype(np.float16)) == pytest.approx(exact, abs=2e-3)


def test_selective_accuracy_is_that_of_the_most_confident_examples():
    correct = np.array([True, False, True, True, False])
    confidences = np.array([0.9, 0.5, 0.8, 0.7, 0.6])
    assert selective_accuracy(correct, confidences, coverage=0.8) == 3 / 4
    assert selective_accuracy(correct, confidences, coverage=0.6) == 1.0
    assert selective_accuracy(correct, confidences, coverage=1.0) == correct.mean()


def test_equally_confident_examples_count_alike_whatever_their_order():
    correct = np.array([True] * 5 + [False] * 5)
    same = np.full(10, 0.8)
    for order in (slice(None), slice(None, None, -1)):
        assert selective_accuracy(correct[order], same) == 0.5
        assert risk_coverage_area(correct[order], same) == pytest.approx(0.5)


def test_the_area_under_the_risk_coverage_curve_is_the_mean_of_its_points():
    order = np.argsort(-CONFIDENCES)
    wrong = ~CORRECT[order]
    expected = np.mean([wrong[:kept].mean() for kept in range(1, len(wrong) + 1)])
    assert risk_coverage_area(CORRECT, CONFIDENCES) == pytest.approx(expected)


def test_a_model_that_knows_its_errors_has_the_smallest_area():
    perfect = risk_coverage_area(CORRECT, CORRECT.astype(float))
    assert perfect < risk_coverage_area(CORRECT, CONFIDENCES) < risk_coverage_area(CORRECT, -CONFIDENCES)
