"""Predictions of a task's fine-tunings as rows of long tables."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ctcd.finetuning.finetune import Predictions
from ctcd.tasks.metrics import score
from ctcd.tasks.suite import LABEL, TaskData

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
            labels = as_in_files(data, data.frames[split][LABEL].to_numpy())
            tables.append(_rows(data, data.task.name, split, seed, results[seed][split]).assign(label=labels))
    return joined(tables, PREDICTION_COLUMNS)


def test_rows(data: TaskData, results: Results) -> pd.DataFrame:
    """Every example of the test splits; another task's, predicted along with this one's, stand under its name.

    Such a split is called `<task>/<split>` in `data`, see `read_tasks`.
    """
    tables = []
    for seed in sorted(results):
        for split in data.test_splits:
            if split in results[seed]:
                other, _, own_split = split.rpartition("/")
                tables.append(_rows(data, other or data.task.name, own_split, seed, results[seed][split]))
    return joined(tables, TEST_COLUMNS)


def as_in_files(data: TaskData, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Turn positions in `data.classes` into the numbers that stand in the files; text keeps its position."""
    if data.task.regression or isinstance(data.classes[0], str):
        return values.astype(np.float64)
    return np.asarray(data.classes, np.float64)[values.astype(np.int64)]


def joined(tables: Iterable[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Put tables with some columns below each other; none give an empty one."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True)[list(columns)] if filled else pd.DataFrame(columns=list(columns))


def _rows(data: TaskData, task: str, split: str, seed: int, predictions: Predictions) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": task,
            "split": split,
            "seed": seed,
            "example": np.arange(len(predictions.values)),
            "prediction": as_in_files(data, predictions.values),
            "confidence": np.nan if predictions.confidences is None else predictions.confidences,
        }
    )
