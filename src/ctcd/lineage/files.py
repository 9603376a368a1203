"""Files and folders that are seen whole or not at all, also after a kill or a power cut.

Everything is written under a partial name beside its place, flushed to the disk, and then renamed. A partial name
holds the machine and the process, so two runs never write one file, and what a dead process left is recognised.
"""

import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from ctcd.lineage.digest import digest

_PARTIAL = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})\.(?P<process>\d+)\.(?P<number>[0-9a-f]{32})\.partial", re.DOTALL)
_writing: set[str] = set()  # numbers of what this process is writing now


@contextmanager
def atomic_file(path: Path, final_name: Callable[[], str] | None = None) -> Iterator[BinaryIO]:
    """Write a file; it appears, or replaces the one that is there, when the block ends without an error.

    Args:
        path: where it goes; folders are made.
        final_name: gives the file's name once all is written, where the content decides it.
    """
    with _partial(path) as partial:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path.with_name(final_name()) if final_name else path)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Fill a new, empty folder; it appears, or replaces the one that is there, when the block ends without an error.

    A folder cannot be replaced in one step: a crash at the wrong moment leaves none, but never half of one.
    """
    with _partial(path) as partial:
        partial.mkdir()
        yield partial
        for folder, _, files in os.walk(partial):
            for name in files:
                _sync(Path(folder, name))
            _sync(Path(folder))
        with _partial(path) as old:
            while True:
                with suppress(FileNotFoundError):
                    path.rename(old)
                try:
                    partial.rename(path)
                    break
                except OSError:
                    if not path.exists():
                        if old.exists():
                            old.rename(path)
                        raise
                    _remove(old)  # another process put its own folder there in between
        _sync(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that are dead were writing in a folder."""
    for path in list(folder.glob(".*.partial")):
        if _is_leftover(path.name):
            _remove(path)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A free name beside a path; on a full disk half a file would only take room, so nothing stays under it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = uuid.uuid4().hex
    partial = path.with_name(f".{path.name}.{_machine()}.{os.getpid()}.{number}.partial")
    _writing.add(number)
    try:
        yield partial
    finally:
        _remove(partial)
        _writing.discard(number)


@cache
def _machine() -> str:
    """Where process ids mean the same: a machine, or a container on it."""
    namespace = Path("/proc/self/ns/pid")
    return digest(socket.gethostname(), str(namespace.readlink()) if namespace.is_symlink() else "")[:8]


def _is_leftover(name: str) -> bool:
    found = _PARTIAL.fullmatch(name)
    if found is None or found["machine"] != _machine():
        return False
    if int(found["process"]) == os.getpid():
        return found["number"] not in _writing
    try:
        os.kill(int(found["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
