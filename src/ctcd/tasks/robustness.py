"""How well fine-tuned models do on further test sets, and whether they know when they are wrong."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctcd.tasks import calibration
from ctcd.tasks.metrics import score
from ctcd.tasks.settings import UNCHANGED
from ctcd.tasks.tasks import Task

MODEL = ["run", "pretraining_seed", "role"]
COLUMNS = ["task", "test_set", "split", "seed", "measure", "value", "examples"]


def measure_robustness(predictions: pd.DataFrame, further: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Measure every fine-tuned model on every test set.

    Args:
        predictions: of the validation splits, as `score_models` makes them; run, pretraining_seed and role may stand
            before.
        further: of the further splits, likewise.
        tasks: that are predicted.

    Returns:
        run, pretraining_seed, role (where they are given), task, test_set (`unchanged`: the validation split), split,
        seed, measure, value (shares), examples. The measures are score (the mean of the task's metrics) and, for
        classes, calibration_error, brier_score, selective_accuracy, risk_coverage_area.
    """
    table = pd.concat([predictions.assign(test_set=UNCHANGED), further], ignore_index=True)
    keys = [*(name for name in MODEL if name in predictions), *COLUMNS[:4]]
    by_name = {task.name: task for task in tasks}
    rows = []
    for key, examples in table.groupby(keys, sort=False):
        task = by_name[str(examples["task"].iloc[0])]
        rows += [(*key, measure, value, len(examples)) for measure, value in _measures(task, examples)]
    return pd.DataFrame(rows, columns=[*keys, *COLUMNS[4:]])


def _measures(task: Task, examples: pd.DataFrame) -> Iterator[tuple[str, float]]:
    labels, predicted = examples["label"].to_numpy(float), examples["prediction"].to_numpy(float)
    if not task.regression:
        labels, predicted = _numbered(labels, predicted)
    yield "score", float(np.mean(list(score(task, labels, predicted).values())))
    if task.regression:
        return
    correct, confidences = labels == predicted, examples["confidence"].to_numpy(float)
    yield "calibration_error", calibration.expected_calibration_error(correct, confidences)
    yield "brier_score", float(examples["brier_score"].mean())
    yield "selective_accuracy", calibration.selective_accuracy(correct, confidences)
    yield "risk_coverage_area", calibration.risk_coverage_area(correct, confidences)


def _numbered(labels: NDArray[np.float64], predicted: NDArray[np.float64]) -> tuple[NDArray[np.generic], ...]:
    """Classes as 0, 1, ...: those of the files may have gaps, and F1 is that of class 1."""
    classes = np.unique([labels, predicted])
    if set(classes) <= {0, 1}:
        return labels.astype(int), predicted.astype(int)
    return np.searchsorted(classes, labels), np.searchsorted(classes, predicted)
