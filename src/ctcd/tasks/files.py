"""A folder of tasks: `<folder>/<task>/<split>.parquet`, read when asked for."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ctcd.errors import InputError, first_line
from ctcd.tasks.suite import Suite
from ctcd.tasks.tasks import Task


@dataclass(frozen=True)
class FolderSuite(Suite):
    """Tasks in a folder that need not exist until one of them is read."""

    folder: Path

    def tables(self, task: Task, split: str) -> list[tuple[str, pa.Table]]:
        """Read the files of a split."""
        return [(f"'{file}'", _read(file)) for file in self.files(task, split)]

    def tables_place(self, task: Task, split: str) -> str:
        """Name the first file."""
        return f"'{self.files(task, split)[0]}'"

    def has(self, task: Task, split: str) -> bool:
        """Whether there is some file of the split."""
        return bool(self._matches(task, split))

    def is_partial(self, task: Task) -> bool:
        """Whether the files of some split are marked `_partial`."""
        return any("_partial" in file.name for split in task.splits for file in self.files(task, split))

    def files(self, task: Task, split: str) -> list[Path]:
        """List the Parquet files of a split: whole or in numbered parts; else the ones marked `_partial`.

        Raises:
            InputError: if there are none, or a numbered part is missing.
        """
        folder = self.folder / task.name
        if not folder.is_dir():
            raise InputError(
                f"Task '{task.name}' has no folder '{folder}': say with --params data_root=<folder> where the tasks "
                f"lie (probes are made by the pipeline 'corpus'), or take '{task.name}' out of finetuning.tasks."
            )
        matches = self._matches(task, split)
        whole = [match for match in matches if not match["partial"]] or matches
        if not whole:
            there = ", ".join(sorted(path.name for path in folder.glob("*.parquet"))) or "no Parquet file"
            raise InputError(
                f"Task '{task.name}' has no file '{folder / split}.parquet' (there is {there}): add it, or leave the "
                "task out."
            )
        parts = whole[0]["parts"]
        if parts is not None and len(whole) != int(parts):
            raise InputError(
                f"'{folder}' has {len(whole)} of {int(parts)} parts of the split '{split}': add the others."
            )
        return [folder / match[0] for match in whole]

    def _matches(self, task: Task, split: str) -> list[re.Match[str]]:
        folder = self.folder / task.name
        part = re.compile(rf"{re.escape(split)}(?P<partial>_partial)?(-\d+-of-(?P<parts>\d+))?\.parquet")
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [match for match in map(part.fullmatch, names) if match]


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"'{file}' cannot be read as Parquet ({first_line(error)}): replace it.") from error
