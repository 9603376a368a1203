"""The state of a training that is under way, in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class TrainingStateDataset(AbstractDataset[Any, Any]):
    """Loads to a handle (`ctcd.lineage.state.StateStore`) that a node saves to while it trains.

    ```yaml
    "{variant}.training_state":
      type: ctcd.datasets.training_state_dataset.TrainingStateDataset
      filepath: data/06_models/{variant}/training_state
      label: "{variant}"
    ```
    """

    def __init__(self, *, filepath: str, label: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the handle.

        Args:
            filepath: folder of the states.
            label: whose training it is, for messages.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self._filepath, self._label = filepath, label

    def load(self) -> Any:
        """The handle."""
        from ctcd.lineage.state import StateStore

        return StateStore(Path(self._filepath), self._label)

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A training state is written through its handle, by the node that trains.")

    def _exists(self) -> bool:
        return Path(self._filepath).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
