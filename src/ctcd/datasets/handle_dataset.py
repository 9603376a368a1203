"""Handles in the catalog: what a node writes to while it runs."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj


class HandleDataset(AbstractDataset[NoReturn, Any]):
    """A store in a folder, opened by a class of the project; the folder need not exist.

    What is in it is named by what it was computed from, so it may always be kept and always be removed.

    ```yaml
    finetuning_results:
      type: ctcd.datasets.handle_dataset.HandleDataset
      filepath: data/07_model_output/finetuning_results
      handle: ctcd.lineage.array_store.ArrayStore
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        handle: str,
        arguments: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the handle.

        Args:
            filepath: folder of the store.
            handle: dotted name of the class, which takes the folder as a path.
            arguments: what else it takes, by name.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self.filepath, self._handle, self._arguments = filepath, handle, arguments or {}

    def load(self) -> Any:
        """The handle."""
        return load_obj(self._handle)(Path(self.filepath), **self._arguments)

    def save(self, data: NoReturn) -> None:
        """Refused."""
        raise DatasetError("A store is written through its handle, by the node that computes what is in it.")

    def _exists(self) -> bool:
        return Path(self.filepath).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self.filepath, "handle": self._handle}
