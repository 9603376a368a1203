"""Fine-tuned models in the catalog."""

from pathlib import Path
from typing import Any

from ctcd.datasets.folder_dataset import FolderDataset


class ClassifiersDataset(FolderDataset):
    """A folder with one Hugging Face folder for each classifier that is kept, and the table `classifiers.csv`.

    Loads to `ctcd.finetuning.classifiers.Classifiers`.

    ```yaml
    "{variant}.classifiers":
      type: ctcd.datasets.classifiers_dataset.ClassifiersDataset
      filepath: data/06_models/classifiers/{variant}
      versioned: true
    ```
    """

    MARKER = "classifiers.csv"

    def _write(self, folder: Path, data: Any) -> None:
        data.save(folder)

    def _read(self, folder: Path) -> Any:
        from ctcd.finetuning.classifiers import Classifiers

        return Classifiers.load(folder)
