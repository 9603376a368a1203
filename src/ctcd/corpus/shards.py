"""Packed sequences on disk: Arrow files that are memory-mapped, with their fingerprint beside them.

A shards folder holds `train-00000.arrow`, `heldout-00000.arrow`, ... (one column, `input_ids`, a fixed-size list of
unsigned integers; `datasets.Dataset.from_file` opens each) and `metadata.json`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from ctcd.errors import InputError
from ctcd.lineage.digest import ContentDigest

METADATA = "metadata.json"
ROWS_PER_BATCH = 4096
SHARD_BYTES = 128 << 20


class ShardWriter:
    """Cuts one split's stream of tokens into sequences `[CLS] ... [SEP]` without padding and writes them.

    Memory stays constant: at most a batch of rows waits. What is left at the end and fills no sequence is dropped.
    """

    def __init__(self, folder: Path, split: str, sequence_length: int, first: int, last: int, vocabulary: int) -> None:
        """Start a split.

        Args:
            folder: where the Arrow files go.
            split: their name.
            sequence_length: tokens per sequence, the first and the last special token included.
            first: id put at the start of every sequence.
            last: id put at the end of every sequence.
            vocabulary: number of ids; up to 65,536 they are stored in 16 bits.
        """
        self._folder, self._split, self._length, self._first, self._last = folder, split, sequence_length, first, last
        self.dtype = np.uint16 if vocabulary <= 1 << 16 else np.uint32
        self._schema = pa.schema([("input_ids", pa.list_(pa.from_numpy_dtype(self.dtype), sequence_length))])
        self._waiting: list[np.ndarray] = []
        self._waiting_tokens = 0
        self._stream: pa.ipc.RecordBatchStreamWriter | None = None
        self._shards = self._bytes = 0
        self.sequences = self._last_cut = 0
        self.digest = ContentDigest()

    def __enter__(self) -> Self:
        """Nothing to open yet: a split without a full sequence has no file."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Write what waits and close the last file."""
        if kind is None:
            self._write_full_sequences()
        self._close_shard()

    def add(self, token_ids: np.ndarray) -> None:
        """Take the next tokens of the split, in the writer's `dtype`."""
        self._waiting.append(token_ids)
        self._waiting_tokens += len(token_ids)
        if self._waiting_tokens >= ROWS_PER_BATCH * self._length:
            self._write_full_sequences()

    def cut(self) -> int:
        """Let no sequence go on with what was added before; what fills no sequence is dropped.

        Returns:
            The number of sequences since the last cut.
        """
        self._write_full_sequences()
        self._waiting, self._waiting_tokens = [], 0
        since, self._last_cut = self.sequences - self._last_cut, self.sequences
        return since

    def _write_full_sequences(self) -> None:
        content = self._length - 2
        tokens = np.concatenate(self._waiting) if self._waiting else np.empty(0, self.dtype)
        rows = len(tokens) // content
        self._waiting, self._waiting_tokens = [tokens[rows * content :]], len(tokens) - rows * content
        if not rows:
            return
        block = np.empty((rows, self._length), self.dtype)
        block[:, 0], block[:, -1] = self._first, self._last
        block[:, 1:-1] = tokens[: rows * content].reshape(rows, content)
        self.sequences += rows
        self.digest.update(block.data)
        self._write(block)

    def _write(self, block: np.ndarray) -> None:
        if self._stream is None:
            path = self._folder / f"{self._split}-{self._shards:05d}.arrow"
            self._stream = pa.ipc.new_stream(str(path), self._schema)
            self._shards, self._bytes = self._shards + 1, 0
        column = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), self._length)
        self._stream.write_batch(pa.record_batch([column], schema=self._schema))
        self._bytes += block.nbytes
        if self._bytes >= SHARD_BYTES:
            self._close_shard()

    def _close_shard(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@dataclass(frozen=True)
class Sequences:
    """Rows of token ids in memory-mapped files: (sequences, length).

    Attributes:
        blocks: one for each file: (rows, length).
        starts: the number of the first row of each block, and the number of all rows.
        kept: the rows that count, ascending; None if all do.
    """

    blocks: list[np.ndarray]
    starts: np.ndarray
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.starts[-1]) if self.kept is None else len(self.kept)

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.blocks[0].shape[1]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """The rows with the given indices among those that count, as 64-bit integers: (indices, length)."""
        indices = indices if self.kept is None else self.kept[indices]
        blocks = np.searchsorted(self.starts, indices, side="right") - 1
        rows = [self.blocks[block][index - self.starts[block]] for block, index in zip(blocks, indices, strict=True)]
        return np.stack(rows).astype(np.int64)


