"""Tokenized shards in the catalog."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro_datasets._typing import JSONPreview

from ctcd.datasets.folder_dataset import FolderDataset


class ShardsDataset(FolderDataset):
    """A folder of packed sequences.

    Loads to `ctcd.corpus.shards.Shards`. What is saved is a function that fills a folder, so that gigabytes go to disk
    as they are made:

    ```yaml
    shards:
      type: ctcd.datasets.shards_dataset.ShardsDataset
      filepath: data/05_model_input/shards
      versioned: true
    ```
    """

    MARKER = "metadata.json"

    def _write(self, folder: Path, data: Callable[[Path], None]) -> None:
        data(folder)

    def _read(self, folder: Path) -> Any:
        from ctcd.corpus.shards import Shards

        return Shards(folder)

    def preview(self) -> JSONPreview:
        """Counts, fingerprint and a sample, for kedro-viz."""
        return JSONPreview((Path(self._get_load_path()) / self.MARKER).read_text(encoding="utf-8"))
