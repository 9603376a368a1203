"""Predictions as the files that the GLUE leaderboard takes."""

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ctcd.errors import InputError

logger = logging.getLogger(__name__)

HEADER = ["index", "prediction"]
ENTAILMENT = ("entailment", "not_entailment")
INFERENCE = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class SubmissionFile:
    """One file of a submission.

    Attributes:
        name: what the leaderboard calls it.
        task: whose predictions it holds.
        split: of which test split.
        rows: as many as the published test split has.
        classes: how the leaderboard writes the classes 0, 1, ...; empty for numbers.
    """

    name: str
    task: str
    split: str
    rows: int
    classes: tuple[str, ...]


FILES = (
    SubmissionFile("CoLA.tsv", "cola", "test", 1063, ("0", "1")),
    SubmissionFile("SST-2.tsv", "sst2", "test", 1821, ("0", "1")),
    SubmissionFile("MRPC.tsv", "mrpc", "test", 1725, ("0", "1")),
    SubmissionFile("STS-B.tsv", "stsb", "test", 1379, ()),
    SubmissionFile("QQP.tsv", "qqp", "test", 390_965, ("0", "1")),
    SubmissionFile("MNLI-m.tsv", "mnli", "test_matched", 9796, INFERENCE),
    SubmissionFile("MNLI-mm.tsv", "mnli", "test_mismatched", 9847, INFERENCE),
    SubmissionFile("QNLI.tsv", "qnli", "test", 5463, ENTAILMENT),
    SubmissionFile("RTE.tsv", "rte", "test", 3000, ENTAILMENT),
    SubmissionFile("WNLI.tsv", "wnli", "test", 146, ("0", "1")),
    SubmissionFile("AX.tsv", "mnli", "ax", 1104, INFERENCE),
)


def submission_files(predictions: pd.DataFrame) -> dict[str, str]:
    """Write the files that there are all predictions for, and name the others in the log.

    Args:
        predictions: task, split, example, prediction (a class or a number) of one seed.

    Returns:
        Content by file name.
    """
    files = {}
    missing, short = [], []
    for file in FILES:
        rows = predictions[(predictions["task"] == file.task) & (predictions["split"] == file.split)]
        if rows.empty:
            missing.append(f"{file.name} ({file.task}/{file.split})")
            continue
        if len(rows) != file.rows:
            short.append(f"{file.name} ({len(rows)} rows instead of {file.rows})")
            continue
        values = rows.sort_values("example")["prediction"].to_numpy(dtype=float)
        files[file.name] = _content([_written(file, value) for value in values])
        check_file(file, files[file.name])
    if missing:
        logger.warning(
            "The submission lacks %s, whose test splits are not there or whose tasks were not run; the leaderboard "
            "takes complete submissions only", ", ".join(missing),
        )  # fmt: skip
    if short:
        logger.warning(
            "The submission lacks %s, whose test splits have not as many examples as the published ones: get the whole "
            "files", ", ".join(short),
        )  # fmt: skip
    return files


def check_file(file: SubmissionFile, content: str) -> None:
    """Check header, index and spelling of a file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    header, *rows = csv.reader(io.StringIO(content), delimiter="\t")
    if header != HEADER:
        raise InputError(f"{file.name} has the header {header}: it must be {HEADER}.")
    for number, (index, prediction) in enumerate(rows):
        is_known = prediction in file.classes if file.classes else 0 <= float(prediction) <= 5
        if index != str(number) or not is_known:
            raise InputError(f"{file.name} has '{index}\t{prediction}' in row {number}: that is no prediction.")


def _written(file: SubmissionFile, value: float) -> str:
    return file.classes[int(value)] if file.classes else f"{np.clip(value, 0, 5):.3f}"


def _content(predictions: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(enumerate(predictions))
    return text.getvalue()
