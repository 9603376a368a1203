import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ctcd.corpus.settings import TokenizerParameters
from ctcd.corpus.tokenizer import SPECIAL_TOKENS, load_tokenizer, train_tokenizer
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint

SETTINGS = TokenizerParameters(vocabulary_size=300, lowercase=True, minimum_frequency=1, training_characters=50_000)
KINDS = ["wordpiece", "byte_level_bpe", "unigram"]
TRAIN_AND_PRINT = """
import sys
from pydoc_data.topics import topics
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.corpus.settings import TokenizerParameters
settings = TokenizerParameters(
    kind=sys.argv[1], vocabulary_size=900, lowercase=True, minimum_frequency=2, training_characters=400_000
)
symbols = "tree├──leaf │ a→b→c x─┬─y ½+¼=¾ naïve≠naive €5 20°C " * 9  # neither letters nor punctuation
print(train_tokenizer([symbols, *topics.values()], settings).backend_tokenizer.to_str())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_the_same_tokenizer(kind: str) -> None:
    # Different hash seeds and thread counts: what makes the library's own training differ from run to run.
    outputs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN_AND_PRINT, kind],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"), ("3", "2"))
    ]
    assert len(outputs[0]) > 5000
    assert outputs[0] == outputs[1] == outputs[2]


def test_vocabulary_has_the_asked_size_and_starts_with_the_special_tokens(tokenizer, corpus_parameters) -> None:
    assert len(tokenizer) == corpus_parameters.tokenizer.vocabulary_size
    assert tokenizer.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS.values())


def test_ids_have_no_gap(tokenizer) -> None:
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))


def test_text_of_the_corpus_survives_a_round_trip(tokenizer) -> None:
    text = "the statement is executed when the module is first imported."
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    assert tokenizer.unk_token_id not in tokenizer(text).input_ids


def test_pairs_are_joined_as_bert_joins_them(tokenizer) -> None:
    ids = tokenizer("a", "b").input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]


def test_a_saved_tokenizer_is_the_same_one_when_loaded(tokenizer, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert tokenizer_fingerprint(loaded) == tokenizer_fingerprint(tokenizer)
    assert AutoTokenizer.from_pretrained(tmp_path).mask_token == "[MASK]"


def test_another_vocabulary_has_another_hash(tokenizer) -> None:
    other = train_tokenizer(["Some quite other text, to be sure."] * 3, SETTINGS)
    assert tokenizer_fingerprint(other) != tokenizer_fingerprint(tokenizer)


def test_no_text_is_said_so() -> None:
    with pytest.raises(InputError, match="has no text"):
        train_tokenizer(["", "  \n"], SETTINGS)


def test_too_small_a_vocabulary_is_said_so() -> None:
    text = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 400))
    with pytest.raises(InputError, match="raise corpus.tokenizer.vocabulary_size"):
        train_tokenizer([text], SETTINGS)


@pytest.fixture(params=["byte_level_bpe", "unigram"])
def other_kind(request: pytest.FixtureRequest, documents) -> PreTrainedTokenizerFast:
    settings = SETTINGS.model_copy(update={"kind": request.param, "vocabulary_size": 600, "minimum_frequency": 2})
    return train_tokenizer((document.text for document in documents), settings)


def test_every_kind_has_the_asked_size_the_special_tokens_and_ids_without_a_gap(other_kind) -> None:
    assert sorted(other_kind.get_vocab().values()) == list(range(600))
    assert other_kind.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS.values())
    ids = other_kind("first", "second").input_ids
    assert [ids[0], ids[-1], ids.count(other_kind.sep_token_id)] == [other_kind.cls_token_id, ids[-1], 2]


def test_every_kind_gives_its_text_back(other_kind) -> None:
    text = "the statement is executed, when the module is first imported."
    ids = other_kind(text).input_ids
    assert other_kind.decode(ids, skip_special_tokens=True).strip() == text
    assert other_kind.unk_token_id not in ids
    assert len(ids) < len(text) / 2


def test_every_kind_knows_words_and_the_mask(other_kind) -> None:
    encoding = other_kind("an important statement")
    words = [word for word in encoding.word_ids() if word is not None]
    assert sorted(set(words)) == [0, 1, 2]
    assert other_kind("is [MASK] here").input_ids.count(other_kind.mask_token_id) == 1


def test_every_kind_is_the_same_one_when_loaded(other_kind, tmp_path: Path) -> None:
    other_kind.save_pretrained(tmp_path)
    assert tokenizer_fingerprint(load_tokenizer(tmp_path)) == tokenizer_fingerprint(other_kind)


def test_bytes_know_every_character_and_unigram_says_what_it_does_not_know(documents) -> None:
    unknown = {}
    for kind in KINDS:
        settings = SETTINGS.model_copy(update={"kind": kind, "vocabulary_size": 600})
        tokenizer = train_tokenizer((document.text for document in documents), settings)
        unknown[kind] = tokenizer.unk_token_id in tokenizer("a 漢 b").input_ids
        if kind == "byte_level_bpe":
            ids = tokenizer("Ça y est, 漢字!", add_special_tokens=False).input_ids
            assert tokenizer.decode(ids).strip() == "ça y est, 漢字!"
    assert unknown == {"wordpiece": True, "byte_level_bpe": False, "unigram": True}


def test_unigram_segments_into_the_most_likely_pieces(documents) -> None:
    """Against an exhaustive search over all segmentations of some words."""
    settings = SETTINGS.model_copy(update={"kind": "unigram", "vocabulary_size": 600})
    tokenizer = train_tokenizer((document.text for document in documents), settings)
    scores = dict(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"])

    def best(word: str) -> float:
        if not word:
            return 0.0
        cuts = (end for end in range(1, len(word) + 1) if word[:end] in scores)
        return max((scores[word[:end]] + best(word[end:]) for end in cuts), default=-1e9)

    for word in ("statement", "imported", "sequence", "an"):
        tokens = tokenizer.tokenize(word)
        assert "".join(tokens) == f"▁{word}"
        assert sum(scores[token] for token in tokens) == pytest.approx(best(f"▁{word}"))


@pytest.mark.parametrize("kind", ["byte_level_bpe", "unigram"])
def test_too_small_a_vocabulary_of_another_kind_is_said_so(kind: str) -> None:
    text = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 400))
    settings = SETTINGS.model_copy(update={"kind": kind, "vocabulary_size": 200})
    with pytest.raises(InputError, match=r"no room for .*raise corpus.tokenizer.vocabulary_size to \d+ or more"):
        train_tokenizer([text], settings)


def test_a_folder_without_tokenizer_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No tokenizer can be loaded"):
        load_tokenizer(tmp_path)


@pytest.mark.real_data
def test_the_original_bert_vocabulary_loads_with_its_special_tokens(real_data: Path) -> None:
    tokenizer = load_tokenizer(real_data / "tokenizers" / "bert-base-uncased")
    assert len(tokenizer) == 30522
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.mask_token_id) == (0, 101, 103)
