"""Text files in a zip archive, in the catalog."""

import glob
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version

from ctcd.lineage.files import atomic_file


class ZipDataset(AbstractVersionedDataset[dict[str, str], dict[str, str]]):
    """A dictionary file name -> text as one local zip archive, seen whole or not at all.

    ```yaml
    evaluation.submission:
      type: ctcd.datasets.zip_dataset.ZipDataset
      filepath: data/08_reporting/evaluation/submission.zip
      versioned: true
    ```
    """

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Describe the archive.

        Args:
            filepath: of the archive.
            version: given by Kedro when the catalog says `versioned: true`.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        super().__init__(
            filepath=PurePosixPath(filepath),
            version=version,
            exists_function=lambda path: Path(path).is_file(),
            glob_function=lambda pattern: glob.glob(str(pattern)),  # noqa: PTH207  Kedro's pattern is absolute
        )

    def save(self, data: dict[str, str]) -> None:
        """Write the archive."""
        with (
            atomic_file(Path(self._get_save_path())) as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, text in data.items():
                archive.writestr(name, text)

    def load(self) -> dict[str, str]:
        """Read all files."""
        with zipfile.ZipFile(str(self._get_load_path())) as archive:
            return {name: archive.read(name).decode("utf-8") for name in archive.namelist()}

    def _exists(self) -> bool:
        return Path(str(self._get_load_path())).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
