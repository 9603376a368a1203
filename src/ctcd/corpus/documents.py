"""Documents: what a text source is made of, whatever its format."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ctcd.corpus.document_files import check_file, find_files, identify_files, read_file
from ctcd.corpus.paragraphs import documents_of_rows
from ctcd.errors import InputError, first_line
from ctcd.lineage.digest import digest
from ctcd.lineage.settings import HUB


@dataclass(frozen=True)
class Document:
    """A text with one paragraph per line, and its topic or origin."""

    text: str
    source: str


@dataclass(frozen=True)
class Documents:
    """A collection that is read anew, in the same order and in constant memory, each time it is iterated over.

    Attributes:
        name: What it is, for people.
        read: Starts reading.
        identify: Computes the fingerprint.
    """

    name: str
    read: Callable[[], Iterator[Document]]
    identify: Callable[[], str]

    def fingerprint(self) -> str:
        """Identity of the content, cheap to compute: equal for equal documents, wherever they lie."""
        return self.identify()

    def __iter__(self) -> Iterator[Document]:
        """Documents in order. Raises InputError if there are none, or when one cannot be read."""
        documents = self.read()
        first = next(documents, None)
        if first is None:
            raise InputError(f"No text in {self.name}: give a source that has some.")
        yield first
        yield from documents


def read_documents(source: str | Sequence[str], text_column: str = "text") -> Documents:
    """Documents of a folder, a file, a glob or a hub data set, or of several of them one after the other.

    Text files (.txt, .md) are one document each, or several where they are long. JSON lines and Parquet files give
    `text_column` of each row; very short rows are gathered. A hub data set, read as a stream, is named
    `hub:owner/name[:configuration][:split]`, its split being `train` unless given.

    `Document.source` is a text file's stem, the folder of a table and the name of a hub data set.

    Raises:
        InputError: if the source is missing, empty, of mixed formats, or a table without `text_column`.
    """
    if not isinstance(source, str):
        return _chain([read_documents(part, text_column) for part in source])
    if source.startswith(HUB):
        return _read_hub(source, text_column)
    files = find_files(source)
    for file in files:
        check_file(file, text_column)
    return Documents(source, partial(_read_files, files, text_column), partial(_identify_files, files, text_column))


def is_heldout(position: int, share: float) -> bool:
    """Whether the document at `position` (from 0) is held out.

    Of every round(1 / share) consecutive documents exactly one is, at a pseudo-random place; of the first ones it is
    the second, so that two documents are enough for a split.
    """
    size = round(1 / share)
    block, place = divmod(position, size)
    if block == 0:
        return place == min(1, size - 1)
    # A draw, not an identity: another one would hold other documents out.
    drawn = hashlib.blake2b(f"{block}/{size}".encode(), digest_size=8).digest()
    return place == int.from_bytes(drawn, "big") % size


def split_documents(documents: Documents, share: float) -> Iterator[tuple[Document, bool]]:
    """Each document and whether it is held out, see `is_heldout`."""
    for position, document in enumerate(documents):
        yield document, is_heldout(position, share)


def _chain(parts: list[Documents]) -> Documents:
    if not parts:
        raise InputError("No documents: the list of sources is empty.")
    name = " + ".join(part.name for part in parts)
    return Documents(name, partial(itertools.chain.from_iterable, parts), partial(_identify_chain, parts))


def _identify_chain(parts: list[Documents]) -> str:
    return digest(*(part.fingerprint() for part in parts))


def _read_files(files: list[Path], text_column: str) -> Iterator[Document]:
    for file in files:
        is_text = file.name.lower().removesuffix(".gz").endswith((".txt", ".md"))
        source = file.name.partition(".")[0] if is_text else file.resolve().parent.name
        for text in read_file(file, text_column):
            yield Document(text, source)


def _identify_files(files: list[Path], text_column: str) -> str:
    return digest(identify_files(files), text_column)


def _read_hub(source: str, text_column: str) -> Documents:
    from datasets import load_dataset

    parts = source.removeprefix(HUB).split(":")
    if not parts[0] or len(parts) > 3:
        raise InputError(f"'{source}' is no hub data set: write hub:owner/name[:configuration][:split].")
    name, configuration, split = [*parts, "", ""][:3]
    split = split or "train"
    try:
        # The present revision is pinned, so that what is read is what the fingerprint names.
        revision = _find_revision(name)
        rows = load_dataset(name, configuration or None, split=split, revision=revision, streaming=True)
    except Exception as error:  # network, name, configuration, split: the libraries have many kinds
        raise InputError(
            f"Cannot open '{source}' ({first_line(error)}): check the name, the split and the network."
        ) from error
    if rows.column_names is not None and text_column not in rows.column_names:
        names = ", ".join(rows.column_names)
        raise InputError(f"'{source}' has no column '{text_column}' (it has {names}): set text_column to one of them.")
    identity = (name, configuration, split, revision, text_column)
    return Documents(source, partial(_read_rows, rows, source, text_column), partial(digest, *identity))


def _find_revision(name: str) -> str:
    from huggingface_hub import dataset_info

    return str(dataset_info(name).sha)


def _read_rows(rows: Any, source: str, text_column: str) -> Iterator[Document]:
    origin = source.removeprefix(HUB).partition(":")[0].rpartition("/")[2]
    texts = (row[text_column] or "" for row in rows.select_columns([text_column]))
    for text in documents_of_rows(texts):
        yield Document(text, origin)
