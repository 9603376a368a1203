"""Shaping text into paragraphs and documents, as streams of strings."""

import itertools
import re
from collections.abc import Iterable, Iterator

MAXIMUM_CHARACTERS = 20_000  # of a document

_GATHERED_CHARACTERS = 5_000  # of a document made of very short rows
_SHORT_ROW = 200  # characters, below which a row is no document of its own
_SAMPLED_ROWS = 256
_SAMPLED_LINES = 1_000
_SAMPLED_CHARACTERS = 2_000_000
_WRAP_WIDTHS = range(40, 121)  # columns
_SENTENCE_ENDS = (".", "!", "?", '."', '!"', '?"', ".”", "!”", "?”", ".'", ".’", ".)")
_STARTS_PARAGRAPH = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|#+|>|\|)\s")


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


def documents_of_rows(rows: Iterable[str]) -> Iterator[str]:
    """Documents of a table's rows: one or more for each row, or one for many where rows are lines of a running text.

    The first rows tell: many empty ones (a paragraph per row, as in WikiText) or a median below 200 characters.
    """
    stream = iter(rows)
    sample = _take(stream, _SAMPLED_ROWS)
    lengths = sorted(len(row) for row in sample if row.strip())
    median = lengths[len(lengths) // 2] if lengths else 0
    gather = len(lengths) < 0.9 * len(sample) or median < _SHORT_ROW
    paragraphs_of_rows = (join_wrapped_lines(row.split("\n")) for row in itertools.chain(sample, stream))
    if gather:
        yield from cut_documents(itertools.chain.from_iterable(paragraphs_of_rows), _GATHERED_CHARACTERS)
    else:
        for paragraphs in paragraphs_of_rows:
            yield from cut_documents(paragraphs)


def _take(stream: Iterator[str], count: int) -> list[str]:
    """Take the first `count` texts, fewer where they are long."""
    taken: list[str] = []
    characters = 0
    while len(taken) < count and characters < _SAMPLED_CHARACTERS:
        text = next(stream, None)
        if text is None:
            break
        taken.append(text)
        characters += len(text)
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
