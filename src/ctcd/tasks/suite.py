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
    check_known,
    check_shown,
    find_classes,
    hidden_labels,
    is_text,
    number_labels,
    read_labels,
)
from ctcd.tasks.metrics import METRICS
from ctcd.tasks.settings import LABEL
from ctcd.tasks.tasks import Task


@dataclass(frozen=True)
class TaskData:
    """What is known of a task's examples.

    Attributes:
        task: what it is.
        frames: split -> table of the text columns and `label`: int64 positions in `classes`, or float64 numbers; hidden
            labels are -1. Test splits are there only where their files are.
        classes: labels as they stand in the files; empty for regression.
        is_partial: whether some split is only a part of the published one, or only some examples are learned from.
        further: scored splits beyond the validation splits, each with the name of its test set: a perturbation of a
            validation split, or a further split of the task.
    """

    task: Task
    frames: Mapping[str, pd.DataFrame]
    classes: tuple[Label, ...]
    is_partial: bool = False
    further: Mapping[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Width of the classification head; 1 for regression."""
        return 1 if self.task.regression else len(self.classes)

    @property
    def label_names(self) -> tuple[str, ...]:
        """What each output of the classification head stands for, in words; for regression the task."""
        if self.task.regression:
            return (self.task.name,)
        return self.task.label_names or tuple(str(label) for label in self.classes)

    @property
    def hidden_splits(self) -> list[str]:
        """Splits that are predicted and not scored."""
        return [split for split in self.frames if split not in (*self.task.splits, *self.further)]

    def as_in_files(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Turn positions in `classes` into the numbers that stand in the files; text keeps its position."""
        if self.task.regression or isinstance(self.classes[0], str):
            return values.astype(np.float64)
        return np.asarray(self.classes, np.float64)[values.astype(np.int64)]


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

    def read(self, task: Task, with_hidden: bool = False) -> TaskData:
        """Read all splits with labels, and on demand those with hidden labels that are there.

        Raises:
            InputError: if a file, column or example is missing, or a label is wrong.
        """
        texts, labels = {}, {}
        for split in task.splits:
            texts[split], labels[split] = self._read_split(task, split)
        for further in task.further_splits:
            source = replace(task, name=further.folder or task.name)
            if not further.is_hidden or (with_hidden and self.has(source, further.split)):
                read = self._read_split(source, further.split, further.is_hidden)
                texts[further.name], labels[further.name] = read
        check_shown(task, labels)
        classes = () if task.regression else find_classes(task, labels)
        for column in labels.values():
            check_known(task, column, classes)
        for name in task.metrics:
            most = METRICS[name].most_classes
            if most is not None and len(classes) > most:
                raise InputError(f"Task '{task.name}' has {len(classes)} classes, {name} is for {most}: use macro_f1.")
        frames = {
            split: frame.assign(**{LABEL: number_labels(task, labels[split], classes)})
            for split, frame in texts.items()
        }
        further_splits = {further.name: further.name for further in task.further_splits if not further.is_hidden}
        return TaskData(task, frames, classes, self.is_partial(task), further_splits)

    def _read_split(self, task: Task, split: str, is_hidden: bool = False) -> tuple[pd.DataFrame, LabelColumn]:
        """Texts and labels; nobody looks at hidden labels, so they may be anything or not there."""
        columns = [*task.text_columns, *([] if is_hidden else [task.label_column])]
        parts = []
        for place, table in self.tables(task, split):
            _check_columns(table, task, columns, place)
            parts.append(table.select(columns))
        place = self.tables_place(task, split)
        table = pa.concat_tables(parts, promote_options="permissive")
        if not table.num_rows:
            raise InputError(f"{place} holds no examples: give it some.")
        column = (
            hidden_labels(table.num_rows, place) if is_hidden else read_labels(table[task.label_column], task, place)
        )
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
