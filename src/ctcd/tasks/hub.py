"""A suite on the Hugging Face hub: one configuration of a data set for each task, fetched when asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from ctcd.errors import InputError, first_line
from ctcd.lineage.settings import HUB
from ctcd.tasks.suite import Suite
from ctcd.tasks.tasks import Task


@dataclass(frozen=True)
class HubSuite(Suite):
    """Tasks of a hub data set such as `nyu-mll/glue`; each task is loaded once, and only if it is read."""

    name: str

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        return {}

    def tables(self, task: Task, split: str) -> list[tuple[str, pa.Table]]:
        """Give a split from the local copy that `datasets` makes."""
        place, splits = self.tables_place(task, split), self._splits(task)
        if split not in splits:
            raise InputError(f"{place} does not exist (there is {', '.join(splits)}): leave the task out.")
        return [(place, splits[split].with_format("arrow")[:])]

    def tables_place(self, task: Task, split: str) -> str:
        """Name data set, configuration and split."""
        return f"'{HUB}{self.name}', task '{task.name}', split '{split}'"

    def has(self, task: Task, split: str) -> bool:
        """Whether the data set has the split."""
        return split in self._splits(task)

    def is_partial(self, task: Task) -> bool:
        """The hub's data sets are whole."""
        return False

    def _splits(self, task: Task) -> Any:
        if task.name not in self._loaded:
            import datasets

            try:
                self._loaded[task.name] = datasets.load_dataset(self.name, task.name)
            except Exception as error:  # network, name, configuration: the libraries have many kinds
                raise InputError(
                    f"Task '{task.name}' cannot be loaded from '{HUB}{self.name}' ({first_line(error)}): check the "
                    "name and the network, or give a local folder."
                ) from error
        return self._loaded[task.name]
