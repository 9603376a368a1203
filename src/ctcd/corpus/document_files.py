"""Reading documents from text files, JSON lines and Parquet: which files, whether they can be read, what they hold."""

import codecs
import glob
import gzip
import itertools
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import pyarrow
import pyarrow.parquet

from ctcd.corpus.paragraphs import Piece, Row, cut_documents, documents_of_rows, join_wrapped_lines, pieces
from ctcd.errors import InputError, first_line
from ctcd.lineage.digest import content_digest, digest

_FORMATS = {".txt": "text", ".md": "text", ".jsonl": "JSON lines", ".json": "JSON lines", ".parquet": "Parquet"}
_SUFFIXES = ".txt, .md, .jsonl, .json (each also with .gz) or .parquet"
_COMPANIONS = ("readme", "license", "licence", "changelog", "citation")  # not data where they lie beside data
_ROWS_PER_BATCH = 64
_LONGEST_LINE = 1_000_000  # characters of a text file's line that are read at once
_WHOLE_LINES = -1
_IDENTIFIED_BYTES = 1 << 18  # of each end of a file


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read: `text`, and `document` where rows are parts of documents."""

    text: str
    document: str | None = None

    def by_setting(self) -> dict[str, str]:
        """The names of the columns under those of the settings that give them."""
        return {"text_column": self.text} | ({} if self.document is None else {"document_column": self.document})

    def named(self) -> list[str]:
        """The names of the columns."""
        return list(self.by_setting().values())

    def row(self, values: Mapping[str, Any]) -> Row:
        """What a row says."""
        return Row(values[self.text] or "", None if self.document is None else values[self.document])


def find_files(source: str) -> list[Path]:
    """Files of a folder (with its subfolders), of a glob or the one file named, in a fixed order, all of one format.

    Hidden files and files of other formats are passed over; so are readme and licence files beside data.

    Raises:
        InputError: if there are none, or if they are of several formats.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        candidates = _visible_files(path, "**/*")
    elif path.exists():
        candidates = [path]
    else:
        parts = path.parts
        folder = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        pattern = "/".join(parts[len(folder.parts) :])
        if not glob.has_magic(pattern) or not folder.is_dir():
            raise InputError(
                f"'{source}' does not exist: give documents as a folder, a file, a glob, hub:owner/name or "
                "installed-packages."
            )
        candidates = _visible_files(folder, pattern)
    files = sorted((file for file in candidates if _format(file)), key=lambda file: file.as_posix())
    if len({_format(file) for file in files}) > 1:
        files = [file for file in files if not file.name.lower().startswith(_COMPANIONS)]
    if not files:
        raise InputError(f"No documents in '{source}': expected files that end in {_SUFFIXES}.")
    formats = Counter(_format(file) for file in files)
    if len(formats) > 1:
        found = " and ".join(f"{count} {name}" for name, count in sorted(formats.items()))
        raise InputError(f"'{source}' mixes formats ({found}): choose one with a glob such as '{source}/**/*.txt'.")
    return files


def check_file(path: Path, columns: Columns) -> None:
    """Check what is cheap to check: that `path` can be opened, and a table's columns.

    Raises:
        InputError: see `read_file`.
    """
    if _format(path) == "Parquet":
        _open_parquet(path, columns).close()
    elif _format(path) == "JSON lines":
        next(_rows_of_json_lines(path, columns), None)
    else:
        _open_text(path).close()


def read_file(path: Path, columns: Columns) -> Iterator[Piece]:
    """Texts of the documents in `path`, read as they are asked for; a text file is one whole, however it is cut.

    Raises:
        InputError: if the file cannot be read, is not UTF-8, or a row has no text.
    """
    if _format(path) == "text":
        return pieces(cut_documents(join_wrapped_lines(_lines(path, _LONGEST_LINE))))
    rows = _rows_of_parquet if _format(path) == "Parquet" else _rows_of_json_lines
    return documents_of_rows(rows(path, columns))


def identify_files(files: list[Path]) -> str:
    """Hash of names, sizes and both ends of the files; where the files lie and when they were written has no part."""
    root = os.path.commonpath([file.parent for file in files])
    identity = []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(_IDENTIFIED_BYTES)
            stream.seek(max(_IDENTIFIED_BYTES, size - _IDENTIFIED_BYTES))
            ends = content_digest(start + stream.read())
        identity.append((Path(os.path.relpath(file, root)).as_posix(), size, ends))
    return digest(identity)


def _visible_files(folder: Path, pattern: str) -> list[Path]:
    def is_visible(path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    return [path for path in folder.glob(pattern) if is_visible(path) and path.is_file()]


def _format(path: Path) -> str | None:
    name = path.name.lower().removesuffix(".gz")
    format_name = _FORMATS.get(Path(name).suffix)
    return None if format_name == "Parquet" and path.name.lower().endswith(".gz") else format_name


def _open_text(path: Path) -> TextIO:
    try:
        if path.name.lower().endswith(".gz"):
            return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig"))
        return path.open(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read '{path}' ({error.strerror}): check its permissions.") from error


def _lines(path: Path, longest: int) -> Iterator[str]:
    """Lines of a UTF-8 file; what is longer than `longest` characters comes in pieces."""
    try:
        with _open_text(path) as stream:
            while line := stream.readline(longest):
                yield line
    except UnicodeDecodeError as error:
        offset = _first_invalid_byte(path)
        raise InputError(
            f"'{path}' is not UTF-8 (first at byte {offset}): save it as UTF-8, or take it out of the folder."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"Cannot read '{path}' ({first_line(error)}): replace or remove it.") from error


def _first_invalid_byte(path: Path) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    opener: Any = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        while True:
            block = stream.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return position - pending + error.start
            if not block:
                return position
            position += len(block)


def _rows_of_json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, _WHOLE_LINES), start=1):
        if not line.strip():
            continue
        place = f"'{path}', line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{place} is not JSON (column {error.colno}): put one whole object on each line."
            ) from error
        if not isinstance(row, dict):
            raise InputError(f"{place} is no JSON object: put one whole object on each line.")
        for setting, column in columns.by_setting().items():
            if column not in row:
                raise _no_column(place, setting, column, row)
        text = row[columns.text]
        if not isinstance(text, str | None):
            raise _no_text(place, columns.text, type(text).__name__)
        yield columns.row(row)


def _rows_of_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    try:
        with _open_parquet(path, columns) as file:
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns.named()):
                yield from map(columns.row, batch.to_pylist())
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}': column '{columns.text}' is not UTF-8: write the file anew.") from error
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"Cannot read '{path}' as Parquet ({first_line(error)}): replace or remove it.") from error


def _open_parquet(path: Path, columns: Columns) -> Any:
    try:
        # Without the read-ahead of pre_buffer memory stays small however large the row groups are.
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"Cannot read '{path}' as Parquet ({first_line(error)}): replace or remove it.") from error
    schema = file.schema_arrow
    for setting, column in columns.by_setting().items():
        if column not in schema.names:
            raise _no_column(f"'{path}'", setting, column, schema.names)
    kind = schema.field(columns.text).type
    values = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if not (pyarrow.types.is_string(values) or pyarrow.types.is_large_string(values)):
        raise _no_text(f"'{path}'", columns.text, str(kind))
    return file


def _no_column(place: str, setting: str, column: str, columns: Iterable[str]) -> InputError:
    return InputError(f"{place} has no column '{column}': set {setting} to one of {', '.join(columns)}.")


def _no_text(place: str, text_column: str, kind: str) -> InputError:
    return InputError(f"{place}: column '{text_column}' holds {kind}, not text: set text_column to another one.")
