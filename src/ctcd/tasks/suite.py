"""Tasks as checked tables, wherever their files lie."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ctcd.errors import InputError
from ctcd.tasks.labels import (
    Label,
    LabelColumn,
    check_shown,
    find_classes,
    hidden_labels,
    is_text,
    number_labels,
    read_labels,
)
from ctcd.tasks.metrics import METRICS
from ctcd.tasks.tasks import Task

LABEL = "label"


@dataclass(frozen=True)
class TaskData:
    """What is known of a task's examples.

    Attributes:
        task: what it is.
        frames: split -> table of the text columns and `label`: int64 positions in `classes`, or float64 numbers; hidden
            labels are -1. Test splits are there only where their files are.
        classes: labels as they stand in the files; empty for regression.
        is_partial: whether some split is only a part of the published one, or only some examples are learned from.
        origins: task and split of those splits that are another task's.
    """

    task: Task
    frames: Mapping[str, pd.DataFrame]
    classes: tuple[Label, ...]
    is_partial: bool = False
    origins: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Width of the classification head; 1 for regression."""
        return 1 if self.task.regression else len(self.classes)

    @property
    def test_splits(self) -> list[str]:
        """Splits that are predicted and not scored."""
        return [split for split in self.frames if split not in self.task.splits]

    def as_in_files(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Turn positions in `classes` into the numbers that stand in the files; text keeps its position."""
        if self.task.regression or isinstance(self.classes[0], str):
            return values.astype(np.float64)
        return np.asarray(self.classes, np.float64)[values.astype(np.int64)]

    def with_split_of(self, other: "TaskData", split: str) -> "TaskData":
        """Add a split of another task, which the models of this one are to predict."""
        name = f"{other.task.name}/{split}"
        origins = {**self.origins, name: (other.task.name, split)}
        return replace(self, frames={**self.frames, name: other.frames[split]}, origins=origins)

    def origin(self, split: str) -> tuple[str, str]:
        """The task and the split that a split's examples are published as."""
        return self.origins.get(split, (self.task.name, split))


class Suite(ABC):
    """Tasks that are read when asked for. Splits are tables with the task's text columns and `label`."""

    @abstractmethod
    def tables(self, task: Task, split: str) -> list[tuple[str, pa.Table]]:
        """Read the parts of a split, each with its place in words.

        Raises:
            InputError: if they are not there or cannot be read.
        """

    @abstractmethod
    def has(self, task: Task, split: str) -> bool:
        """Whether a split is there."""

    @abstractmethod
    def is_partial(self, task: Task) -> bool:
        """Whether a split that is learned from or scored is only a part of the published one."""

    def read(self, task: Task, with_tests: bool = False) -> TaskData:
        """Read the training and validation splits, and on demand the test splits that are there.

        Raises:
            InputError: if a file, column or example is missing, or a label is wrong.
        """
        splits = list(task.splits) if task.learned_from is None else []
        if with_tests:
            splits += [split for split in task.test_splits if self.has(task, split)]
        texts, labels = {}, {}
        for split in splits:
            texts[split], labels[split] = self._read_split(task, split)
        check_shown(task, labels)
        classes = () if task.regression else find_classes(task, labels)
        for name in task.metrics:
            most = METRICS[name].most_classes
            if most is not None and len(classes) > most:
                raise InputError(f"Task '{task.name}' has {len(classes)} classes, {name} is for {most}: use macro_f1.")
        frames = {
            split: frame.assign(**{LABEL: number_labels(task, labels[split], classes)})
            for split, frame in texts.items()
        }
        return TaskData(task, frames, classes, task.learned_from is None and self.is_partial(task))

    def _read_split(self, task: Task, split: str) -> tuple[pd.DataFrame, LabelColumn]:
        """Texts and labels; nobody looks at the labels of a test split, so they may be anything or not there."""
        is_scored = split in task.splits
        columns = [*task.text_columns, *([LABEL] if is_scored else [])]
        parts = []
        for place, table in self.tables(task, split):
            _check_columns(table, task, columns, place)
            parts.append(table.select(columns))
        place = self.tables_place(task, split)
        table = pa.concat_tables(parts, promote_options="permissive")
        if not table.num_rows:
            raise InputError(f"{place} holds no examples: give it some.")
        column = read_labels(table[LABEL], task, place) if is_scored else hidden_labels(table.num_rows, place)
        return table.select(list(task.text_columns)).to_pandas(), column

    @abstractmethod
    def tables_place(self, task: Task, split: str) -> str:
        """Say in words where a split lies."""


def joined(tables: Iterable[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Put tables with some columns below each other; none give an empty one."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True)[list(columns)] if filled else pd.DataFrame(columns=list(columns))


def _check_columns(table: pa.Table, task: Task, expected: list[str], place: str) -> None:
    missing = [column for column in expected if column not in table.column_names]
    if missing:
        raise InputError(
            f"{place} has the columns {', '.join(table.column_names)}; task '{task.name}' needs "
            f"{', '.join(expected)}: rename or add {', '.join(missing)}."
        )
    for name in task.text_columns:
        column = table[name]
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if len(column) and not is_text(kind):
            raise InputError(f"Column '{name}' of {place} holds {kind} where text is expected: convert it.")
        if column.null_count:
            raise InputError(f"Column '{name}' of {place} has {column.null_count} missing texts: fill or remove them.")
