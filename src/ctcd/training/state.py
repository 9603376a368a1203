"""The state of a training under way: whole, checked and resumable.

A state is one file `step-<step>-<sha256>.pt` of tensors and plain values. Its name carries the digest of its content,
so a truncated or altered file is recognised; the one before it is used then.
"""

import hashlib
import io
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ctcd.errors import InputError

logger = logging.getLogger(__name__)


class StateStore:
    """States of one training in one folder, the newest last."""

    def __init__(self, folder: Path, label: str) -> None:
        """Use a folder, which need not exist, for the training of that label."""
        self.folder, self.label = folder, label

    def save(self, state: Mapping[str, Any], step: int, keep: int) -> None:
        """Write a state atomically, then remove all but the newest `keep`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getbuffer()
        target = self.folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()}.pt"
        partial = target.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)  # on a full disk half a state would only take room
        for old in self._files()[:-keep]:
            old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole, on the CPU; None if there is none."""
        for path in reversed(self._files()):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == path.stem.rsplit("-", 1)[1]:
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            logger.warning("The training state %s is damaged; using the one before it.", path.name)
        return None

    def clear(self) -> None:
        """Remove all states."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], label: str) -> None:
    """Refuse to go on with a state of a different training.

    Raises:
        InputError: naming the first difference.
    """
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise InputError(
                f"The unfinished training of '{label}' has {name} = {found.get(name)!r}, this run has "
                f"{wanted.get(name)!r}: set it back to go on, or start afresh with --params execution.resume=never."
            )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
