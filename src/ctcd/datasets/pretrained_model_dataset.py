"""Hugging Face model folders in the catalog."""

from pathlib import Path
from typing import Any

from ctcd.datasets.folder_dataset import FolderDataset


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
