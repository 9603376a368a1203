import numpy as np
import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.tasks.submission import FILES, submission_files

# As the leaderboard's sample submission has them.
NAMES = [
    "AX.tsv", "CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "MRPC.tsv", "QNLI.tsv", "QQP.tsv", "RTE.tsv", "SST-2.tsv",
    "STS-B.tsv", "WNLI.tsv",
]  # fmt: skip


def predictions(file, rows=None):
    count = file.rows if rows is None else rows
    values = np.arange(count) % len(file.classes) if file.classes else np.linspace(-1, 6, count)
    return pd.DataFrame(
        {"task": file.task, "split": file.split, "example": np.arange(count), "prediction": values.astype(float)}
    )


@pytest.fixture(scope="module")
def files():
    return submission_files(pd.concat([predictions(file).sample(frac=1, random_state=0) for file in FILES]))


def test_a_complete_submission_has_the_leaderboards_files(files):
    assert sorted(files) == NAMES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_has_header_and_one_row_per_example_in_order(files, file):
    header, *rows = files[file.name].splitlines()
    assert header == "index\tprediction"
    assert [row.split("\t")[0] for row in rows] == [str(number) for number in range(file.rows)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RTE.tsv", ["entailment", "not_entailment"]),
        ("QNLI.tsv", ["entailment", "not_entailment"]),
        ("MNLI-m.tsv", ["entailment", "neutral", "contradiction"]),
        ("AX.tsv", ["entailment", "neutral", "contradiction"]),
        ("WNLI.tsv", ["0", "1"]),
        ("CoLA.tsv", ["0", "1"]),
    ],
)
def test_classes_are_written_as_the_leaderboard_wants_them(files, name, words):
    rows = [row.split("\t")[1] for row in files[name].splitlines()[1 : 1 + len(words)]]
    assert rows == words


def test_numbers_stay_in_the_range_of_the_labels(files):
    values = [float(row.split("\t")[1]) for row in files["STS-B.tsv"].splitlines()[1:]]
    assert min(values) == 0
    assert max(values) == 5


def test_what_is_missing_is_named(caplog):
    rte = next(file for file in FILES if file.task == "rte")
    assert list(submission_files(predictions(rte))) == ["RTE.tsv"]
    assert "QQP.tsv (qqp/test)" in caplog.text
    assert "RTE" not in caplog.text


def test_a_file_with_too_few_rows_is_left_out_and_named(caplog):
    rte, cola = (next(file for file in FILES if file.task == task) for task in ("rte", "cola"))
    assert list(submission_files(pd.concat([predictions(rte, 2999), predictions(cola)]))) == ["CoLA.tsv"]
    assert "RTE.tsv (2999 rows instead of 3000)" in caplog.text
    assert "(rte/test)" not in caplog.text


def test_a_prediction_that_is_none_is_refused():
    stsb = next(file for file in FILES if file.task == "stsb")
    with pytest.raises(InputError, match="STS-B.tsv has '0\tnan' in row 0"):
        submission_files(predictions(stsb).assign(prediction=float("nan")))
