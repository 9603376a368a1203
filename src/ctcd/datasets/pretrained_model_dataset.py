"""Hugging Face model folders in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from ctcd.datasets.folder_dataset import FolderDataset
from ctcd.errors import InputError


class PretrainedModelDataset(FolderDataset):
    """A `save_pretrained` folder: configuration, safetensors, tokenizer, model card.

    Loads to `ctcd.modeling.pretrained.PretrainedModel`.

    ```yaml
    "{variant}.teacher":
      type: ctcd.datasets.pretrained_model_dataset.PretrainedModelDataset
      filepath: data/06_models/{variant}/teacher
      versioned: true
    ```
    """

    MARKER = "config.json"

    def _write(self, folder: Path, data: Any) -> None:
        data.save(folder)

    def _read(self, folder: Path) -> Any:
        from ctcd.modeling.pretrained import PretrainedModel

        return PretrainedModel.load(folder)


class ReadyModelDataset(AbstractDataset[Any, Any]):
    """A model somebody else trained, by folder or hub name.

    ```yaml
    ready_teacher:
      type: ctcd.datasets.pretrained_model_dataset.ReadyModelDataset
      source: none
    ```
    """

    def __init__(self, *, source: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the model.

        Args:
            source: a folder, a hub name, or `none`, which loading refuses.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        self._source = source

    def load(self) -> Any:
        """The model, as `ctcd.modeling.pretrained.PretrainedModel`.

        Raises:
            InputError: if none is named, or what is named cannot be opened.
        """
        from ctcd.modeling.pretrained import PretrainedModel

        self.check()
        return PretrainedModel.load(self._source)

    def check(self) -> None:
        """Find out whether there is such a model, without its weights.

        Raises:
            InputError: as `load`.
        """
        if self._source == "none":
            raise InputError("this pipeline wants a ready teacher: name one with --params teacher=<folder or hub name>")
        from ctcd.modeling.pretrained import model_type_of

        model_type_of(self._source)

    def save(self, data: Any) -> None:
        """Refused."""
        raise DatasetError("A ready model is read only.")

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}
