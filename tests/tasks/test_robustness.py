import numpy as np
import pandas as pd
import pytest

from ctcd.tasks.robustness import measure_robustness
from ctcd.tasks.tasks import Task

CLASSES = Task("topic", ("text",), ("accuracy", "macro_f1"))
NUMBERS = Task("lengths", ("text",), ("pearson", "spearman"), regression=True)


def predicted(task, labels, predictions, confidences=np.nan, seed=0, **more):
    table = pd.DataFrame({"task": task.name, "split": "validation", "seed": seed, "label": np.array(labels, float)})
    return table.assign(
        example=range(len(labels)),
        prediction=np.array(predictions, float),
        confidence=confidences,
        brier_score=0.5 if task is CLASSES else np.nan,
        **more,
    )


def values(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    return table.set_index("measure")["value"].to_dict()


def test_every_test_set_has_all_measures():
    plain = predicted(CLASSES, [0, 1, 0, 1, 1], [0, 1, 0, 1, 0], [0.9, 0.8, 0.9, 0.9, 0.6])
    typos = predicted(CLASSES, [0, 1, 0, 1, 1], [0, 0, 0, 1, 0], 0.9, test_set="typos")
    table = measure_robustness(plain, typos, [CLASSES])
    unchanged = values(table, test_set="unchanged")
    assert unchanged == pytest.approx(
        {
            "score": (4 / 5 + (4 / 5 + 4 / 5) / 2) / 2,
            "calibration_error": (0.9 * 3 - 3) / -5 + 0.2 / 5 + 0.6 / 5,
            "brier_score": 0.5,
            "selective_accuracy": 1.0,
            "risk_coverage_area": (1 / 5) / 5,
        }
    )
    assert values(table, test_set="typos")["score"] < unchanged["score"]
    assert table["examples"].unique().tolist() == [5]


@pytest.mark.parametrize("classes", [(0, 1), (2, 4), (-2, -1), (1, 2)])
def test_f1_is_that_of_the_second_class_whatever_the_files_call_it(classes):
    task = Task("own", ("text",), ("f1",))
    labels, predictions = np.take(classes, [0, 1, 1, 1, 0]), np.take(classes, [0, 1, 0, 1, 1])
    plain = predicted(task, labels, predictions, 0.9)
    table = measure_robustness(plain, plain.head(0).assign(test_set=""), [task])
    assert values(table)["score"] == pytest.approx(2 / 3)


def test_numbers_have_a_score_and_no_calibration():
    plain = predicted(NUMBERS, [1, 2, 3], [2, 4, 6])
    table = measure_robustness(plain, plain.head(0).assign(test_set=""), [NUMBERS])
    assert values(table) == pytest.approx({"score": 1.0})


def test_models_seeds_and_tasks_are_measured_apart():
    tables = [
        predicted(CLASSES, [0, 1], [0, 1], 0.9, seed=seed, run="r", pretraining_seed=pretraining_seed, role=role)
        for role in ("teacher", "student")
        for pretraining_seed in (1, 2)
        for seed in (0, 1)
    ]
    table = measure_robustness(pd.concat(tables), tables[0].assign(test_set="typos"), [CLASSES])
    counts = table[table["measure"] == "score"].groupby(["role", "pretraining_seed", "test_set"]).size()
    assert counts.to_dict() == {
        ("teacher", 1, "unchanged"): 2,
        ("teacher", 2, "unchanged"): 2,
        ("student", 1, "unchanged"): 2,
        ("student", 2, "unchanged"): 2,
        ("teacher", 1, "typos"): 1,
    }
    assert list(table.columns[:3]) == ["run", "pretraining_seed", "role"]
