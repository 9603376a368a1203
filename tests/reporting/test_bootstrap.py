import numpy as np
import pandas as pd
import pytest

from ctcd.reporting.bootstrap import bootstrap_differences
from ctcd.reporting.statistics import MEAN_OVER_TASKS
from ctcd.tasks.metrics import METRICS, resampled


@pytest.mark.parametrize("metric", METRICS)
def test_a_resampled_metric_is_the_metric_of_the_examples_drawn(metric):
    random = np.random.default_rng(3)
    if METRICS[metric].for_numbers:
        labels = random.integers(0, 11, 80) / 2  # ties
        predictions = np.round(labels + random.normal(0, 2, 80), 1)
    else:
        labels = random.integers(0, 2 if metric == "f1" else 5, 80).astype(float)
        predictions = np.where(random.random(80) < 0.6, labels, random.integers(0, 2 if metric == "f1" else 5, 80))
    drawn = random.integers(0, 80, (20, 80))
    counts = np.stack([np.bincount(row, minlength=80) for row in drawn]).astype(float)
    expected = [METRICS[metric](labels[row], predictions[row]) for row in drawn]
    assert resampled(metric, labels, predictions, counts) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ["matthews", "pearson", "spearman", "f1"])
def test_constant_predictions_score_as_they_do_elsewhere(metric):
    labels, predictions = np.array([0.0, 1.0, 1.0, 0.0]), np.zeros(4)
    assert resampled(metric, labels, predictions, np.ones((1, 4))) == [0.0]


def table(task, right_shares, examples=400, first_seed=0):
    """Predictions that are right on a share of the examples, one share per seed."""
    labels = np.arange(examples) % 2
    tables = []
    for seed, share in enumerate(right_shares, start=first_seed):
        is_right = np.random.default_rng(seed).permutation(examples) < share * examples
        tables.append(
            pd.DataFrame(
                {
                    "task": task,
                    "split": "validation",
                    "seed": seed,
                    "example": range(examples),
                    "label": labels.astype(float),
                    "prediction": np.where(is_right, labels, 1 - labels).astype(float),
                }
            )
        )
    return pd.concat(tables)


def difference(model, reference, tasks=("rte",), metrics=("accuracy",)):
    predictions = {"a": model, "b": reference}
    return bootstrap_differences(predictions, dict.fromkeys(tasks, metrics), [("a", "b")], 0.95)


def test_the_difference_is_the_observed_one_and_lies_in_its_interval():
    row = difference(table("rte", [0.8, 0.8]), table("rte", [0.7, 0.7])).iloc[0]
    assert row["difference"] == pytest.approx(10)
    assert 0 < row["low"] < 10 < row["high"]
    assert row["better"] > 0.99
    assert (row["seeds"], row["examples"]) == (2, 400)


def test_a_model_is_level_with_itself():
    model = table("rte", [0.8, 0.6])
    row = difference(model, model).iloc[0]
    assert row[["difference", "low", "high", "better"]].tolist() == [0, 0, 0, 0.5]


def test_one_seed_has_the_interval_of_the_examples_alone():
    """Of a difference of two paired proportions, the interval has a formula."""
    model, reference = table("rte", [0.8]), table("rte", [0.7])
    gain = (model["label"] == model["prediction"]).astype(float) - (reference["label"] == reference["prediction"])
    half = 100 * 1.96 * gain.std() / np.sqrt(len(gain))
    row = difference(model, reference).iloc[0]
    assert (row["high"] - row["low"]) / 2 == pytest.approx(half, rel=0.1)


def test_seeds_that_differ_widen_the_interval():
    def width(shares):
        row = difference(table("rte", shares), table("rte", [0.7, 0.7])).iloc[0]
        return row["high"] - row["low"]

    assert width([0.9, 0.5]) > 2 * width([0.7, 0.7])


def test_the_mean_over_tasks_comes_last_and_only_common_tasks_and_seeds_count():
    model = pd.concat([table("rte", [0.8, 0.8]), table("cola", [0.6, 0.6]), table("wnli", [0.5])])
    reference = pd.concat([table("rte", [0.7]), table("cola", [0.6, 0.6])])
    found = difference(model, reference, tasks=("rte", "cola", "wnli"))
    assert found["task"].tolist() == ["rte", "cola", MEAN_OVER_TASKS]
    assert found["difference"].tolist() == pytest.approx([10, 0, 5])
    assert found["seeds"].tolist() == [1, 2, 1]


def test_the_same_call_gives_the_same_intervals():
    model, reference = table("rte", [0.8, 0.7]), table("rte", [0.7, 0.6])
    pd.testing.assert_frame_equal(difference(model, reference), difference(model, reference))
