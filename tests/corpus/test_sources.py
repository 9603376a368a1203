"""Sources with names, languages and limits."""

from pathlib import Path

import numpy as np
import pytest

from ctcd.corpus.documents import Document, Documents, join_sources, read_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.settings import SourceParameters
from ctcd.corpus.shards import Shards
from ctcd.corpus.sources import apply_sources
from ctcd.corpus.splitting import HELDOUT, SPLITS, documents_of, split_documents
from ctcd.errors import InputError


def collection(name: str, *texts: str) -> Documents:
    return Documents(name, lambda: (Document(text, name) for text in texts), lambda: "/".join(texts))


@pytest.fixture
def joined(documents: Documents) -> Documents:
    """Real text as two sources of different sizes."""
    texts = [document.text for document in documents]
    return join_sources({"first": collection("a", *texts[:10]), "second": collection("b", *texts[10:])})


def test_every_document_knows_its_source_and_a_single_source_is_called_text(joined: Documents) -> None:
    assert [document.source for document in joined][8:12] == ["first", "first", "second", "second"]
    assert {document.source for document in collection("c", "A text.")} == {"text"}
    assert joined.name == "first: a + second: b"


def test_the_names_of_sources_are_part_of_the_identity() -> None:
    parts = collection("a", "One."), collection("b", "Two.")
    identities = {
        join_sources(dict(zip(names, parts, strict=True))).fingerprint() for names in (("x", "y"), ("y", "x"), "xy")
    }
    assert len(identities) == 2


def test_a_source_has_the_language_of_its_name_or_of_its_settings() -> None:
    sources = join_sources({name: collection(name, "Un texte.") for name in ("fr", "novels", "laws")})
    applied = apply_sources(sources, {"laws": SourceParameters(language="de")})
    assert [document.language for document in applied] == ["fr", "en", "de"]


def test_no_more_is_read_of_a_source_than_its_characters() -> None:
    read = []

    def endless():
        for number in range(1_000_000):
            read.append(number)
            yield Document("Ten chars.", "t")

    sources = join_sources({"large": Documents("large", endless, str), "small": collection("s", "A text.")})
    applied = apply_sources(sources, {"large": SourceParameters(characters=95)})
    assert [document.source for document in applied] == ["large"] * 10 + ["small"]
    assert len(read) == 10
    assert applied.fingerprint() != sources.fingerprint()


def test_settings_of_a_source_that_there_is_not_are_refused(joined: Documents) -> None:
    with pytest.raises(InputError, match="describes 'frist', but the documents have first, second"):
        apply_sources(joined, {"frist": SourceParameters()})


def test_of_every_source_a_share_is_held_out(joined: Documents) -> None:
    table = split_documents(joined, 0.2)
    for source, rows in table.groupby("source"):
        share = rows.loc[rows["split"] == HELDOUT, "characters"].sum() / rows["characters"].sum()
        assert 0.05 < share < 0.4, source


@pytest.fixture
def shards_of_two(joined: Documents, tokenizer, corpus_parameters, tmp_path: Path) -> Shards:
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", joined, split_documents(joined, 0.2), tokenizer, corpus_parameters)
    return Shards(tmp_path / "shards")


def test_no_sequence_mixes_two_sources(shards_of_two: Shards, joined: Documents, tokenizer) -> None:
    table = split_documents(joined, 0.2)
    for split in SPLITS:
        for source in ("first", "second"):
            expected: list[int] = []
            for document in documents_of(joined, table, split):
                if document.source == source:
                    expected += [
                        *tokenizer(document.text, add_special_tokens=False, truncation=False).input_ids,
                        tokenizer.sep_token_id,
                    ]
            sequences = shards_of_two.sequences(split, [source])
            found = sequences.rows(np.arange(len(sequences)))[:, 1:-1].flatten().tolist()
            assert found == expected[: len(found)]
            assert len(expected) - len(found) < shards_of_two.sequence_length
            assert len(sequences) == shards_of_two.metadata["sources"][source][split]["sequences"]


def test_all_sources_are_all_sequences(shards_of_two: Shards) -> None:
    for split in SPLITS:
        every = shards_of_two.sequences(split)
        both = shards_of_two.sequences(split, ["second", "first"])
        assert np.array_equal(every.rows(np.arange(len(every))), both.rows(np.arange(len(both))))
        assert len(every) == shards_of_two.metadata["splits"][split]["sequences"]


def test_an_unknown_source_is_refused(shards_of_two: Shards) -> None:
    with pytest.raises(InputError, match="has no source 'third': choose from first, second"):
        shards_of_two.sequences("train", ["third"])


def test_a_source_that_is_too_short_is_named(tokenizer, corpus_parameters, tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(200))
    sources = join_sources({"long": collection("a", long, long[5:] + " end"), "short": collection("b", "One.", "Two.")})
    with pytest.raises(InputError, match="'short' is too short"):
        write_shards(tmp_path, sources, split_documents(sources, 0.2), tokenizer, corpus_parameters)


@pytest.mark.real_data
def test_real_german_and_french_have_their_sentences(real_data: Path) -> None:
    from ctcd.corpus.sentences import split_sentences

    for language in ("de", "fr"):
        path = real_data / "corpus" / f"multilingual-{language}" / "validation.parquet"
        text = next(iter(read_documents(str(path)))).text
        own, english = (
            [sentence for line in text.split("\n") for sentence in split_sentences(line, name)]
            for name in (language, "en")
        )
        assert 10 < len(own) <= len(english)
