"""A suite of tasks in the catalog."""

from pathlib import Path
from typing import Any

from kedro.io.core import VersionNotFoundError

from ctcd.datasets.folder_dataset import FolderDataset
from ctcd.lineage.settings import HUB


class SuiteDataset(FolderDataset):
    """A folder of tasks, `<task>/<split>.parquet`, or a data set of the hub with a configuration for each task.

    Loads to `ctcd.tasks.suite.Suite`, which reads a task only when it is asked for; so a folder that is not there
    hurts nobody who does not use it. What is saved is a dictionary task -> split -> pandas table:

    ```yaml
    probes:
      type: ctcd.datasets.suite_dataset.SuiteDataset
      filepath: data/05_model_input/probes
      versioned: true

    glue:
      type: ctcd.datasets.suite_dataset.SuiteDataset
      filepath: hub:nyu-mll/glue
    ```
    """

    def _is_complete(self, folder: str) -> bool:
        return Path(folder).is_dir()

    def _write(self, folder: Path, data: dict[str, dict[str, Any]]) -> None:
        for task, splits in data.items():
            (folder / task).mkdir()
            for split, frame in splits.items():
                frame.to_parquet(folder / task / f"{split}.parquet", index=False)

    def load(self) -> Any:
        """Point a suite at the folder or data set; nothing is read yet."""
        from ctcd.tasks.files import FolderSuite
        from ctcd.tasks.hub import HubSuite

        if (source := str(self._filepath)).startswith(HUB):
            return HubSuite(source.removeprefix(HUB))
        try:
            return FolderSuite(Path(self._get_load_path()))
        except VersionNotFoundError:
            return FolderSuite(Path(source))
