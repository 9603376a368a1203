"""A folder of tasks: `<folder>/<task>/<split>.parquet`, read when asked for and checked on the way."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ctcd.errors import InputError
from ctcd.evaluation.tasks import Task

LABEL = "label"


@dataclass(frozen=True)
class Suite:
    """Tasks in a folder that need not exist until one of them is read."""

    folder: Path

    def read(self, task: Task, split: str) -> pd.DataFrame:
        """Read the texts and labels of a split.

        Labels are int64 (0 to classes - 1) or finite float64; those of a `test` split may be hidden (-1).

        Raises:
            InputError: if a file, column or example is missing, or a label is out of range.
        """
        tables = [self._read_file(file, task, split) for file in self.files(task, split)]
        frame = pd.concat(tables, ignore_index=True)
        if frame.empty:
            raise InputError(f"'{self.folder / task.name}' holds no examples in the split '{split}': give it some.")
        return frame

    def read_all(self, task: Task) -> dict[str, pd.DataFrame]:
        """Every split that fine-tuning and scoring need, with labels that agree between them.

        Raises:
            InputError: as `read`; also if a validation label does not occur in the training split.
        """
        frames = {split: self.read(task, split) for split in task.splits}
        if task.classes is None and not task.regression:
            classes = int(frames["train"][LABEL].max()) + 1
            # More classes than examples: not classes but identifiers.
            _check_classes(frames["train"][LABEL].to_numpy(), len(frames["train"]), self.files(task, "train")[0])
            for split in task.validation_splits:
                _check_classes(frames[split][LABEL].to_numpy(), classes, self.files(task, split)[0])
        return frames

    def files(self, task: Task, split: str) -> list[Path]:
        """List the Parquet files of a split: whole or in numbered parts; else the ones marked `_partial`.

        Raises:
            InputError: if there are none, or a numbered part is missing.
        """
        folder = self.folder / task.name
        if not folder.is_dir():
            raise InputError(
                f"Task '{task.name}' has no folder '{folder}': say with --params data_root=<folder> where the tasks "
                f"lie, or take '{task.name}' out of finetuning.tasks."
            )
        part = re.compile(rf"{re.escape(split)}(?P<partial>_partial)?(-\d+-of-(?P<parts>\d+))?\.parquet")
        matches = [match for match in map(part.fullmatch, sorted(path.name for path in folder.iterdir())) if match]
        whole = [match for match in matches if not match["partial"]] or matches
        if not whole:
            raise InputError(
                f"Task '{task.name}' has no file '{folder / split}.parquet': add it, or leave the task out."
            )
        parts = whole[0]["parts"]
        if parts is not None and len(whole) != int(parts):
            raise InputError(
                f"'{folder}' has {len(whole)} of {int(parts)} parts of the split '{split}': add the others."
            )
        return [folder / match[0] for match in whole]

    def is_partial(self, task: Task) -> bool:
        """Whether some split is only a part of the published one."""
        return any("_partial" in file.name for split in task.splits for file in self.files(task, split))

    def _read_file(self, file: Path, task: Task, split: str) -> pd.DataFrame:
        expected = [*task.text_columns, LABEL]
        try:
            schema = pq.read_schema(file)
            missing = [column for column in expected if column not in schema.names]
            if missing:
                raise InputError(
                    f"'{file}' has the columns {', '.join(schema.names)}; task '{task.name}' needs "
                    f"{', '.join(expected)}: rename or add {', '.join(missing)}."
                )
            table = pq.read_table(file, columns=expected)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"'{file}' cannot be read as Parquet ({error}): replace it.") from error
        for column in task.text_columns:
            _check_text(table[column], column, file)
        _check_labels(table[LABEL], task, split, file)
        frame = table.to_pandas()
        return frame.astype({LABEL: np.float64 if task.regression else np.int64})


def _check_text(column: pa.ChunkedArray, name: str, file: Path) -> None:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"Column '{name}' of '{file}' holds {kind} where text is expected: convert it.")
    if column.null_count:
        raise InputError(f"Column '{name}' of '{file}' has {column.null_count} missing texts: fill or remove them.")


def _check_labels(column: pa.ChunkedArray, task: Task, split: str, file: Path) -> None:
    if column.null_count:
        raise InputError(f"'{file}' has {column.null_count} missing labels: fill or remove them.")
    is_number = pa.types.is_floating(column.type) if task.regression else pa.types.is_integer(column.type)
    if not is_number and not (task.regression and pa.types.is_integer(column.type)):
        wanted = "numbers" if task.regression else "integers"
        raise InputError(f"The labels in '{file}' are {column.type} where {wanted} are expected: convert them.")
    labels = column.to_numpy()
    if task.regression:
        if not np.isfinite(labels).all():
            raise InputError(
                f"'{file}' has the label {labels[~np.isfinite(labels)][0]}: labels must be finite numbers."
            )
    elif not (split.startswith("test") and (labels == -1).all()):
        _check_classes(labels, task.classes, file)


def _check_classes(labels: np.ndarray, classes: int | None, file: Path) -> None:
    is_wrong = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    if is_wrong.any():
        wanted = "not be negative" if classes is None else f"be 0 to {classes - 1}"
        raise InputError(
            f"'{file}' has the label {labels[is_wrong][0]} in row {int(is_wrong.argmax())}: labels must {wanted}."
        )
