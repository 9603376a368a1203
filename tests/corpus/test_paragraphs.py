"""Lines become paragraphs, paragraphs and rows become documents."""

import textwrap

import pytest

from ctcd.corpus.paragraphs import MAXIMUM_CHARACTERS, Piece, Row, cut_documents, documents_of_rows, join_wrapped_lines

PARAGRAPHS = [
    "The master could not have told the story better, although he had been present from the beginning to the end of "
    "that long evening, and although nobody in the house had listened with more attention than he.",
    "A second paragraph follows the first one; it is shorter, but still takes more than a single line of text.",
    "The third closes the page with a well-known remark about the weather, which had been fine for all of the week, "
    "and with a question that nobody could answer: what would tomorrow bring?",
]


@pytest.mark.parametrize("width", [50, 72, 100])
def test_hard_wrapped_paragraphs_between_blank_lines_are_joined(width: int) -> None:
    text = "\n\n".join(textwrap.fill(paragraph, width) for paragraph in PARAGRAPHS)
    assert list(join_wrapped_lines(text.split("\n"))) == PARAGRAPHS


def test_one_paragraph_per_line_stays_one_paragraph_per_line() -> None:
    short = [
        "The first of them is short.",
        "So is the second.",
        "And a third one that is a little longer, but not much.",
    ]
    for paragraphs in (PARAGRAPHS, short, ["First paragraph.", "Second paragraph."]):
        assert list(join_wrapped_lines(paragraphs)) == paragraphs
        assert list(join_wrapped_lines("\n\n".join(paragraphs).split("\n"))) == paragraphs


def test_lists_and_verse_in_short_lines_are_not_joined() -> None:
    words = ["apple", "pear", "plum", "quince", "cherry", "medlar"]
    verse = ["O Captain! my Captain! rise up and hear the bells", "Rise up", "for you the flag is flung", "for you"]
    assert list(join_wrapped_lines(words)) == words
    assert list(join_wrapped_lines(verse)) == verse


def test_items_of_a_list_in_a_wrapped_text_stay_apart() -> None:
    wrapped = [textwrap.fill(f"{mark} {text}", 60) for mark, text in zip(("-", "2.", "*"), PARAGRAPHS, strict=True)]
    joined = list(join_wrapped_lines("\n".join(wrapped).split("\n")))
    assert [paragraph[0] for paragraph in joined] == ["-", "2", "*"]


def test_line_ends_and_surrounding_spaces_are_dropped() -> None:
    assert list(join_wrapped_lines(["  First one. \r\n", "\r\n", "\tSecond one.\n", "   \n"])) == [
        "First one.",
        "Second one.",
    ]


def test_documents_are_cut_between_paragraphs_and_no_longer_than_asked() -> None:
    paragraphs = [f"Paragraph {number} of the text. " * 10 for number in range(50)]
    documents = list(cut_documents(paragraphs, 1_000))
    assert max(map(len, documents)) <= 1_000
    assert [paragraph for document in documents for paragraph in document.split("\n")] == paragraphs
    assert min(map(len, documents[:-1])) > 1_000 - len(paragraphs[-1]) - 1


def test_a_paragraph_longer_than_a_document_is_cut_between_sentences() -> None:
    sentence = "This sentence is repeated until it is far too long for one document."
    documents = list(cut_documents([" ".join([sentence] * 1_000)]))
    assert max(map(len, documents)) <= MAXIMUM_CHARACTERS
    assert all(document.startswith("This") and document.endswith("document.") for document in documents)
    assert sum(document.count(sentence) for document in documents) == 1_000


def test_text_without_spaces_is_cut_all_the_same() -> None:
    documents = list(cut_documents(["x" * 50_000]))
    assert "".join(documents) == "x" * 50_000
    assert max(map(len, documents)) == MAXIMUM_CHARACTERS


def test_each_long_row_is_a_document() -> None:
    rows = [f"{number}. {PARAGRAPHS[0]} {PARAGRAPHS[2]}" for number in range(300)]
    assert list(documents_of_rows(map(Row, rows))) == [Piece(row, continues=False) for row in rows]


def test_pieces_of_a_long_row_belong_together() -> None:
    long = "\n".join(["Words. " * 100] * 100)
    continues = [piece.continues for piece in documents_of_rows(map(Row, [long, long]))]
    assert continues == [False, True, True, True] * 2


def test_consecutive_rows_of_one_document_belong_together_however_short() -> None:
    rows = [Row("A part.", "one"), Row("Its end.", "one"), Row("Another.", "two"), Row("Not it again.", "one")]
    assert list(documents_of_rows(rows)) == [
        Piece("A part.", continues=False),
        Piece("Its end.", continues=True),
        Piece("Another.", continues=False),
        Piece("Not it again.", continues=False),
    ]


def test_rows_of_a_running_text_with_empty_rows_are_gathered() -> None:
    rows = ["", " = A title = \n", "", *(f" {number} {PARAGRAPHS[0]}\n" for number in range(8)), ""] * 20
    documents = [piece.text for piece in documents_of_rows(map(Row, rows))]
    assert 3_000 < min(map(len, documents[:-1])) <= max(map(len, documents)) <= 5_000
    paragraphs = [paragraph for document in documents for paragraph in document.split("\n")]
    assert paragraphs == [row.strip() for row in rows if row.strip()]


def test_very_short_rows_are_gathered() -> None:
    documents = list(documents_of_rows(Row(f"Headline number {number}") for number in range(1_000)))
    assert len(documents) == -(-sum(len(f"Headline number {n}") + 1 for n in range(1_000)) // 5_000)


def test_rows_are_not_read_ahead_of_need() -> None:
    read = 0

    def rows():
        nonlocal read
        for _ in range(100_000):
            read += 1
            yield Row(PARAGRAPHS[0] + PARAGRAPHS[2])

    documents = documents_of_rows(rows())
    for _ in range(1_000):
        next(documents)
    assert read <= 1_001


def test_huge_rows_are_sampled_by_their_size() -> None:
    read = 0

    def rows():
        nonlocal read
        for _ in range(1_000):
            read += 1
            yield Row("word " * 200_000)

    next(documents_of_rows(rows()))
    assert read <= 4
