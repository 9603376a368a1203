"""What is held out was not trained on, and no file is cut by the split."""

from pathlib import Path
from random import Random

import pyarrow
import pyarrow.parquet
import pytest

from ctcd.corpus.documents import Document, Documents, read_documents
from ctcd.corpus.splitting import (
    HELDOUT,
    TRAIN,
    count_repetitions,
    documents_of,
    is_heldout,
    split_documents,
    with_splits,
)
from ctcd.errors import InputError

WORDS = "river stone lamp garden winter letter bridge silver market window engine forest candle harbour mirror".split()


def prose(number: int, words: int = 60) -> str:
    """A text that is like no other number's."""
    return " ".join(Random(number).choices(WORDS, k=words))


def collection(*documents: Document) -> Documents:
    return Documents("some texts", lambda: iter(documents), lambda: "")


def split(documents: Documents, share: float = 0.1) -> dict[str, list[str]]:
    table = split_documents(documents, share, 0.7)
    return {name: [document.text for document in documents_of(documents, table, name)] for name in (TRAIN, HELDOUT)}


def write_files(folder: Path, *texts: str) -> Documents:
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")
    return read_documents(str(folder))


def files_of(folder: Path, texts: list[str]) -> set[str]:
    return {path.name for path in folder.iterdir() if any(text in path.read_text() for text in texts)}


def test_of_identical_files_none_is_held_out_that_was_trained_on(tmp_path: Path) -> None:
    documents = write_files(tmp_path, *[prose(number) for number in range(30)], *[prose(3)] * 40)
    found = split(documents)
    assert found[HELDOUT]
    assert not set(found[TRAIN]) & set(found[HELDOUT])
    assert len(found[TRAIN]) + len(found[HELDOUT]) == 30


def test_of_files_with_one_other_word_none_is_held_out_that_was_trained_on(tmp_path: Path) -> None:
    def changed(place: int) -> str:
        words = prose(3).split()
        words[place] = "elsewhere"
        return " ".join(words)

    documents = write_files(tmp_path, *[prose(number) for number in range(30)], *map(changed, range(40)))
    found = split(documents)
    assert not any("elsewhere" in text for text in found[TRAIN] + found[HELDOUT])
    counts = count_repetitions(split_documents(documents, 0.1, 0.7))
    assert counts["near_duplicate"]["documents"] == 40
    assert counts["exact_duplicate"] == {"documents": 0, "characters": 0}


def test_repetitions_are_counted_with_their_characters() -> None:
    documents = collection(*(Document(text, "t") for text in [prose(1), prose(2), prose(1)]))
    counts = count_repetitions(split_documents(documents, 0.1, 0.7))
    assert counts["exact_duplicate"] == {"documents": 1, "characters": len(prose(1))}


@pytest.mark.parametrize("files", [2, 3, 12, 30])
def test_a_long_file_lies_on_one_side_of_the_split(tmp_path: Path, files: int) -> None:
    texts = ["\n".join(prose(1_000 * file + number) for number in range(150)) for file in range(files)]
    documents = write_files(tmp_path, *texts)
    assert len(list(documents)) > 2 * files
    found = split(documents)
    held_out, trained = files_of(tmp_path, found[HELDOUT]), files_of(tmp_path, found[TRAIN])
    assert held_out
    assert not held_out & trained
    assert len(held_out | trained) == files


def test_of_a_single_long_file_the_end_is_held_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    documents = write_files(tmp_path, "\n".join(prose(number) for number in range(1_000)))
    found = split(documents)
    assert [*found[TRAIN], *found[HELDOUT]] == [document.text for document in documents]
    share = sum(map(len, found[HELDOUT])) / sum(len(document.text) for document in documents)
    assert 0.05 < share < 0.2
    assert "end of the longest one is held out" in caplog.text


def test_a_small_file_beside_a_huge_one_is_not_all_that_is_held_out(tmp_path: Path) -> None:
    documents = write_files(tmp_path, "\n".join(prose(number) for number in range(1_000)), prose(5_000))
    found = split(documents)
    assert sum(map(len, found[HELDOUT])) > 0.05 * sum(map(len, found[TRAIN]))


def test_a_huge_file_among_small_ones_is_trained_on() -> None:
    small = [Document(prose(number), "t") for number in range(20)]
    huge = [Document(prose(1_000 + number, 400), "t", number > 0) for number in range(5)]
    found = split(collection(small[0], *huge, *small[1:]))
    assert not {document.text for document in huge} & set(found[HELDOUT])
    assert found[HELDOUT]


def test_parts_of_a_book_in_rows_lie_on_one_side(tmp_path: Path) -> None:
    rows = [(f"Book {book}", prose(50 * book + part)) for book in range(20) for part in range(5)]
    table = pyarrow.table({"title": [title for title, _ in rows], "text": [text for _, text in rows]})
    pyarrow.parquet.write_table(table, tmp_path / "books.parquet")
    title_of = {text: title for title, text in rows}
    documents = read_documents(str(tmp_path), document_column="title")
    found = {name: {title_of[text] for text in texts} for name, texts in split(documents).items()}
    assert len(found[HELDOUT]) == 2
    assert not found[TRAIN] & found[HELDOUT]


def test_every_row_is_a_document_unless_a_column_says_otherwise(tmp_path: Path) -> None:
    table = pyarrow.table({"title": ["One"] * 20, "text": [prose(number) for number in range(20)]})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    assert len(split(read_documents(str(tmp_path)))[HELDOUT]) == 2


def test_distinct_documents_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("ctcd.corpus.splitting.find_repetitions", refuse)
    documents = Documents("distinct", lambda: iter([Document("a", "t"), Document("a", "t")]), str, is_distinct=True)
    assert list(split_documents(documents, 0.1, 0.7)["split"]) == [TRAIN, HELDOUT]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1, 1 / 3, 0.03])
def test_exactly_one_of_every_block_is_held_out(share: float) -> None:
    size = round(1 / share)
    held_out = [is_heldout(position, share) for position in range(200 * size)]
    places = [held_out[start : start + size].index(True) for start in range(0, len(held_out), size)]
    assert [sum(held_out[start : start + size]) for start in range(0, len(held_out), size)] == [1] * 200
    assert places[0] == 1
    # All places occur about equally often, and not in a cycle.
    assert len(set(places)) == size
    assert max(places.count(place) for place in range(size)) < 3 * 200 / size + 10
    assert places[:100] != places[100:]


def test_split_gives_every_document_once_and_two_are_enough() -> None:
    documents = collection(Document("One.", "a"), Document("Two.", "b"))
    assert list(with_splits(documents, split_documents(documents, 0.02))) == [
        (Document("One.", "a"), TRAIN),
        (Document("Two.", "b"), HELDOUT),
    ]


@pytest.mark.parametrize("texts", [["One."], ["One.", "Two.", "Three."], ["One.", "Another."]])
def test_other_documents_than_were_split_are_one_sentence(texts: list[str]) -> None:
    table = split_documents(collection(Document("One.", "a"), Document("Two.", "b")), 0.5)
    other = collection(*(Document(text, "a") for text in texts))
    with pytest.raises(InputError, match="changed since it was split"):
        list(with_splits(other, table))
