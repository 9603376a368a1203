import json
from pathlib import Path

import numpy as np
import pytest

import datasets
from ctcd.corpus import shards as module
from ctcd.corpus.shards import METADATA, Shards, ShardWriter
from ctcd.errors import InputError


def write(folder: Path, tokens: np.ndarray, length: int = 8, pieces: int = 5, vocabulary: int = 100) -> ShardWriter:
    with ShardWriter(folder, "train", length, first=2, last=3, vocabulary=vocabulary) as writer:
        for piece in np.array_split(tokens.astype(writer.dtype), pieces):
            writer.add(piece)
    (folder / METADATA).write_text(json.dumps({"sequence_length": length, "tokenizer_fingerprint": "abc"}))
    return writer


def test_the_stream_of_tokens_is_cut_without_loss_or_padding(tmp_path: Path) -> None:
    tokens = np.arange(5, 95)
    write(tmp_path, tokens, length=8)
    rows = Shards(tmp_path).sequences("train").rows(np.arange(15))
    assert (rows[:, 0] == 2).all()
    assert (rows[:, -1] == 3).all()
    assert rows[:, 1:-1].flatten().tolist() == tokens.tolist()


def test_what_fills_no_sequence_is_dropped(tmp_path: Path) -> None:
    writer = write(tmp_path, np.arange(5, 95)[:-1])
    assert writer.sequences == 14
    assert len(Shards(tmp_path).sequences("train")) == 14


def test_many_small_files_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 100)
    monkeypatch.setattr(module, "ROWS_PER_BATCH", 2)
    tokens = np.random.default_rng(0).integers(5, 100, 600)
    write(tmp_path, tokens, pieces=40)
    shards = Shards(tmp_path)
    assert len(shards.files("train")) > 3
    picked = np.array([99, 0, 7, 50, 7])
    expected = tokens.reshape(100, 6)[picked]
    assert shards.sequences("train").rows(picked)[:, 1:-1].tolist() == expected.tolist()


@pytest.mark.parametrize(("vocabulary", "dtype"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_take_sixteen_bits_where_the_vocabulary_allows(tmp_path: Path, vocabulary: int, dtype: type) -> None:
    tokens = np.full(12, vocabulary - 1)
    write(tmp_path, tokens, vocabulary=vocabulary)
    sequences = Shards(tmp_path).sequences("train")
    assert sequences.blocks[0].dtype == dtype
    assert sequences.rows(np.array([1]))[0, 1:-1].tolist() == [vocabulary - 1] * 6


def test_the_datasets_library_opens_a_shard(tmp_path: Path) -> None:
    write(tmp_path, np.arange(5, 95))
    table = datasets.Dataset.from_file(str(Shards(tmp_path).files("train")[0]))
    assert table[0]["input_ids"] == [2, 5, 6, 7, 8, 9, 10, 3]


def test_a_folder_without_shards_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tokenized shards"):
        Shards(tmp_path)


def test_an_empty_split_is_said_so(tmp_path: Path) -> None:
    write(tmp_path, np.arange(5, 8))
    with pytest.raises(InputError, match="have no train sequence"):
        Shards(tmp_path).sequences("train")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    write(tmp_path, np.arange(5, 95))
    shards = Shards(tmp_path)
    shards.check_tokenizer("abc")
    with pytest.raises(InputError, match="made with another tokenizer"):
        shards.check_tokenizer("abd")
