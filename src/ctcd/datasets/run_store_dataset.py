"""The store of trainings in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class RunStoreDataset(AbstractDataset[Any, Any]):
    """Loads to a handle (`ctcd.lineage.run_store.RunStore`) that a node saves to while it runs.

    What is in it is named by what it was computed from, so it may always be kept and always be removed.

    ```yaml
    run_store:
      type: ctcd.datasets.run_store_dataset.RunStoreDataset
      filepath: data/06_models/runs
    ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the handle.

        Args:
            filepath: folder of the store.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self.filepath = filepath

    def load(self) -> Any:
        """The handle."""
        from ctcd.lineage.run_store import RunStore

        return RunStore(Path(self.filepath))

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A store is written through its handle, by the node that computes what is in it.")

    def _exists(self) -> bool:
        return Path(self.filepath).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self.filepath}
