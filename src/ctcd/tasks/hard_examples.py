"""Examples worth reading: those that both models get wrong, or one of them alone."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctcd.distillation.methods import ROLES
from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import TaskData, joined

EXAMPLES_EACH = 50
BOTH_WRONG, STUDENT_ONLY, TEACHER_ONLY = "both wrong", "only the student right", "only the teacher right"
KEYS = ["task", "split", "example"]
COLUMNS = [
    "task", "split", "kind", "example", "text", "second_text", "label",
    "teacher_prediction", "student_prediction", "teacher_right", "student_right", "confidence",
]  # fmt: skip


def hardest_examples(teacher: pd.DataFrame, student: pd.DataFrame, data: Mapping[str, TaskData]) -> pd.DataFrame:
    """Select the examples of each split and kind that the seeds agree upon most, and look up their texts.

    A number is right if it is off by less than the labels' standard deviation.

    Args:
        teacher: predictions as `score_model` makes them.
        student: likewise.
        data: the tasks, by name.

    Returns:
        At most 50 rows per task, split and kind, the most telling first: task, split, kind, example, text, second_text
        (empty for single sentences), label, teacher_prediction and student_prediction (of the first seed),
        teacher_right and student_right (shares of the seeds), confidence (of those that are wrong, over all seeds; NaN
        for regression). Labels and predictions are text, as in the task's files.
    """
    both = _seen_by(teacher, data, "teacher").merge(_seen_by(student, data, "student"), on=KEYS)
    tables = []
    for (name, split), rows in both.groupby(["task", "split"], sort=False):
        if name in data:
            tables += [_with_texts(chosen, data[str(name)], str(split)) for chosen in _kinds(rows)]
    return joined(tables, COLUMNS)


def _seen_by(predictions: pd.DataFrame, data: Mapping[str, TaskData], role: str) -> pd.DataFrame:
    """One row per example: share of seeds that are right, the first seed's prediction, confidence where wrong."""
    spread = predictions.groupby(["task", "split"])["label"].transform("std")
    is_number = predictions["task"].map(lambda name: name in data and data[name].task.regression)
    off = (predictions["label"] - predictions["prediction"]).abs()
    right = np.where(is_number, off < spread, off == 0)
    table = predictions.assign(right=right.astype(float), wrong=predictions["confidence"].where(~right))
    seen = table.groupby(KEYS, sort=False).agg(
        right=("right", "mean"), prediction=("prediction", "first"), wrong=("wrong", "mean")
    )
    return seen.add_prefix(f"{role}_").reset_index()


def _kinds(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The three kinds, each in order: first where the seeds agree most, then by confidence in what is wrong."""
    teacher, student = rows["teacher_right"] > 0.5, rows["student_right"] > 0.5
    wrong = rows[["teacher_wrong", "student_wrong"]]
    kinds = [
        (BOTH_WRONG, ~teacher & ~student, -(rows["teacher_right"] + rows["student_right"]), wrong.mean(axis=1)),
        (STUDENT_ONLY, ~teacher & student, rows["student_right"] - rows["teacher_right"], rows["teacher_wrong"]),
        (TEACHER_ONLY, teacher & ~student, rows["teacher_right"] - rows["student_right"], rows["student_wrong"]),
    ]
    return [
        rows.assign(kind=kind, agreement=agreement, confidence=confidence)[chosen]
        .sort_values(["agreement", "confidence", "example"], ascending=[False, False, True])
        .head(EXAMPLES_EACH)
        for kind, chosen, agreement, confidence in kinds
    ]


def _with_texts(rows: pd.DataFrame, data: TaskData, split: str) -> pd.DataFrame:
    examples = data.frames[split].iloc[rows["example"].to_numpy()]
    first, *second = data.task.text_columns
    labels = data.as_in_files(examples[LABEL].to_numpy())
    return rows.assign(
        text=examples[first].to_numpy(),
        second_text=examples[second[0]].to_numpy() if second else "",
        label=_named(data, labels),
        **{f"{role}_prediction": _named(data, rows[f"{role}_prediction"].to_numpy()) for role in ROLES},
    )


def _named(data: TaskData, values: np.ndarray) -> list[str]:
    """Labels as they stand in the files, as text."""
    if data.task.regression:
        return [f"{value:.3f}" for value in values]
    is_text = isinstance(data.classes[0], str)
    return [str(data.classes[int(value)]) if is_text else str(int(value)) for value in values]
