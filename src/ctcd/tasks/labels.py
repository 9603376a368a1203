"""Labels as they stand in files -> classes 0, 1, 2, ... or numbers."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ctcd.errors import InputError
from ctcd.tasks.tasks import Task

logger = logging.getLogger(__name__)

HIDDEN_LABEL = -1
MOST_DISTINCT = 0.9  # of the examples: with more labels than that they are numbers or texts, not classes
# More whole numbers than that are taken for numbers or ids; text may name any number of classes.
MOST_NUMBERED_CLASSES = 1000
LARGEST_WHOLE = 2**53  # up to which 64-bit floats hold every whole number

Label = int | str


@dataclass(frozen=True)
class LabelColumn:
    """The labels of one split.

    Attributes:
        place: file or data set that they come from, for messages.
        values: (examples,) int64, float64 or str as objects.
        is_hidden: whether they are those of a test split: -1, whatever stands there.
    """

    place: str
    values: NDArray[np.generic]
    is_hidden: bool


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, in any of Arrow's ways."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def hidden_labels(examples: int, place: str) -> LabelColumn:
    """The labels of a test split."""
    return LabelColumn(place, np.full(examples, HIDDEN_LABEL, np.int64), is_hidden=True)


def read_labels(column: pa.ChunkedArray, task: Task, place: str) -> LabelColumn:
    """Check the kind of a label column.

    Raises:
        InputError: if labels are missing, or of a kind that the task cannot have.
    """
    if column.null_count:
        raise InputError(f"{place} has {column.null_count} missing labels: fill or remove them.")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values = _numbers(column, place) if task.regression else _classes(column, place)
    return LabelColumn(place, values, is_hidden=False)


def check_shown(task: Task, columns: Mapping[str, LabelColumn]) -> None:
    """Refuse a split whose labels are wanted and all -1.

    Raises:
        InputError: names it.
    """
    for split in task.splits:
        column = columns[split]
        if column.values.dtype != object and (column.values == HIDDEN_LABEL).all():
            raise InputError(f"The labels of {column.place} are hidden (all -1): name a split that shows them.")


def find_classes(task: Task, columns: Mapping[str, LabelColumn]) -> tuple[Label, ...]:
    """List the classes of a task, in order: those of train and validation, or 0 to `task.classes` - 1.

    Raises:
        InputError: if a label is out of range, or the labels are of two kinds or no classes at all.
    """
    shown = [columns[split] for split in task.splits]
    if task.classes is not None:
        for column in shown:
            _check_range(column, task.classes)
        return tuple(range(task.classes))
    train = columns["train"]
    for column in shown:
        if (column.values.dtype == object) != (train.values.dtype == object):
            raise InputError(f"The labels of {column.place} are no such labels as {train.place} has: convert them.")
    learned, first_seen = np.unique(train.values, return_index=True)
    if len(learned) == 1:
        raise InputError(
            f"{train.place} has the one label {learned.tolist()[0]!r} only: there is nothing to learn; add others."
        )
    if len(learned) > 2 and len(learned) > MOST_DISTINCT * len(train.values):
        raise InputError(
            f"{train.place} has {len(learned)} labels for {len(train.values)} examples: those are no classes; "
            "set finetuning.extra_tasks.<task>.regression for numbers, or correct the column."
        )
    if learned.dtype != object and len(learned) > MOST_NUMBERED_CLASSES:
        row = int(np.sort(first_seen)[MOST_NUMBERED_CLASSES])
        raise InputError(
            f"{train.place} has {len(learned)} distinct numbers as labels (row {row} has number "
            f"{MOST_NUMBERED_CLASSES + 1}): set finetuning.extra_tasks.<task>.regression for numbers, or write classes "
            "as text."
        )
    if learned.dtype != object and {HIDDEN_LABEL, 0, 1} <= set(learned.tolist()):
        logger.warning(
            "%s has %d examples with the label -1, which is taken for a class like the others: remove them if they "
            "have none", train.place, (train.values == HIDDEN_LABEL).sum(),
        )  # fmt: skip
    return tuple(np.unique(np.concatenate([column.values for column in shown])).tolist())


def check_known(task: Task, column: LabelColumn, classes: tuple[Label, ...]) -> None:
    """Refuse a further split with labels that are none of the task's classes.

    Raises:
        InputError: names the first one.
    """
    if column.is_hidden or task.regression:
        return
    is_text = isinstance(classes[0], str)
    remedy = f"task '{task.name}' has no such class; rename it, or leave those rows out"
    if (column.values.dtype == object) != is_text:
        raise InputError(f"The labels of {column.place} are no such labels as task '{task.name}' has: convert them.")
    _refuse(~np.isin(column.values, np.asarray(classes, column.values.dtype)), column.values, column.place, remedy)


def number_labels(task: Task, column: LabelColumn, classes: tuple[Label, ...]) -> NDArray[np.generic]:
    """Turn labels into positions in `classes` (int64), or leave numbers as they are; hidden ones are -1."""
    if task.regression:
        return column.values
    if column.is_hidden:
        return np.full(len(column.values), HIDDEN_LABEL, np.int64)
    kind = object if column.values.dtype == object else np.int64
    return np.searchsorted(np.asarray(classes, kind), column.values).astype(np.int64)


def _numbers(column: pa.ChunkedArray, place: str) -> NDArray[np.float64]:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"The labels of {place} are {column.type} where numbers are expected: convert them.")
    values = column.to_numpy().astype(np.float64)
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(values.astype(np.float32))  # in which they are learned
    _refuse(~is_finite, values, place, "labels must be finite numbers of single precision; correct it")
    return values


def _classes(column: pa.ChunkedArray, place: str) -> NDArray[np.generic]:
    kind = column.type
    if is_text(kind):
        return column.to_numpy().astype(object)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        values = column.to_numpy()
        with np.errstate(invalid="ignore"):
            is_class = (values <= LARGEST_WHOLE) & (values >= -LARGEST_WHOLE) & (values == np.round(values))
        _refuse(~is_class, values, place, "classes must be whole numbers or text; convert them")
        return values.astype(np.int64)
    raise InputError(f"The labels of {place} are {kind} where classes are expected: convert them.")


def _refuse(is_wrong: NDArray[np.bool_], values: NDArray[np.generic], place: str, remedy: str) -> None:
    """Name the first wrong label, if there is one."""
    if is_wrong.any():
        row = int(is_wrong.argmax())
        raise InputError(f"{place} has the label {values[row]} in row {row}: {remedy}.")


def _check_range(column: LabelColumn, classes: int) -> None:
    if column.values.dtype == object:
        raise InputError(f"The labels of {column.place} are text where 0 to {classes - 1} are expected: convert them.")
    values = column.values.astype(np.int64)
    _refuse((values < 0) | (values >= classes), values, column.place, f"labels must be 0 to {classes - 1}")
