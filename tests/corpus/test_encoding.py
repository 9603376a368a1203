import copy
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ctcd.corpus.documents import read_documents, split_documents
from ctcd.corpus.encoding import unigram_entropy, write_shards
from ctcd.corpus.shards import METADATA, Shards
from ctcd.errors import InputError


def test_shards_hold_the_documents_of_their_split_in_order(shards, documents, tokenizer, corpus_parameters) -> None:
    for split, held in (("train", False), ("heldout", True)):
        expected: list[int] = []
        for document, held_out in split_documents(documents, corpus_parameters.heldout_share):
            if held_out is held:
                ids = tokenizer(document.text, add_special_tokens=False, truncation=False).input_ids
                expected += [*ids, tokenizer.sep_token_id]
        sequences = shards.sequences(split)
        actual = sequences.rows(np.arange(len(sequences)))[:, 1:-1].flatten().tolist()
        assert actual == expected[: len(actual)]
        assert len(expected) - len(actual) < corpus_parameters.sequence_length


def test_metadata_counts_what_is_there(shards, documents, tokenizer, corpus_parameters) -> None:
    metadata = shards.metadata
    texts = [d.text for d, held_out in split_documents(documents, corpus_parameters.heldout_share) if not held_out]
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
    assert metadata["sample"]["tokens"] == tokenizer.tokenize(metadata["sample"]["raw"])


def test_the_vocabulary_is_gone_through_once_for_many_documents(
    shards, documents, tokenizer, corpus_parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    count = np.bincount
    monkeypatch.setattr(np, "bincount", lambda *args, **options: counted.append(1) or count(*args, **options))
    write_shards(tmp_path, documents, tokenizer, corpus_parameters)
    assert len(list(documents)) > 10
    assert len(counted) == 1
    assert Shards(tmp_path).metadata == shards.metadata


def test_the_same_input_gives_the_same_fingerprint_and_another_one_does_not(
    shards, documents, tokenizer, corpus_parameters, tmp_path: Path
) -> None:
    fingerprints = []
    for length in (corpus_parameters.sequence_length, 48):
        folder = tmp_path / str(length)
        folder.mkdir()
        write_shards(folder, documents, tokenizer, corpus_parameters.model_copy(update={"sequence_length": length}))
        fingerprints.append(json.loads((folder / METADATA).read_text())["fingerprint"])
    assert fingerprints[0] == shards.metadata["fingerprint"]
    assert fingerprints[1] != shards.metadata["fingerprint"]


def test_a_tokenizer_that_truncates_and_pads_still_gives_whole_documents(
    shards, documents, tokenizer, corpus_parameters, tmp_path: Path
) -> None:
    other = copy.deepcopy(tokenizer)
    other.backend_tokenizer.enable_truncation(8)
    other.backend_tokenizer.enable_padding(length=16)
    write_shards(tmp_path, documents, other, corpus_parameters)
    assert Shards(tmp_path).metadata["fingerprint"] == shards.metadata["fingerprint"]


def test_entropy_of_equal_counts_is_the_logarithm_of_their_number() -> None:
    assert unigram_entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(math.log(4))


def test_a_corpus_shorter_than_one_sequence_is_said_so(tokenizer, corpus_parameters, tmp_path: Path) -> None:
    source = tmp_path / "text"
    source.mkdir()
    for name in "ab":
        (source / f"{name}.txt").write_text("Too short.")
    (tmp_path / "shards").mkdir()
    with pytest.raises(InputError, match=r"too short.*corpus\.sequence_length"):
        write_shards(tmp_path / "shards", read_documents(str(source)), tokenizer, corpus_parameters)
    assert not Path(tmp_path / "shards" / METADATA).exists()


def test_shards_without_train_text_are_no_shards(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Shards(tmp_path / "nowhere")
