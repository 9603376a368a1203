"""Documents: what a text source is made of, whatever its format."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ctcd.corpus.document_files import Columns, check_file, find_files, identify_files, read_file
from ctcd.corpus.paragraphs import documents_of_rows
from ctcd.errors import InputError, first_line
from ctcd.lineage.digest import digest
from ctcd.lineage.settings import HUB

UNNAMED = "text"  # the name of the source of documents that were given without one
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True)
class Document:
    """A text with one paragraph per line.

    Attributes:
        text: the paragraphs.
        topic: what it is about, or where it is from.
        continues: whether it goes on with the file, row or book that the document before it is a part of.
        source: the name of the source that it belongs to.
        language: of the text; it decides where sentences end.
    """

    text: str
    topic: str
    continues: bool = False
    source: str = UNNAMED
    language: str = DEFAULT_LANGUAGE


@dataclass(frozen=True)
class Documents:
    """A collection that is read anew, in the same order and in constant memory, each time it is iterated over.

    Attributes:
        name: What it is, for people.
        read: Starts reading.
        identify: Computes the fingerprint.
        is_distinct: Whether it is known that nothing in it is repeated.
        sources: The named ones that it is made of, one after the other; none if they have no names.
    """

    name: str
    read: Callable[[], Iterator[Document]]
    identify: Callable[[], str]
    is_distinct: bool = False
    sources: Mapping[str, "Documents"] = field(default_factory=dict)

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


def read_documents(
    source: str | Sequence[str], text_column: str = "text", document_column: str | None = None
) -> Documents:
    """Documents of a folder, a file, a glob or a hub data set, or of several of them one after the other.

    Text files (.txt, .md) are one document each, or several where they are long. JSON lines and Parquet files give
    `text_column` of each row; very short rows are gathered. A hub data set, read as a stream, is named
    `hub:owner/name[:configuration][:split]`, its split being `train` unless given.

    `Document.topic` is a text file's stem, the folder of a table and the name of a hub data set.

    Args:
        source: one of these, or several.
        text_column: of tables.
        document_column: of tables whose documents are cut into rows: consecutive rows with the same value in this
            column are one document, such as the chapters of a book under its title.

    Raises:
        InputError: if the source is missing, empty, of mixed formats, or a table without these columns.
    """
    columns = Columns(text_column, document_column)
    if not isinstance(source, str):
        return _chain([read_documents(part, text_column, document_column) for part in source])
    if source.startswith(HUB):
        return _read_hub(source, columns)
    files = find_files(source)
    for file in files:
        check_file(file, columns)
    return Documents(source, partial(_read_files, files, columns), partial(_identify_files, files, columns))


def join_sources(sources: Mapping[str, Documents]) -> Documents:
    """Sources with names, one after the other; each document knows which one it is from.

    Raises:
        InputError: if there is none.
    """
    named = {
        name: replace(documents, read=partial(_read_source, documents, name)) for name, documents in sources.items()
    }
    joined = _chain(list(named.values()))
    identity = partial(_identify_sources, named)
    name = " + ".join(f"{name}: {documents.name}" for name, documents in named.items())
    return replace(joined, name=name, identify=identity, sources=named)


def _read_source(documents: Documents, name: str) -> Iterator[Document]:
    return (replace(document, source=name) for document in documents)


def _identify_sources(sources: Mapping[str, Documents]) -> str:
    return digest([(name, documents.fingerprint()) for name, documents in sources.items()])


def _chain(parts: list[Documents]) -> Documents:
    if not parts:
        raise InputError("No documents: the list of sources is empty.")
    name = " + ".join(part.name for part in parts)
    return Documents(name, partial(itertools.chain.from_iterable, parts), partial(_identify_chain, parts))


def _identify_chain(parts: list[Documents]) -> str:
    return digest(*(part.fingerprint() for part in parts))


def _read_files(files: list[Path], columns: Columns) -> Iterator[Document]:
    for file in files:
        is_text = file.name.lower().removesuffix(".gz").endswith((".txt", ".md"))
        topic = file.name.partition(".")[0] if is_text else file.resolve().parent.name
        for text, continues in read_file(file, columns):
            yield Document(text, topic, continues)


def _identify_files(files: list[Path], columns: Columns) -> str:
    return digest(identify_files(files), *columns.named())


def _read_hub(source: str, columns: Columns) -> Documents:
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
    for setting, column in columns.by_setting().items():
        if rows.column_names is not None and column not in rows.column_names:
            names = ", ".join(rows.column_names)
            raise InputError(f"'{source}' has no column '{column}' (it has {names}): set {setting} to one of them.")
    identity = (name, configuration, split, revision, *columns.named())
    return Documents(source, partial(_read_rows, rows, source, columns), partial(digest, *identity))


def _find_revision(name: str) -> str:
    from huggingface_hub import dataset_info

    return str(dataset_info(name).sha)


def _read_rows(rows: Any, source: str, columns: Columns) -> Iterator[Document]:
    topic = source.removeprefix(HUB).partition(":")[0].rpartition("/")[2]
    chosen = (columns.row(row) for row in rows.select_columns(columns.named()))
    for text, continues in documents_of_rows(chosen):
        yield Document(text, topic, continues)
