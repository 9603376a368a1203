"""Paragraphs become sentences; of a collection some sentences are kept."""

from collections.abc import Iterator

import pytest

from ctcd.corpus.documents import Document, Documents, read_documents
from ctcd.corpus.paragraphs import Row, documents_of_rows
from ctcd.corpus.sentences import keep_sentences, split_sentences


def collection(*texts: str) -> Documents:
    documents = [Document(text, f"source {number}") for number, text in enumerate(texts)]
    return Documents("a collection", lambda: iter(documents), lambda: "identity of " + "/".join(texts))


def numbered(first: int, last: int) -> str:
    return " ".join(f"Sentence {number} is here." for number in range(first, last + 1))


def numbers_of(documents: Documents) -> list[int]:
    return [int(word) for document in documents for word in document.text.split() if word.isdigit()]


def test_a_paragraph_is_cut_behind_full_stops_but_not_behind_abbreviations() -> None:
    paragraph = "It works,  e.g. in Dr. Smith's case. Does\tit? Yes! The value is 3.5 here. See J. Doe et al. for more."
    assert split_sentences(paragraph) == [
        "It works, e.g. in Dr. Smith's case.",
        "Does it?",
        "Yes!",
        "The value is 3.5 here.",
        "See J. Doe et al. for more.",
    ]


def test_a_line_without_capitals_is_one_sentence() -> None:
    line = "she said no . then , after a while , she went home ."
    assert split_sentences(line) == [line]


@pytest.mark.parametrize("every", [2, 3, 4, 7])
def test_one_sentence_in_so_many_is_kept_across_paragraphs_and_documents(every: int) -> None:
    texts = f"{numbered(0, 2)}\n{numbered(3, 3)}\n{numbered(4, 9)}", numbered(10, 10), numbered(11, 30)
    assert numbers_of(keep_sentences(collection(*texts), every)) == list(range(0, 31, every))


def test_what_is_kept_stays_in_its_paragraph_and_document() -> None:
    texts = f"{numbered(0, 4)}\n{numbered(5, 6)}\n{numbered(7, 8)}", numbered(9, 11), numbered(12, 12)
    assert list(keep_sentences(collection(*texts), 4)) == [
        Document("Sentence 0 is here. Sentence 4 is here.\nSentence 8 is here.", "source 0"),
        Document("Sentence 12 is here.", "source 2"),
    ]


@pytest.mark.parametrize("most", [1, 3, 5, 6, 100])
def test_the_first_sentences_are_kept_up_to_the_limit(most: int) -> None:
    texts = f"{numbered(0, 4)}\n{numbered(5, 6)}", numbered(7, 19)
    assert numbers_of(keep_sentences(collection(*texts), 2, most)) == list(range(0, 20, 2))[:most]
    assert numbers_of(keep_sentences(collection(*texts), most=most)) == list(range(20))[:most]


def test_behind_the_limit_nothing_is_read() -> None:
    read = []

    def stream() -> Iterator[Document]:
        for number in range(1_000):
            read.append(number)
            yield Document(numbered(4 * number, 4 * number + 3), "stream")

    kept = keep_sentences(Documents("a stream", stream, lambda: ""), 4, 10)
    documents = iter(kept)
    next(documents)
    assert len(read) == 1
    assert len([*documents]) == 9
    assert len(read) == 10


def test_lines_of_a_table_with_a_sentence_in_each_row_are_counted_one_by_one() -> None:
    rows = [f"here is row {number} , and it ends . without a capital ." for number in range(400)]
    gathered = collection(*(piece.text for piece in documents_of_rows(map(Row, rows))))
    assert len(list(gathered)) < 10
    kept = [line for document in keep_sentences(gathered, 4) for line in document.text.split("\n")]
    assert kept == rows[::4]


def test_the_same_collection_gives_the_same_sentences_again(text_folder) -> None:
    kept = keep_sentences(read_documents(str(text_folder)), 4, 500)
    assert list(kept) == list(kept)
    assert sum(len(split_sentences(line)) for document in kept for line in document.text.split("\n")) == 500


def test_the_cut_is_part_of_the_identity_and_of_the_name() -> None:
    whole = collection(numbered(0, 9))
    cuts = [keep_sentences(whole, every, most) for every, most in ((4, None), (2, None), (4, 5), (4, 6), (1, 5))]
    assert len({documents.fingerprint() for documents in [whole, *cuts]}) == 6
    assert keep_sentences(whole, 4, 5).fingerprint() == cuts[2].fingerprint()
    assert keep_sentences(collection("Another text."), 4, 5).fingerprint() != cuts[2].fingerprint()
    assert cuts[2].name == "a collection, 1 sentence in 4, at most 5 sentences"


def test_what_is_kept_of_a_file_still_belongs_together() -> None:
    pieces = [
        Document(f"Only {number}.", "a", continues) for number, continues in enumerate([False, True, True, False])
    ]
    kept = keep_sentences(Documents("pieces", lambda: iter(pieces), str), 2)
    assert list(kept) == [Document("Only 0.", "a"), Document("Only 2.", "a", continues=True)]
    kept = keep_sentences(Documents("pieces", lambda: iter(pieces[1:]), str), 2)
    assert list(kept) == [Document("Only 1.", "a"), Document("Only 3.", "a")]


def test_without_a_cut_the_collection_stays_itself() -> None:
    whole = collection("A text.")
    assert keep_sentences(whole) is whole


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("de", "Das ist z. B. Dr. Klein. Er kam am 3. Mai.", ["Das ist z. B. Dr. Klein.", "Er kam am 3. Mai."]),
        ("de", "Er kostet ca. Hundert Mark. Sie lacht.", ["Er kostet ca. Hundert Mark.", "Sie lacht."]),
        ("fr", "M. Dupont parle. Mme. Roux écoute.", ["M. Dupont parle.", "Mme. Roux écoute."]),
        ("en", "Mme. Roux listens.", ["Mme.", "Roux listens."]),
        ("fi", "Dr. Virtanen tuli.", ["Dr.", "Virtanen tuli."]),
        ("fi", "É. Zola tuli.", ["É. Zola tuli."]),
    ],
)
def test_abbreviations_are_those_of_the_language(language: str, text: str, sentences: list[str]) -> None:
    assert split_sentences(text, language) == sentences
