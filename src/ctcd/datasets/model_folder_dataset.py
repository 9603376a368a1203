"""A model that somebody else made, in the catalog."""

from typing import Any

from kedro.io import AbstractDataset, DatasetError


class ModelFolderDataset(AbstractDataset[Any, Any]):
    """A Hugging Face model by folder or hub name; loads to `ctcd.modeling.model_folder.ModelFolder`.

    ```yaml
    evaluated_model:
      type: ctcd.datasets.model_folder_dataset.ModelFolderDataset
      source: google/bert_uncased_L-4_H-256_A-4
    ```
    """

    def __init__(self, *, source: str | None, metadata: dict[str, Any] | None = None) -> None:
        """Describe the model.

        Args:
            source: a folder or a hub name; None if it is still to be named.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self._source = source

    def load(self) -> Any:
        """Find the folder, or fetch it from the hub."""
        from ctcd.errors import InputError
        from ctcd.modeling.model_folder import find_model

        if not self._source:
            raise InputError("No model is named: say which with --params model=<folder or hub name>.")
        return find_model(str(self._source))

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A model to be evaluated is read only.")

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}
