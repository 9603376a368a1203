"""Predictions of a task's fine-tunings as rows of long tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctcd.finetuning.finetune import Predictions
from ctcd.tasks.metrics import score
from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import TaskData, joined

SCORE_COLUMNS = ["task", "split", "seed", "metric", "value", "examples", "is_partial"]
TEST_COLUMNS = ["task", "split", "seed", "example", "prediction", "confidence"]
PREDICTION_COLUMNS = ["task", "split", "seed", "example", "label", "prediction", "confidence"]
FAILURE_COLUMNS = ["task", "seed", "reason"]

Results = Mapping[int, Mapping[str, Predictions]]


def score_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """All metrics of all seeds on the validation splits."""
    rows = []
    for seed in sorted(results):
        for split in data.task.validation_splits:
            labels = data.frames[split][LABEL].to_numpy()
            for metric, value in score(data.task, labels, results[seed][split].values).items():
                rows.append((data.task.name, split, seed, metric, value, len(labels), data.is_partial))
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def prediction_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """Every example of the validation splits under every seed."""
    tables = []
    for seed in sorted(results):
        for split in data.task.validation_splits:
            labels = data.as_in_files(data.frames[split][LABEL].to_numpy())
            tables.append(_rows(data, data.task.name, split, seed, results[seed][split]).assign(label=labels))
    return joined(tables, PREDICTION_COLUMNS)


def test_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """Every example of the test splits; another task's, predicted along with this one's, stand under its name."""
    tables = []
    for seed in sorted(results):
        for split in data.test_splits:
            if split in results[seed]:
                tables.append(_rows(data, *data.origin(split), seed, results[seed][split]))
    return joined(tables, TEST_COLUMNS)


def main_values(scores: pd.DataFrame) -> pd.DataFrame:
    """One value a task and seed: the mean over the task's metrics and validation splits.

    Args:
        scores: long table with the columns task, split, seed, metric and value.

    Returns:
        A table with the columns task, seed and value, tasks in their order of appearance.
    """
    return scores.groupby(["task", "seed"], sort=False)["value"].mean().reset_index()


def _rows(data: TaskData, task: str, split: str, seed: int, predictions: Predictions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": task,
            "split": split,
            "seed": seed,
            "example": np.arange(len(predictions.values)),
            "prediction": data.as_in_files(predictions.values),
            "confidence": np.nan if predictions.confidences is None else predictions.confidences,
        }
    )
