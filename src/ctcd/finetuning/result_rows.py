"""Predictions of a task's fine-tunings as rows of long tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctcd.finetuning.finetune import Predictions
from ctcd.tasks.calibration import squared_errors
from ctcd.tasks.metrics import score
from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import TaskData, joined

SCORE_COLUMNS = ["task", "split", "seed", "metric", "value", "examples", "is_partial"]
TEST_COLUMNS = ["task", "split", "seed", "example", "prediction", "confidence"]
PREDICTION_COLUMNS = ["task", "split", "seed", "example", "label", "prediction", "confidence", "brier_score"]
FURTHER_COLUMNS = ["task", "test_set", *PREDICTION_COLUMNS[1:]]
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
    splits = data.task.validation_splits
    tables = [_labelled_rows(data, split, seed, results[seed][split]) for seed in sorted(results) for split in splits]
    return joined(tables, PREDICTION_COLUMNS)


def further_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """Every example of the further splits under every seed."""
    tables = [
        _labelled_rows(data, split, seed, results[seed][split]).assign(test_set=test_set)
        for seed in sorted(results)
        for split, test_set in data.further.items()
    ]
    return joined(tables, FURTHER_COLUMNS)


def test_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """Every example of the splits with hidden labels."""
    tables = []
    for seed in sorted(results):
        for split in data.hidden_splits:
            if split in results[seed]:
                tables.append(_rows(data, split, seed, results[seed][split]))
    return joined(tables, TEST_COLUMNS)


def main_values(scores: pd.DataFrame) -> pd.DataFrame:
    """One value a task and seed: the mean over the task's metrics and validation splits.

    Args:
        scores: long table with the columns task, split, seed, metric and value.

    Returns:
        A table with the columns task, seed and value, tasks in their order of appearance.
    """
    return scores.groupby(["task", "seed"], sort=False)["value"].mean().reset_index()


def _labelled_rows(data: TaskData, split: str, seed: int, predictions: Predictions) -> pd.DataFrame:
    labels = data.frames[split][LABEL].to_numpy()
    errors = np.nan if predictions.probabilities is None else squared_errors(labels, predictions.probabilities)
    rows = _rows(data, split, seed, predictions)
    return rows.assign(label=data.as_in_files(labels), brier_score=errors)


def _rows(data: TaskData, split: str, seed: int, predictions: Predictions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": data.task.name,
            "split": split,
            "seed": seed,
            "example": np.arange(len(predictions.values)),
            "prediction": data.as_in_files(predictions.values),
            "confidence": np.nan if predictions.confidences is None else predictions.confidences,
        }
    )
