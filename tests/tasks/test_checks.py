import pandas as pd
import pytest

from ctcd.tasks.checks import check_tasks
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import Task


def task_data(train, validation, columns=("text",), classes=("no", "yes", "maybe"), regression=False):
    """Rows are the texts and the label."""
    task = Task("own", columns, ("accuracy",), regression=regression)
    frames = {
        split: pd.DataFrame(rows, columns=[*columns, "label"])
        for split, rows in (("train", train), ("validation", validation))
    }
    return TaskData(task, frames, () if regression else classes)


def found(data):
    table = check_tasks([data])
    return table[["split", "problem", "examples", "of", "which"]].to_numpy().tolist()


def test_nothing_is_said_of_examples_without_problems(caplog):
    assert check_tasks([task_data([("a", 0), ("b", 1)], [("c", 1)])]).empty
    assert not caplog.messages


def test_a_class_that_only_validation_has_is_counted_and_named():
    data = task_data([("a", 0), ("b", 1)], [("c", 2), ("d", 2), ("e", 0)])
    assert found(data) == [["validation", "of a class that train lacks", 2, 3, "class maybe"]]


def test_numbers_that_train_lacks_are_no_unknown_classes():
    assert found(task_data([("a", 0.5)], [("b", 0.7)], regression=True)) == []


def test_empty_texts_are_counted_in_either_text_of_a_pair():
    data = task_data([("a", " ", 0), ("b", "c", 1), ("", "d", 1)], [("e", "f", 0)], columns=("first", "second"))
    assert found(data) == [["train", "with an empty text", 2, 3, "rows 0, 2"]]


def test_repeated_rows_are_counted_within_train_and_between_train_and_validation():
    data = task_data([("a", 0), ("a", 1), ("b", 1)], [("b", 0), ("c", 0)])
    assert found(data) == [
        ["train", "a repetition within the split", 1, 3, "row 1"],
        ["validation", "also in train", 1, 2, "row 0"],
    ]


def test_a_pair_is_repeated_only_if_both_texts_are():
    data = task_data([("a", "b", 0), ("a", "c", 1)], [("c", "a", 0)], columns=("first", "second"))
    assert found(data) == []


def test_a_task_is_one_warning_however_much_is_wrong_with_it(caplog):
    check_tasks([task_data([(text, 0) for text in "aaaaaaaaab"], [("", 1)])])
    (line,) = caplog.messages
    assert line == (
        "own: 8 of 10 examples of train are a repetition within the split (rows 1, 2, 3, 4, 5 and 3 more); "
        "1 of 1 examples of validation come with an empty text (row 0); "
        "1 of 1 examples of validation are of a class that train lacks (class yes)"
    )


@pytest.mark.real_data
def test_real_validation_rows_that_are_also_in_train_are_found(real_data):
    from ctcd.tasks.files import FolderSuite
    from ctcd.tasks.tasks import GLUE

    table = check_tasks([FolderSuite(real_data / "glue").read(GLUE["mrpc"])])
    train, validation = (
        pd.read_parquet(real_data / "glue" / "mrpc" / f"{split}.parquet") for split in ("train", "validation")
    )
    columns = ["sentence1", "sentence2"]
    expected = validation[columns].merge(train[columns].drop_duplicates(), on=columns)
    counts = table[table["problem"] == "also in train"]["examples"]
    assert counts.sum() == len(expected)
