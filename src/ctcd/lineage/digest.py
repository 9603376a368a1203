"""Digests: equal for equal content, wherever it lies and whatever its file is called.

`digest` is of plain values, `content_digest`, `file_digest` and `ContentDigest` are of bytes.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from transformers import PreTrainedTokenizerBase

LENGTH = 32  # hexadecimal digits: 128 bits
BYTES_AT_ONCE = 1 << 20
CLOCK_NS = 2_000_000_000  # file systems may tell times no finer apart
WEIGHTS = ("*.safetensors", "*.bin", "*.index.json")
# What the last call of a tokenizer leaves behind in it.
TOKENIZER_STATE = ("truncation", "padding")


class ContentDigest:
    """A digest of bytes that come in pieces; how they are cut does not matter."""

    def __init__(self) -> None:
        """Start with no bytes."""
        self._hash = hashlib.sha256()

    def update(self, content: "ReadableBuffer") -> None:
        """Add bytes."""
        self._hash.update(content)

    @property
    def value(self) -> str:
        """The digest of the bytes so far."""
        return self._hash.hexdigest()[:LENGTH]


def content_digest(content: "ReadableBuffer") -> str:
    """The digest of bytes."""
    whole = ContentDigest()
    whole.update(content)
    return whole.value


def digest(*values: Any) -> str:
    """The digest of plain values: what JSON knows; the order of a mapping's keys does not matter.

    Raises:
        TypeError: for anything else, whose text might name a place in memory.
    """
    return content_digest(json.dumps(values, sort_keys=True).encode())


def file_digest(path: Path) -> str:
    """The digest of a file's content, read in pieces."""
    whole = ContentDigest()
    with path.open("rb") as file:
        while content := file.read(BYTES_AT_ONCE):
            whole.update(content)
    return whole.value


def kept_file_digest(path: Path) -> str:
    """`file_digest`, computed once in this process as long as the file's size and time of change stay the same."""
    status = path.stat()
    if time_ns() - status.st_mtime_ns < CLOCK_NS:
        return file_digest(path)  # another change could have the same time
    return _digest_of_version(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _digest_of_version(path: Path, size: int, changed: int) -> str:
    return file_digest(path)


def folder_digest(folder: Path, patterns: Iterable[str] = ("**/*",)) -> str:
    """The digest of the files in a folder that match a pattern: their paths there, and their content."""
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return digest({path.relative_to(folder).as_posix(): kept_file_digest(path) for path in files})


def weights_fingerprint(folder: Path) -> str:
    """Identify a model folder by its configuration and weights."""
    return folder_digest(folder, ("config.json", *WEIGHTS))


def tokenizer_fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Identify what a tokenizer does to text, whatever truncation its last call left behind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest(type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.special_tokens_map)
    content = {name: value for name, value in json.loads(backend.to_str()).items() if name not in TOKENIZER_STATE}
    return digest(content, tokenizer.special_tokens_map, tokenizer.truncation_side)


def table_fingerprint(frame: pd.DataFrame) -> str:
    """Identify the rows of a table and their order."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return digest(list(frame.columns), content_digest(hashes.data))