class Shards:
    """A shards folder, opened for reading."""

    def __init__(self, folder: Path) -> None:
        """Open a folder.

        Raises:
            InputError: if it is no shards folder.
        """
        self.folder = folder
        path = folder / METADATA
        if not path.is_file():
            raise InputError(f"'{folder}' holds no tokenized shards: run `kedro run --pipelines=corpus` first.")
        self.metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))

    @property
    def sequence_length(self) -> int:
        """Tokens per sequence, special tokens included."""
        return self.metadata["sequence_length"]

    def files(self, split: str) -> list[Path]:
        """The Arrow files of a split, in order."""
        return sorted(self.folder.glob(f"{split}-*.arrow"))

    @property
    def sources(self) -> list[str]:
        """The names of the sources, in the order in which their sequences lie."""
        return list(self.metadata["sources"])

    def sequences(self, split: str, sources: Sequence[str] | None = None) -> Sequences:
        """All sequences of a split, memory-mapped, or those of some sources alone.

        Raises:
            InputError: if there is no such source, or they have no sequence.
        """
        blocks = [block for path in self.files(split) for block in _memory_map(path, self.sequence_length)]
        if sources is not None:
            check_sources(sources, self.sources, self.metadata["source"])
            counts = [self.metadata["sources"][name][split]["sequences"] for name in self.sources]
            ends = np.cumsum(counts)
            wanted = [
                (int(end) - count, int(end))
                for name, count, end in zip(self.sources, counts, ends, strict=True)
                if name in sources
            ]
            blocks = [part for first, last in wanted for part in _between(blocks, first, last)]
        if not blocks:
            raise InputError(f"The shards in '{self.folder}' have no {split} sequence: prepare a longer corpus.")
        return Sequences(blocks, np.cumsum([0, *map(len, blocks)]))

    def check_tokenizer(self, identity: str) -> None:
        """Refuse a tokenizer that did not make these shards.

        Raises:
            InputError: if the fingerprints differ.
        """
        made_with = self.metadata.get("tokenizer_fingerprint")
        if identity != made_with:
            raise InputError(
                f"The shards in '{self.folder}' were made with another tokenizer (fingerprint {made_with}, not "
                f"{identity}): run `kedro run --pipelines=corpus` again."
            )


def check_sources(wanted: Iterable[str], known: Iterable[str], corpus: str) -> None:
    """Refuse names of sources that a corpus has not.

    Raises:
        InputError: naming the first.
    """
    known = list(known)
    for name in wanted:
        if name not in known:
            raise InputError(f"The corpus '{corpus}' has no source '{name}': choose from {', '.join(known)}.")


def _between(blocks: list[np.ndarray], first: int, last: int) -> Iterator[np.ndarray]:
    """The rows from `first` to before `last` of blocks that follow one another."""
    start = 0
    for block in blocks:
        part = block[max(0, first - start) : max(0, last - start)]
        if len(part):
            yield part
        start += len(block)


def _memory_map(path: Path, length: int) -> list[np.ndarray]:
    table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    chunks = table.column("input_ids").chunks
    return [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, length) for chunk in chunks]
