import numpy as np
import pandas as pd
import pytest

from ctcd.tasks.hard_examples import hardest_examples
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import Task

TASK = Task("own", ("first", "second"), ("accuracy",))
LABELS = np.array([0, 1, 0, 1, 0])
DATA = TaskData(
    TASK,
    {
        "validation": pd.DataFrame(
            {"first": list("abcde"), "second": list("vwxyz"), "label": LABELS},
        )
    },
    ("no", "yes"),
)


def predicted(*seeds):
    """One row of predictions per seed, all with the same confidence unless given."""
    tables = []
    for seed, (values, confidence) in enumerate(seeds):
        tables.append(
            pd.DataFrame(
                {
                    "task": "own",
                    "split": "validation",
                    "seed": seed,
                    "example": range(5),
                    "label": LABELS.astype(float),
                    "prediction": np.array(values, float),
                    "confidence": confidence,
                }
            )
        )
    return pd.concat(tables)


# right by the teacher: a, b, e; by the student: a, c
TEACHER = predicted(([0, 1, 1, 0, 0], 0.9))
STUDENT = predicted(([0, 0, 0, 0, 1], 0.6))


def test_examples_are_sorted_by_who_is_right():
    found = hardest_examples(TEACHER, STUDENT, {"own": DATA})
    kinds = {kind: rows["text"].tolist() for kind, rows in found.groupby("kind")}
    assert kinds == {"both wrong": ["d"], "only the student right": ["c"], "only the teacher right": ["b", "e"]}


def test_an_example_comes_with_texts_label_and_both_predictions():
    found = hardest_examples(TEACHER, STUDENT, {"own": DATA}).set_index("text").loc["c"]
    assert found[["second_text", "label", "teacher_prediction", "student_prediction"]].tolist() == [
        "x",
        "no",
        "yes",
        "no",
    ]
    assert (found["teacher_right"], found["student_right"], found["confidence"]) == (0, 1, pytest.approx(0.9))


def test_most_of_the_seeds_decide_and_where_they_agree_comes_first():
    teacher = predicted(([0, 1, 1, 0, 0], 0.9), ([1, 1, 1, 0, 0], 0.9), ([0, 0, 1, 0, 0], 0.9))
    student = predicted(*[([1, 0, 0, 0, 1], 0.6)] * 3)
    found = hardest_examples(teacher, student, {"own": DATA})
    assert found.loc[found["kind"] == "only the teacher right", "text"].tolist() == ["e", "a", "b"]


def test_a_number_is_right_if_it_is_off_by_less_than_the_labels_spread():
    task = Task("lengths", ("text",), ("pearson",), regression=True)
    labels = np.array([0.0, 1.0, 2.0, 3.0])
    data = TaskData(task, {"validation": pd.DataFrame({"text": list("abcd"), "label": labels})}, ())

    def table(values):
        return pd.DataFrame(
            {"task": "lengths", "split": "validation", "seed": 0, "example": range(4), "label": labels}
        ).assign(prediction=values, confidence=np.nan)

    found = hardest_examples(table([0.1, 1.2, 2.0, 3.0]), table([0.1, 5.0, 2.0, 0.0]), {"lengths": data})
    assert found[["kind", "text"]].to_numpy().tolist() == [
        ["only the teacher right", "b"],
        ["only the teacher right", "d"],
    ]
