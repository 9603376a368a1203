"""The state of a training under way: whole, checked and resumable.

A state is one file `step-<step>-<sha256>.pt` of tensors and plain values. Its name carries the digest of its content,
so a truncated or altered file is recognised; the one before it is used then.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

logger = logging.getLogger(__name__)


class StateStore:
    """States of one training in one folder, the newest last."""

    def __init__(self, folder: Path, label: str) -> None:
        """Use a folder, which need not exist, for the training of that label."""
        self.folder, self.label = folder, label

    def save(self, state: Mapping[str, Any], step: int, keep: int) -> None:
        """Write a state atomically and without a copy in memory, then remove all but the newest `keep`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "unfinished.partial"
        try:
            with partial.open("wb") as file:
                hashing = _HashingFile(file)
                hashing.save(state)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.folder / f"step-{step:09d}-{hashing.digest.hexdigest()}.pt")
            _sync_folder(self.folder)
        finally:
            partial.unlink(missing_ok=True)  # on a full disk half a state would only take room
        for old in self._files()[:-keep]:
            old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole, on the CPU; None if there is none."""
        for path in reversed(self._files()):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == path.stem.rsplit("-", 1)[1]:
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
    """A file that is written once from start to end, and the digest of what went into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._error: OSError | None = None
        self.digest = hashlib.sha256()

    def save(self, state: Mapping[str, Any]) -> None:
        try:
            torch.save(dict(state), cast(IO[bytes], self))
        except RuntimeError as error:
            raise self._error or error from None  # PyTorch hides that the disk is full

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        try:
            return self._file.write(content)
        except OSError as error:
            self._error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def _sync_folder(folder: Path) -> None:
    """Make a new name outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
