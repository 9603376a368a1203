import numpy as np
import pandas as pd
import pytest

from ctcd.finetuning.result_rows import main_values
from ctcd.finetuning.scoring import majority_class
from ctcd.tasks.metrics import METRICS, Metric, resampled, score
from ctcd.tasks.settings import ExtraTaskParameters
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import GLUE, Task

RANDOM = np.random.default_rng(7)


def counts(labels, predictions):
    """True and false positives and negatives, counted one by one."""
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))
    return [pairs.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0))]


def correlation(left, right):
    left, right = left - left.mean(), right - right.mean()
    return (left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum())


def ranks(values):
    """Average ranks, by definition."""
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])


@pytest.fixture(params=range(5))
def classes(request):
    random = np.random.default_rng(request.param)
    labels = random.integers(0, 2, 200)
    return labels, np.where(random.random(200) < 0.7, labels, 1 - labels)


def test_matthews_is_the_formula_of_the_four_counts(classes):
    tp, fp, fn, tn = counts(*classes)
    expected = (tp * tn - fp * fn) / np.sqrt(float((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    assert score(GLUE["cola"], *classes) == {"matthews": pytest.approx(expected, abs=1e-12)}


def test_accuracy_and_f1_are_the_formulas_of_the_four_counts(classes):
    tp, fp, fn, tn = counts(*classes)
    expected = {"accuracy": (tp + tn) / 200, "f1": 2 * tp / (2 * tp + fp + fn)}
    assert score(GLUE["mrpc"], *classes) == pytest.approx(expected, abs=1e-12)


def test_pearson_and_spearman_are_the_correlations_of_values_and_of_average_ranks():
    labels = RANDOM.integers(0, 11, 300) / 2  # many ties, as in STS-B
    predictions = labels + RANDOM.normal(0, 1, 300)
    expected = {
        "pearson": correlation(labels, predictions),
        "spearman": correlation(ranks(labels), ranks(predictions)),
    }
    assert score(GLUE["stsb"], labels, predictions) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("task", ["cola", "stsb"])
def test_constant_predictions_score_zero(task):
    labels = np.arange(10) % 2 + (0.0 if task == "stsb" else 0)
    assert set(score(GLUE[task], labels, np.zeros(10, labels.dtype)).values()) == {0.0}


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_the_mean_of_the_formula_of_every_class(seed):
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, 6, 300), random.integers(0, 7, 300)
    per_class = []
    for each in range(7):
        tp, fp, fn, _ = counts((labels == each).astype(int), (predictions == each).astype(int))
        per_class.append(2 * tp / (2 * tp + fp + fn))
    assert METRICS["macro_f1"](labels, predictions) == pytest.approx(np.mean(per_class), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_matthews_of_several_classes_is_the_correlation_of_their_indicators(seed):
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, 3, 300), random.integers(0, 3, 300)

    def covariance(left, right):
        left, right = np.eye(3)[left], np.eye(3)[right]
        return ((left - left.mean(0)) * (right - right.mean(0))).sum()

    expected = covariance(labels, predictions) / np.sqrt(
        covariance(labels, labels) * covariance(predictions, predictions)
    )
    assert METRICS["matthews"](labels, predictions) == pytest.approx(expected, abs=1e-12)


def test_a_metric_is_one_entry(monkeypatch):
    always = Metric(lambda labels, predictions: 0.5, lambda labels, predictions, counts: np.full(len(counts), 0.5))
    monkeypatch.setitem(METRICS, "half", always)
    settings = ExtraTaskParameters(text_columns="sentence", metrics="half")
    task = Task("own", ("sentence",), tuple(settings.metrics), classes=2)
    assert score(task, np.arange(2), np.arange(2)) == {"half": 0.5}
    assert resampled("half", np.arange(2.0), np.arange(2.0), np.ones((3, 2))).tolist() == [0.5] * 3


def test_majority_class_is_the_one_of_the_training_labels():
    def scores(name, train, labels):
        frames = {"train": pd.DataFrame({"label": train}), "validation": pd.DataFrame({"label": labels})}
        predictions = majority_class(TaskData(GLUE[name], frames, (0, 1)))["validation"]
        return score(GLUE[name], np.array(labels), predictions.values)

    assert scores("mrpc", [0, 0, 1], [1, 1, 1, 0]) == {"accuracy": 0.25, "f1": 0.0}
    assert scores("mrpc", [0, 1, 1], [1, 1, 1, 0]) == {"accuracy": 0.75, "f1": pytest.approx(6 / 7)}
    assert scores("stsb", [1.0, 2.0], [0.0, 5.0, 1.0])["pearson"] == 0.0


def test_the_main_value_is_the_mean_over_metrics_and_splits():
    scores = pd.DataFrame(
        [
            ("mrpc", "validation", 0, "accuracy", 0.6),
            ("mrpc", "validation", 0, "f1", 0.8),
            ("mrpc", "validation", 1, "accuracy", 0.5),
            ("mrpc", "validation", 1, "f1", 0.5),
            ("mnli", "validation_matched", 0, "accuracy", 0.3),
            ("mnli", "validation_mismatched", 0, "accuracy", 0.4),
        ],
        columns=["task", "split", "seed", "metric", "value"],
    )
    main = main_values(scores)
    assert main[["task", "seed"]].to_numpy().tolist() == [["mrpc", 0], ["mrpc", 1], ["mnli", 0]]
    assert main["value"].tolist() == pytest.approx([0.7, 0.5, 0.35])
