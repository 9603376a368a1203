import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from ctcd.corpus.settings import TokenizerParameters
from ctcd.corpus.tokenizer import SPECIAL_TOKENS, load_tokenizer, train_tokenizer
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint

SETTINGS = TokenizerParameters(vocabulary_size=300, lowercase=True, minimum_frequency=1, training_characters=50_000)
TRAIN_AND_PRINT = """
import sys
from pydoc_data.topics import topics
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.corpus.settings import TokenizerParameters
settings = TokenizerParameters(vocabulary_size=900, lowercase=True, minimum_frequency=2, training_characters=400_000)
symbols = "tree├──leaf │ a→b→c x─┬─y ½+¼=¾ naïve≠naive €5 20°C " * 9  # neither letters nor punctuation
vocabulary = train_tokenizer([symbols, *topics.values()], settings).get_vocab()
print(sorted(vocabulary, key=vocabulary.get))
"""


def test_two_processes_train_the_same_vocabulary() -> None:
    # Different hash seeds and thread counts: what makes the library's own training differ from run to run.
    outputs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN_AND_PRINT],
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


def test_a_folder_without_tokenizer_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No tokenizer can be loaded"):
        load_tokenizer(tmp_path)


@pytest.mark.real_data
def test_the_original_bert_vocabulary_loads_with_its_special_tokens(real_data: Path) -> None:
    tokenizer = load_tokenizer(real_data / "tokenizers" / "bert-base-uncased")
    assert len(tokenizer) == 30522
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.mask_token_id) == (0, 101, 103)
