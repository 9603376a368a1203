"""Shaping text into paragraphs and documents, as streams of strings."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

MAXIMUM_CHARACTERS = 20_000  # of a document

_GATHERED_CHARACTERS = 5_000  # of a document made of very short rows
_SHORT_ROW = 200  # characters, below which a row is no document of its own
_SAMPLED_ROWS = 256
_SAMPLED_LINES = 1_000
_SAMPLED_CHARACTERS = 2_000_000
_WRAP_WIDTHS = range(40, 121)  # columns
_SENTENCE_ENDS = (".", "!", "?", '."', '!"', '?"', ".”", "!”", "?”", ".'", ".’", ".)")
_STARTS_PARAGRAPH = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|#+|>|\|)\s")


class Row(NamedTuple):
    """A row of a table: its text, and what names the document that it is a part of (None: it is one itself)."""

    text: str
    document: object = None


class Piece(NamedTuple):
    """A document's text, and whether it goes on with the file, row or book of the piece before."""

    text: str
    continues: bool


_Text = TypeVar("_Text", str, Row)


def join_wrapped_lines(lines: Iterable[str]) -> Iterator[str]:
    """Paragraphs of plain text: its lines, or several lines joined where they were wrapped at some column.

    Whether they were is judged by the first thousand lines: at least half of them then end within a sentence, and have
    no room for the next line's first word. Blank lines always part paragraphs.
    """
    stream = iter(lines)
    sample = _take(stream, _SAMPLED_LINES)
    width = _wrap_width([line.strip() for line in sample])
    stream = itertools.chain(sample, stream)
    if not width:
        yield from filter(None, (line.strip() for line in stream))
        return
    paragraph = ""
    last = ""  # line of the paragraph
    for line in stream:
        text = line.strip()
        finished = last.endswith(_SENTENCE_ENDS) and not _is_full(last, text, width)
        if paragraph and (not text or finished or _STARTS_PARAGRAPH.match(line)):
            yield paragraph
            paragraph = ""
        # A wrapped compound ("well-" / "known") gets no space.
        separator = "" if not paragraph or re.search(r"\w-$", paragraph) else " "
        paragraph, last = paragraph + separator + text, text
        if len(paragraph) > MAXIMUM_CHARACTERS:
            yield paragraph
            paragraph = ""
    if paragraph:
        yield paragraph


def cut_documents(paragraphs: Iterable[str], characters: int = MAXIMUM_CHARACTERS) -> Iterator[str]:
    """Documents of at most `characters`, cut between paragraphs, and too long paragraphs between sentences or words."""
    gathered: list[str] = []
    size = 0
    for paragraph in itertools.chain.from_iterable(_cut_paragraph(paragraph) for paragraph in paragraphs):
        if gathered and size + len(paragraph) > characters:
            yield "\n".join(gathered)
            gathered, size = [], 0
        gathered.append(paragraph)
        size += len(paragraph) + 1
    if gathered:
        yield "\n".join(gathered)


def pieces(texts: Iterable[str], continues: bool = False) -> Iterator[Piece]:
    """Texts that are parts of one whole, of which the first may go on with what was before."""
    for text in texts:
        yield Piece(text, continues)
        continues = True


def documents_of_rows(rows: Iterable[Row]) -> Iterator[Piece]:
    """Documents of a table's rows: one or more for each row, or one for many where rows are lines of a running text.

    The first rows tell: many empty ones (a paragraph per row, as in WikiText) or a median below 200 characters. Rows
    that belong to one document are never gathered.
    """
    stream = iter(rows)
    sample = _take(stream, _SAMPLED_ROWS)
    lengths = sorted(len(row.text) for row in sample if row.text.strip())
    median = lengths[len(lengths) // 2] if lengths else 0
    gather = len(lengths) < 0.9 * len(sample) or median < _SHORT_ROW
    gather &= all(row.document is None for row in sample)
    last = None
    if gather:
        lines = (line for row in itertools.chain(sample, stream) for line in join_wrapped_lines(row.text.split("\n")))
        for text in cut_documents(lines, _GATHERED_CHARACTERS):
            yield Piece(text, continues=False)
        return
    for row in itertools.chain(sample, stream):
        paragraphs = join_wrapped_lines(row.text.split("\n"))
        for piece in pieces(cut_documents(paragraphs), row.document is not None and row.document == last):
            yield piece
            last = row.document


def _take(stream: Iterator[_Text], count: int) -> list[_Text]:
    """Take the first `count` texts or rows, fewer where they are long."""
    taken: list[_Text] = []
    characters = 0
    while len(taken) < count and characters < _SAMPLED_CHARACTERS:
        item = next(stream, None)
        if item is None:
            break
        taken.append(item)
        characters += len(item if isinstance(item, str) else item.text)
    return taken


def _wrap_width(lines: list[str]) -> int:
    """Judge at which column `lines` were wrapped, 0 if they were not."""
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[int(0.98 * (len(lengths) - 1))] if lengths else 0
    pairs = [(line, following) for line, following in itertools.pairwise(lines) if line and following]
    if not pairs or width not in _WRAP_WIDTHS:
        return 0
    unfinished = sum(not line.endswith(_SENTENCE_ENDS) for line, _ in pairs)
    full = sum(_is_full(line, following, width) for line, following in pairs)
    return width if unfinished >= 0.5 * len(pairs) and full >= 0.5 * len(pairs) else 0


def _is_full(line: str, following: str, width: int) -> bool:
    """Whether the first word of `following` would not have fitted on `line`, with a tenth of the width as slack."""
    return len(line) + 1 + len(following.partition(" ")[0]) > 0.9 * width


def _cut_paragraph(paragraph: str) -> Iterator[str]:
    while len(paragraph) > MAXIMUM_CHARACTERS:
        end = paragraph.rfind(". ", 0, MAXIMUM_CHARACTERS) + 1 or paragraph.rfind(" ", 0, MAXIMUM_CHARACTERS)
        end = end if end > 0 else MAXIMUM_CHARACTERS
        yield paragraph[:end].rstrip()
        paragraph = paragraph[end:].lstrip()
    if paragraph:
        yield paragraph
