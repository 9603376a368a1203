"""A variant's models in the catalog."""

from pathlib import Path
from typing import Any

from ctcd.datasets.folder_dataset import FolderDataset


class TrainedModelsDataset(FolderDataset):
    """A folder with one Hugging Face folder for each pre-training seed and role, and the table `models.csv`.

    Loads to `ctcd.modeling.trained_models.TrainedModels`.

    ```yaml
    "{variant}.models":
      type: ctcd.datasets.trained_models_dataset.TrainedModelsDataset
      filepath: data/06_models/{variant}
      versioned: true
    ```
    """

    MARKER = "models.csv"

    def _write(self, folder: Path, data: Any) -> None:
        data.save(folder)

    def _read(self, folder: Path) -> Any:
        from ctcd.modeling.trained_models import TrainedModels

        return TrainedModels.load(folder)
