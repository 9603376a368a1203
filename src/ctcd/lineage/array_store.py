"""Named arrays on disk under keys that say what they were computed from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ctcd.lineage.files import atomic_file, remove_leftovers

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


class ArrayStore:
    """A folder with one safetensors file for each key, whole or absent; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist."""
        self.folder = folder
        remove_leftovers(folder)

    def load(self, key: str) -> Arrays | None:
        """The arrays of a key; None if there are none, or their file is damaged."""
        path = self._path(key)
        try:
            return load(path.read_bytes())
        except FileNotFoundError:
            return None
        except SafetensorError:
            logger.warning("'%s' is damaged and is made anew.", path)
            return None

    def save(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the arrays of a key atomically."""
        with atomic_file(self._path(key)) as file:
            file.write(save({name: array.copy(order="C") for name, array in arrays.items()}))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"
