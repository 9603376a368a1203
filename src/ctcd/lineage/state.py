"""The state of a training under way: whole, checked and resumable.

A state is one file `step-<step>-<digest>.pt` of tensors and plain values. Its name carries the digest of its content,
so a truncated or altered file is recognised; the one before it is used then.
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from ctcd.lineage.digest import ContentDigest, file_digest
from ctcd.lineage.files import atomic_file, remove_leftovers

logger = logging.getLogger(__name__)


class StateStore:
    """States of one training in one folder, the newest last."""

    def __init__(self, folder: Path, label: str) -> None:
        """Use a folder, which need not exist, for the training of that label."""
        self.folder, self.label = folder, label

    def save(self, state: Mapping[str, Any], step: int, keep: int) -> None:
        """Write a state atomically and without a copy in memory, then remove all but the newest `keep`."""
        remove_leftovers(self.folder)
        content = ContentDigest()
        with atomic_file(self.folder / "state", lambda: f"step-{step:09d}-{content.value}.pt") as file:
            _HashingFile(file, content).save(state)
        for old in self._files()[:-keep]:
            old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole, on the CPU; None if there is none."""
        for path in reversed(self._files()):
            if file_digest(path) == path.stem.rsplit("-", 1)[1]:
                return torch.load(path, map_location="cpu", weights_only=True)
            logger.warning("The training state %s is damaged and removed; using the one before it.", path.name)
            path.unlink()
        return None

    def clear(self) -> None:
        """Remove all states."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))


class _HashingFile:
    """A file that is written once from start to end, and the digest of what goes into it."""

    def __init__(self, file: BinaryIO, digest: ContentDigest) -> None:
        self._file, self._digest = file, digest
        self._error: OSError | None = None

    def save(self, state: Mapping[str, Any]) -> None:
        try:
            torch.save(dict(state), cast(IO[bytes], self))
        except RuntimeError as error:
            raise self._error or error from None  # PyTorch hides that the disk is full

    def write(self, content: bytes) -> int:
        self._digest.update(content)
        try:
            return self._file.write(content)
        except OSError as error:
            self._error = error
            raise

    def flush(self) -> None:
        self._file.flush()
