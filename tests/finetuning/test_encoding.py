import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig

from ctcd.errors import InputError
from ctcd.finetuning import encoding
from ctcd.finetuning.encoding import TextEncoding, tokenize_task, uses_token_types
from ctcd.lineage.array_store import ArrayStore
from ctcd.modeling.architecture import readable_length
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import GLUE

COLA, RTE = GLUE["cola"], GLUE["rte"]


def data_of(task, **columns):
    frame = pd.DataFrame(columns)
    return TaskData(task, {"train": frame, "validation": frame}, (0, 1))


def rows(split):
    return [split.token_ids[start:end].tolist() for start, end in zip(split.starts, split.starts[1:], strict=False)]


def test_examples_are_what_the_tokenizer_makes_of_each_alone(tokenizer):
    texts = ["The cat sat.", "It", "On the mat, it sat and sat."]
    tokenized = tokenize_task(data_of(COLA, sentence=texts, label=[0, 1, 1]), TextEncoding(tokenizer, 32, False))
    assert rows(tokenized.splits["train"]) == [tokenizer(text)["input_ids"] for text in texts]
    assert tokenized.splits["train"].labels.tolist() == [0, 1, 1]
    assert tokenized.splits["train"].token_types is None
    assert tokenized.outputs == 2


def test_a_pair_is_two_texts_with_separators_and_types(tokenizer):
    data = data_of(RTE, sentence1=["a cat"], sentence2=["the mat"], label=[0])
    split = tokenize_task(data, TextEncoding(tokenizer, 32, True)).splits["validation"]
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a cat", "the mat"))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert rows(split) == [[cls, *first, sep, *second, sep]]
    assert split.token_types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)


def test_long_examples_are_cut_and_still_end_with_the_separator(tokenizer):
    data = data_of(RTE, sentence1=["cat " * 50], sentence2=["mat"], label=[0])
    (row,) = rows(tokenize_task(data, TextEncoding(tokenizer, 16, False)).splits["train"])
    assert len(row) == 16
    assert row[-1] == tokenizer.sep_token_id
    assert row.count(tokenizer.sep_token_id) == 2


def test_an_empty_text_is_an_example_too(tokenizer):
    split = tokenize_task(data_of(COLA, sentence=["", "a"], label=[0, 1]), TextEncoding(tokenizer, 16, False)).splits[
        "train"
    ]
    assert rows(split)[0] == [tokenizer.cls_token_id, tokenizer.sep_token_id]


def test_a_masked_word_becomes_the_tokenizers_own_mask(tokenizer):
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"mask_token": "<mask>"})
    data = data_of(COLA, sentence=["the [MASK] sat"], label=[0])
    for each in (tokenizer, other):
        (row,) = rows(tokenize_task(data, TextEncoding(each, 32, False)).splits["train"])
        assert row.count(each.mask_token_id) == 1
    assert other.mask_token_id != tokenizer.mask_token_id


@pytest.mark.parametrize(("name", "expected"), [("bert", True), ("distilbert", False), ("modernbert", False)])
def test_token_types_are_for_models_that_have_them(name, expected):
    assert uses_token_types(AutoConfig.for_model(name)) is expected


def test_too_few_positions_are_noticed_also_where_counting_starts_late(tokenizer):
    bert = AutoConfig.for_model("bert", vocab_size=600, max_position_embeddings=32)
    roberta = AutoConfig.for_model("roberta", vocab_size=600, max_position_embeddings=34, pad_token_id=1)
    for configuration in (bert, roberta):
        assert TextEncoding.of(configuration, tokenizer, 32).maximum_length == 32
        with pytest.raises(InputError, match="maximum_length is 33, but the model reads at most 32"):
            TextEncoding.of(configuration, tokenizer, 33)


def test_a_vocabulary_that_is_too_small_is_noticed(tokenizer):
    with pytest.raises(InputError, match="use the tokenizer that the model was trained with"):
        TextEncoding.of(AutoConfig.for_model("bert", vocab_size=100), tokenizer, 32)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "stsb", "rte"])
