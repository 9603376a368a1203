"""Base of the datasets that are a folder: versioned by Kedro, whole or absent."""

import glob
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, DatasetError, Version

from ctcd.lineage.files import atomic_folder, remove_leftovers


class FolderDataset(AbstractVersionedDataset[Any, Any]):
    """A local folder that is seen whole or not at all.

    A subclass gives `_write(folder, data)`, `_read(folder)` and `MARKER`, a file that a complete folder has.
    """

    MARKER: str

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Describe the folder.

        Args:
            filepath: the folder; with a version `<filepath>/<version>/<name>`.
            version: given by Kedro when the catalog says `versioned: true`.
            metadata: for plugins such as kedro-viz; not used here.
        """
        self.metadata = metadata
        super().__init__(
            filepath=PurePosixPath(filepath),
            version=version,
            exists_function=self._is_complete,
            glob_function=lambda pattern: glob.glob(str(pattern)),  # noqa: PTH207  Kedro's pattern is absolute
        )

    def _write(self, folder: Path, data: Any) -> None:
        raise NotImplementedError

    def _read(self, folder: Path) -> Any:
        raise NotImplementedError

    def _is_complete(self, folder: str) -> bool:
        return (Path(folder) / self.MARKER).is_file()

    def save(self, data: Any) -> None:
        """Write the folder."""
        target = Path(self._get_save_path())
        for place in target.parent, *Path(self._filepath).glob("*/"):
            remove_leftovers(place)
        with atomic_folder(target) as folder:
            self._write(folder, data)

    def load(self) -> Any:
        """Read the folder, the latest version unless one is pinned."""
        folder = Path(self._get_load_path())
        if not self._is_complete(str(folder)):
            raise DatasetError(f"'{folder}' does not exist: run the pipeline that makes it first.")
        return self._read(folder)

    def _exists(self) -> bool:
        try:
            return self._is_complete(str(self._get_load_path()))
        except DatasetError:
            return False

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
