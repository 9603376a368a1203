"""A store of intermediate results in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class ArrayStoreDataset(AbstractDataset[Any, Any]):
    """Loads to a handle (`ctcd.lineage.array_store.ArrayStore`) that a node saves to while it runs.

    What is in it is named by what it was computed from, so it may always be kept and always be removed.

    ```yaml
    finetuning_results:
      type: ctcd.datasets.array_store_dataset.ArrayStoreDataset
      filepath: data/07_model_output/finetuning_results
    ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the handle.

        Args:
            filepath: folder of the store.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self._filepath = filepath

    def load(self) -> Any:
        """The handle."""
        from ctcd.lineage.array_store import ArrayStore

        return ArrayStore(Path(self._filepath))

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A store is written through its handle, by the node that computes what is in it.")

    def _exists(self) -> bool:
        return Path(self._filepath).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