def test_real_glue_tasks_tokenize(real_data, tokenizer, name):
    data = FolderSuite(real_data / "glue").read(GLUE[name])
    some = replace(data, frames={split: frame[:2000] for split, frame in data.frames.items()})
    tokenized = tokenize_task(some, TextEncoding(tokenizer, 64, True))
    for split, frame in some.frames.items():
        lengths = tokenized.splits[split].lengths
        assert len(lengths) == len(frame)
        assert lengths.min() > 2
        assert lengths.max() <= 64
    assert tokenized.outputs == (1 if name == "stsb" else 2)


def test_a_length_that_is_not_set_is_what_the_model_reads_and_128_at_most(tokenizer):
    for positions, expected in ((32, 32), (512, 128)):
        bert = AutoConfig.for_model("bert", vocab_size=600, max_position_embeddings=positions)
        assert TextEncoding.of(bert, tokenizer, None).maximum_length == expected
    assert readable_length(AutoConfig.for_model("xlnet")) is None


def test_a_model_without_a_padding_token_is_padded_with_its_end_token(tokenizer):
    other = copy.deepcopy(tokenizer)
    other.pad_token = None
    bert = AutoConfig.for_model("bert", vocab_size=600)
    with pytest.raises(InputError, match="neither a padding nor an end token"):
        TextEncoding.of(bert, other, 32)
    other.eos_token = "[SEP]"
    assert TextEncoding.of(bert, other, 32).padding_id == other.sep_token_id


def test_what_a_tokenizer_without_special_tokens_makes_of_an_empty_text_is_one_token(tokenizer):
    backend = copy.deepcopy(tokenizer)
    backend.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    split = tokenize_task(data_of(COLA, sentence=["", "a"], label=[0, 1]), TextEncoding(backend, 16, False)).splits[
        "train"
    ]
    assert rows(split)[0] == [backend.pad_token_id]


def test_kept_tokens_are_those_that_are_made_anew(tokenizer, tmp_path, monkeypatch):
    data = data_of(RTE, sentence1=["the cat", "a mat"], sentence2=["sat", "on it"], label=[0, 1])
    store = ArrayStore(tmp_path)
    first = tokenize_task(data, TextEncoding(tokenizer, 16, True), store)
    monkeypatch.setattr(encoding, "_tokens", lambda *_: pytest.fail("tokenized twice"))
    second = tokenize_task(data, TextEncoding(tokenizer, 16, True), store)
    assert rows(first.splits["train"]) == rows(second.splits["train"])
    assert first.splits["train"].token_types.tolist() == second.splits["train"].token_types.tolist()
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("change", ["text", "length", "types", "vocabulary"])
def test_other_texts_and_other_encodings_are_tokenized_apart(tokenizer, tmp_path, change):
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"mask_token": "<mask>"})
    texts = ["the cat", "a mat" if change != "text" else "a hat"]
    text_encoding = TextEncoding(
        other if change == "vocabulary" else tokenizer, 15 if change == "length" else 16, change != "types"
    )
    store = ArrayStore(tmp_path)
    tokenize_task(data_of(COLA, sentence=["the cat", "a mat"], label=[0, 1]), TextEncoding(tokenizer, 16, True), store)
    tokenize_task(data_of(COLA, sentence=texts, label=[0, 1]), text_encoding, store)
    assert len(list(tmp_path.iterdir())) == 2


def test_truncation_left_behind_by_a_call_is_no_part_of_an_encoding(tokenizer):
    before = TextEncoding(tokenizer, 16, True).fingerprint()
    tokenizer("the cat sat on the mat", truncation=True, max_length=4)
    assert TextEncoding(tokenizer, 16, True).fingerprint() == before


def test_selected_examples_are_the_whole_ones_in_their_order(tokenizer):
    data = data_of(RTE, sentence1=["a", "b c d", "e f"], sentence2=["g", "h", "i j"], label=[0, 1, 0])
    whole = tokenize_task(data, TextEncoding(tokenizer, 16, True)).splits["train"]
    taken = whole.take(np.array([2, 0]))
    assert rows(taken) == [rows(whole)[2], rows(whole)[0]]
    assert taken.labels.tolist() == [0, 0]
    assert len(taken.token_types) == len(taken.token_ids)
