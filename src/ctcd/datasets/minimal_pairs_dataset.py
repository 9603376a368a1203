"""Sets of minimal pairs in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io.core import VersionNotFoundError

from ctcd.datasets.folder_dataset import FolderDataset


class MinimalPairsDataset(FolderDataset):
    """A folder of sets of minimal pairs, `<set>.parquet`.

    Loads to `ctcd.tasks.minimal_pairs.PairFolder`, which reads a set only when it is asked for; so a folder that is not
    there hurts nobody who does not use it. What is saved is a dictionary set -> pandas table:

    ```yaml
    minimal_pairs:
      type: ctcd.datasets.minimal_pairs_dataset.MinimalPairsDataset
      filepath: data/05_model_input/minimal_pairs
      versioned: true
    ```
    """

    def _is_complete(self, folder: str) -> bool:
        return Path(folder).is_dir()

    def _write(self, folder: Path, data: dict[str, Any]) -> None:
        for name, pairs in data.items():
            pairs.to_parquet(folder / f"{name}.parquet", index=False)

    def load(self) -> Any:
        """Point at the folder; nothing is read yet."""
        from ctcd.tasks.minimal_pairs import PairFolder

        try:
            return PairFolder(Path(self._get_load_path()))
        except VersionNotFoundError:
            return PairFolder(Path(str(self._filepath)))
