"""What in a task's examples makes its scores say less than they seem to: counted and named, never silent."""

import logging
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import TaskData

logger = logging.getLogger(__name__)

COLUMNS = ["task", "split", "problem", "examples", "of", "which"]
UNLEARNED, EMPTY = "of a class that train lacks", "with an empty text"
REPEATED, IN_TRAIN = "a repetition within the split", "also in train"
NAMED = 5  # rows or classes


def check_tasks(tasks: Iterable[TaskData]) -> pd.DataFrame:
    """Count what is wrong with the examples of some tasks; each task with problems is one warning in the log.

    Returns:
        task, split, problem, examples (how many), of (the examples of the split), which (the first rows, or the
        classes). A repetition has the texts of an earlier row, whatever its label.
    """
    rows = []
    for data in tasks:
        found = list(_problems(data))
        rows += [(data.task.name, *problem) for problem in found]
        if found:
            named = "; ".join(
                f"{examples} of {of} examples of {split} are {problem} ({which})"
                for split, problem, examples, of, which in found
            )
            logger.warning("%s: %s", data.task.name, named.replace("are with", "come with"))
    return pd.DataFrame(rows, columns=COLUMNS)


def _problems(data: TaskData) -> Iterator[tuple[str, str, int, int, str]]:
    """Split, problem, examples, of, which."""
    columns = list(data.task.text_columns)
    train = data.frames["train"]
    learned = set(train[LABEL])
    known = pd.MultiIndex.from_frame(train[columns])
    for split in data.task.splits:
        frame = data.frames[split]
        texts = pd.MultiIndex.from_frame(frame[columns])
        empty = frame[columns].apply(lambda column: column.str.strip() == "").any(axis=1).to_numpy(bool)
        checks = [(EMPTY, empty), (REPEATED, texts.duplicated())]
        if split != "train":
            checks.append((IN_TRAIN, texts.isin(known)))
        for problem, is_wrong in checks:
            if is_wrong.any():
                yield split, problem, int(is_wrong.sum()), len(frame), _rows(is_wrong)
        unknown = ~frame[LABEL].isin(learned).to_numpy(bool)
        if unknown.any() and not data.task.regression:
            classes = [str(data.classes[position]) for position in frame[LABEL][unknown].unique()]
            yield split, UNLEARNED, int(unknown.sum()), len(frame), _first("class", "classes", classes)


def _rows(is_wrong: np.ndarray) -> str:
    return _first("row", "rows", [str(row) for row in np.flatnonzero(is_wrong)])


def _first(one: str, many: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{one if len(names) == 1 else many} {', '.join(names[:NAMED])}{more}"
