"""Sources of text become documents; what is wrong with a source is said in one sentence."""

import bz2
import copy
import gzip
import itertools
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from ctcd.corpus.documents import Document, Documents, read_documents
from ctcd.errors import InputError

LONG = (
    "The library opens at nine in the morning. It closes late, and nobody is ever sent away before they are done. " * 3
)


def long_texts(count: int) -> list[str]:
    return [f"{number}. {LONG}".strip() for number in range(count)]


def texts_of(documents: Documents) -> list[str]:
    return [document.text for document in documents]


def write_parquet(path: Path, texts: list[str], column: str = "text", **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"id": range(len(texts)), column: texts}), path, **options)
    return path


def write_json_lines(path: Path, texts: list[str]) -> Path:
    content = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def message_of(function, *arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_each_small_text_file_of_a_folder_is_a_document_in_the_order_of_paths(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "b.txt").write_text("Second.\n", encoding="utf-8")
    (tmp_path / "a.md").write_text("Ünï first.\n\nStill the first.\n", encoding="utf-8")
    (tmp_path / "deep" / "er" / "c.txt").write_bytes(b"\xef\xbb\xbfThird, behind a byte-order mark.\r\nStill it.\r\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("Not seen.", encoding="utf-8")
    (tmp_path / "empty.txt").write_text("\n\n", encoding="utf-8")
    assert list(read_documents(str(tmp_path))) == [
        Document("Ünï first.\nStill the first.", "a"),
        Document("Second.", "b"),
        Document("Third, behind a byte-order mark.\nStill it.", "c"),
    ]


def test_a_file_and_a_glob_are_sources_too(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("one.txt", "two.txt", "three.md"):
        (folder / name).write_text(f"The file {name}.", encoding="utf-8")
    assert texts_of(read_documents(str(folder / "three.md"))) == ["The file three.md."]
    assert texts_of(read_documents(f"{folder}/t*.txt")) == ["The file two.txt."]
    assert texts_of(read_documents(f"{tmp_path}/**/t*")) == ["The file three.md.", "The file two.txt."]


def test_a_long_text_file_becomes_documents_of_at_most_twenty_thousand_characters(tmp_path: Path) -> None:
    paragraphs = long_texts(1_000)
    (tmp_path / "book.txt").write_text("\n".join(paragraphs), encoding="utf-8")
    texts = texts_of(read_documents(str(tmp_path)))
    assert 15_000 < min(map(len, texts[:-1])) <= max(map(len, texts)) <= 20_000
    assert "\n".join(texts).split("\n") == paragraphs


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.jsonl.gz", "rows.json.gz"])
def test_each_long_row_of_json_lines_is_a_document_named_after_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    write_json_lines(folder / name, long_texts(3))
    assert list(read_documents(str(folder))) == [Document(text, "reviews") for text in long_texts(3)]


def test_parquet_gives_the_column_that_is_asked_for_and_skips_rows_without_text(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "news" / "part.parquet", [*long_texts(20), None, *long_texts(1)], "body")
    documents = read_documents(str(path), "body")
    assert list(documents) == [Document(text, "news") for text in long_texts(20) + long_texts(1)]


def test_rows_with_paragraphs_on_lines_keep_them(tmp_path: Path) -> None:
    text = "\n".join(long_texts(4))
    assert texts_of(read_documents(str(write_parquet(tmp_path / "a.parquet", [text, text])))) == [text, text]


def test_readme_beside_data_is_not_a_document(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("About the data.", encoding="utf-8")
    assert texts_of(read_documents(str(tmp_path))) == ["About the data."]
    write_parquet(tmp_path / "part.parquet", long_texts(2))
    assert texts_of(read_documents(str(tmp_path))) == long_texts(2)


def test_several_sources_follow_one_another(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "first" / "a.parquet", long_texts(2))
    second = write_json_lines(tmp_path / "b.jsonl", long_texts(3))
    documents = read_documents([str(first), str(second)])
    assert texts_of(documents) == long_texts(2) + long_texts(3)
    assert documents.fingerprint() != read_documents([str(second), str(first)]).fingerprint()


def test_documents_can_be_iterated_again_copied_and_pickled(tmp_path: Path) -> None:
    documents = read_documents(str(write_parquet(tmp_path / "a.parquet", long_texts(5))))
    assert texts_of(documents) == texts_of(documents) == long_texts(5)
    for other in (copy.deepcopy(documents), pickle.loads(pickle.dumps(documents))):
        assert texts_of(other) == long_texts(5)
        assert other.fingerprint() == documents.fingerprint()


def test_parquet_is_read_a_batch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "a.parquet", long_texts(5_000), row_group_size=5_000)
    decoded = 0
    open_batches = pyarrow.parquet.ParquetFile.iter_batches

    def count_rows(*arguments: object, **options: object) -> Iterator[pyarrow.RecordBatch]:
        nonlocal decoded
        for batch in open_batches(*arguments, **options):
            decoded += len(batch)
            yield batch

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", count_rows)
    list(itertools.islice(read_documents(str(path)), 1_000))
    assert 1_000 <= decoded <= 1_000 + 256


def test_text_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    # The byte that is not UTF-8 lies behind three megabytes that can be read.
    path = tmp_path / "book.txt"
    path.write_bytes("\n".join(long_texts(10_000)).encode() + b"\n\xff\n")
    documents = iter(read_documents(str(path)))
    assert next(documents).text.startswith("0. The library")
    with pytest.raises(InputError):
        list(documents)


def test_fingerprint_follows_content_and_names_but_not_place_or_time(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"The file {name}.", encoding="utf-8")
    fingerprint = read_documents(str(folder)).fingerprint()
    moved = tmp_path / "there"
    shutil.copytree(folder, moved)
    os.utime(moved / "a.txt", (0, 0))
    assert read_documents(str(moved)).fingerprint() == fingerprint

    (moved / "a.txt").write_text("The file A.txt.", encoding="utf-8")  # of the same size
    assert read_documents(str(moved)).fingerprint() != fingerprint
    (folder / "b.txt").rename(folder / "c.txt")
    assert read_documents(str(folder)).fingerprint() != fingerprint


def test_fingerprint_depends_on_the_text_column(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["One text."], "other": ["Another text."]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_documents(str(tmp_path)).fingerprint() != read_documents(str(tmp_path), "other").fingerprint()


def test_missing_path_is_named(tmp_path: Path) -> None:
    assert f"'{tmp_path}/nowhere' does not exist" in message_of(read_documents, f"{tmp_path}/nowhere")
    assert "does not exist" in message_of(read_documents, f"{tmp_path}/nowhere/*.txt")


def test_folder_file_or_glob_without_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    for source in (str(tmp_path), f"{tmp_path}/picture.png", f"{tmp_path}/*.txt"):
        message = message_of(read_documents, source)
        assert f"No documents in '{source}'" in message
        assert ".parquet" in message
    assert "empty" in message_of(read_documents, [])


def test_files_without_text_are_refused_when_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("  \n\n", encoding="utf-8")
    assert f"No text in {tmp_path}" in message_of(list, read_documents(str(tmp_path)))
    path = write_parquet(tmp_path / "none" / "a.parquet", ["", "", "   "])
    assert "No text in" in message_of(list, read_documents(str(path)))


def test_mixed_formats_are_refused_with_their_counts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A text.", encoding="utf-8")
    (tmp_path / "b.md").write_text("A text.", encoding="utf-8")
    write_json_lines(tmp_path / "c.jsonl", ["A text."])
    message = message_of(read_documents, str(tmp_path))
    assert "1 JSON lines and 2 text" in message
    assert texts_of(read_documents(f"{tmp_path}/*.jsonl")) == ["A text."]


@pytest.mark.parametrize(("before", "name"), [(0, "a.txt"), (5_000_000, "a.txt"), (3_000, "a.jsonl")])
def test_text_that_is_not_utf8_is_named_with_its_byte(tmp_path: Path, before: int, name: str) -> None:
    start = "é".encode() * (before // 2)
    lines = start.replace(b"\xc3\xa9" * 50, b"\xc3\xa9" * 49 + b".\n") if name.endswith(".txt") else b"\n" * before
    (tmp_path / name).write_bytes(lines + "Café".encode("latin-1") + b" is open.\n")
    message = message_of(lambda: list(read_documents(str(tmp_path))))
    assert f"'{tmp_path / name}' is not UTF-8" in message
    assert f"byte {len(lines) + 3})" in message


def test_parquet_without_the_text_column_is_refused_at_once(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ["A text."])
    path = write_parquet(tmp_path / "b.parquet", ["A text."], "body")
    message = message_of(read_documents, str(tmp_path))
    assert f"'{path}' has no column 'text'" in message
    assert "id, body" in message
    assert "holds int64" in message_of(read_documents, str(tmp_path), "id")


def test_parquet_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 this is not what it says")
    assert f"Cannot read '{tmp_path / 'a.parquet'}' as Parquet" in message_of(read_documents, str(tmp_path))


def test_parquet_that_is_damaged_inside_is_refused_when_read(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", long_texts(2_000), compression="gzip", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    path.write_bytes(content)
    assert f"Cannot read '{path}' as Parquet" in message_of(list, read_documents(str(path)))


def test_parquet_text_that_is_not_utf8_is_refused_when_read(tmp_path: Path) -> None:
    column = pyarrow.array([b"Caf\xe9"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    assert "not UTF-8" in message_of(list, read_documents(str(tmp_path)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "cut off', "line 2 is not JSON (column 18)"),
        ('["text"]', "line 2 is no JSON object"),
        ('{"body": "A text.", "id": 2}', "line 2 has no column 'text': set text_column to one of body, id"),
        ('{"text": 3}', "line 2: column 'text' holds int"),
    ],
)
def test_json_line_that_is_wrong_is_named(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "A good line."}}\n{line}\n', encoding="utf-8")
    assert f"'{path}', {expected}" in message_of(list, read_documents(str(path)))


def test_json_lines_whose_first_line_is_wrong_are_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n {"text": "An array over lines."}\n]\n', encoding="utf-8")
    assert "line 1 is not JSON" in message_of(read_documents, str(tmp_path))


def test_gzip_that_is_none_or_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(bz2.compress(b"{}"))
    assert f"Cannot read '{path}'" in message_of(read_documents, str(path))
    write_json_lines(path, [str(number) * 50 for number in range(5_000)])
    path.write_bytes(path.read_bytes()[:-2_000])
    assert f"Cannot read '{path}'" in message_of(lambda: list(read_documents(str(path))))


class Hub:
    """Stands for the Hugging Face hub: one data set, two splits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.revision = "abc"
        self.calls: list[tuple[object, ...]] = []
        monkeypatch.setattr("huggingface_hub.dataset_info", self.dataset_info)
        monkeypatch.setattr("datasets.load_dataset", self.load_dataset)

    def dataset_info(self, name: str):
        if name != "owner/news":
            raise OSError("404 Client Error.\nRepository Not Found")
        return type("Information", (), {"sha": self.revision})

    def load_dataset(self, name: str, configuration: str | None, *, split: str, revision: str, streaming: bool):
        from datasets import Dataset

        self.calls.append((name, configuration, split, revision, streaming))
        texts = {"train": long_texts(3), "validation": long_texts(1)}[split]
        return Dataset.from_dict({"text": texts, "id": list(range(len(texts)))}).to_iterable_dataset()


def test_hub_data_set_is_streamed_at_the_revision_of_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    documents = read_documents("hub:owner/news")
    assert list(documents) == list(documents) == [Document(text, "news") for text in long_texts(3)]
    assert len(list(read_documents("hub:owner/news:english:validation"))) == 1
    assert len(list(read_documents("hub:owner/news::validation"))) == 1
    assert hub.calls == [
        ("owner/news", None, "train", "abc", True),
        ("owner/news", "english", "validation", "abc", True),
        ("owner/news", None, "validation", "abc", True),
    ]
    hub.revision = "def"
    assert read_documents("hub:owner/news").fingerprint() != documents.fingerprint()


def test_hub_data_set_that_is_missing_or_without_the_column_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub(monkeypatch)
    assert "Cannot open 'hub:owner/old' (404 Client Error)" in message_of(read_documents, "hub:owner/old")
    assert "no column 'body' (it has text, id)" in message_of(read_documents, "hub:owner/news", "body")
    assert "write hub:owner/name" in message_of(read_documents, "hub:owner/news:a:b:c")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("pattern", "rows", "topic"),
    [("wikipedia-en/validation", 227, "wikipedia-en"), ("books-en/validation", 87, "books-en")],
)
def test_real_articles_and_chapters_keep_their_paragraphs(real_data: Path, pattern: str, rows: int, topic: str) -> None:
    path = real_data / "corpus" / f"{pattern}.parquet"
    documents = list(read_documents(str(path)))
    texts = pyarrow.parquet.read_table(path)["text"].to_pylist()
    assert len(texts) == rows <= len(documents)
    assert max(len(document.text) for document in documents) <= 20_000
    assert "\n".join(document.text for document in documents).split("\n") == "\n".join(texts).split("\n")
    assert {document.topic for document in documents} == {topic}


@pytest.mark.real_data
def test_real_text_with_a_row_per_line_is_gathered(real_data: Path) -> None:
    documents = list(read_documents(f"{real_data}/corpus/wikitext-2/raw-validation.parquet"))
    assert len(documents) < 400
    assert sum(document.text.count("\n") + 1 for document in documents) == 2_461
    assert sum(len(document.text.split()) for document in documents) == 213_886
