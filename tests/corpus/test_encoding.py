import copy
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ctcd.corpus.documents import read_documents
from ctcd.corpus.encoding import unigram_entropy, write_shards
from ctcd.corpus.shards import METADATA, Shards
from ctcd.corpus.splitting import SPLITS, TRAIN, documents_of, split_documents
from ctcd.errors import InputError


def test_shards_hold_the_documents_of_their_split_in_order(
    shards, documents, document_split, tokenizer, corpus_parameters
) -> None:
    for split in SPLITS:
        expected: list[int] = []
        for document in documents_of(documents, document_split, split):
            ids = tokenizer(document.text, add_special_tokens=False, truncation=False).input_ids
            expected += [*ids, tokenizer.sep_token_id]
        sequences = shards.sequences(split)
        actual = sequences.rows(np.arange(len(sequences)))[:, 1:-1].flatten().tolist()
        assert actual == expected[: len(actual)]
        assert len(expected) - len(actual) < corpus_parameters.sequence_length


def test_metadata_counts_what_is_there(shards, documents, document_split, tokenizer) -> None:
    metadata = shards.metadata
    texts = [document.text for document in documents_of(documents, document_split, TRAIN)]
    train = metadata["splits"]["train"]
    assert train["documents"] == len(texts)
    assert train["words"] == sum(len(text.split()) for text in texts)
    counts = Counter(
        token for text in texts for token in tokenizer(text, add_special_tokens=False, truncation=False).input_ids
    )
    assert train["tokens"] == counts.total()
    assert train["sequences"] == len(shards.sequences("train"))
    shares = [count / counts.total() for count in counts.values()]
    assert metadata["unigram_entropy"] == pytest.approx(-sum(share * math.log(share) for share in shares))
    assert metadata["unknown_rate"] == pytest.approx(counts[tokenizer.unk_token_id] / counts.total())
    assert metadata["sample"]["decoded"].startswith(metadata["sample"]["raw"].lower().split()[0])
    assert metadata["sample"]["tokens"] == tokenizer.tokenize(metadata["sample"]["raw"])


def test_the_vocabulary_is_gone_through_once_for_many_documents(
    shards, documents, document_split, tokenizer, corpus_parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = np.bincount
    monkeypatch.setattr(np, "bincount", lambda *args, **options: counted.append(1) or count(*args, **options))
    write_shards(tmp_path, documents, document_split, tokenizer, corpus_parameters)
    assert len(list(documents)) > 10
    assert len(counted) == 1
    assert Shards(tmp_path).metadata == shards.metadata


def test_the_same_input_gives_the_same_fingerprint_and_another_one_does_not(
    shards, documents, document_split, tokenizer, corpus_parameters, tmp_path: Path
) -> None:
    fingerprints = []
    for length in (corpus_parameters.sequence_length, 48):
        folder = tmp_path / str(length)
        folder.mkdir()
        settings = corpus_parameters.model_copy(update={"sequence_length": length})
        write_shards(folder, documents, document_split, tokenizer, settings)
        fingerprints.append(json.loads((folder / METADATA).read_text())["fingerprint"])
    assert fingerprints[0] == shards.metadata["fingerprint"]
    assert fingerprints[1] != shards.metadata["fingerprint"]


def test_a_tokenizer_that_truncates_and_pads_still_gives_whole_documents(
    shards, documents, document_split, tokenizer, corpus_parameters, tmp_path: Path
) -> None:
    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.enable_truncation(8)
    other.backend_tokenizer.enable_padding(length=16)
    write_shards(tmp_path, documents, document_split, other, corpus_parameters)
    assert Shards(tmp_path).metadata["fingerprint"] == shards.metadata["fingerprint"]


def test_entropy_of_equal_counts_is_the_logarithm_of_their_number() -> None:
    assert unigram_entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(math.log(4))


def test_a_corpus_shorter_than_one_sequence_is_said_so(tokenizer, corpus_parameters, tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.mkdir()
    for name in "abc":
        (source / f"{name}.txt").write_text("Too short." if name < "c" else "Too long?")
    (tmp_path / "shards").mkdir()
    documents = read_documents(str(source))
    split = split_documents(documents, corpus_parameters.heldout_share)
    with pytest.raises(InputError, match=r"too short.*after 1 documents that repeat.*corpus\.sequence_length"):
        write_shards(tmp_path / "shards", documents, split, tokenizer, corpus_parameters)
    assert not Path(tmp_path / "shards" / METADATA).exists()


def test_shards_without_train_text_are_no_shards(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Shards(tmp_path / "nowhere")
