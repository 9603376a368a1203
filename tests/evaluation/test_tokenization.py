import copy

import pandas as pd
import pytest
from transformers import AutoConfig

from ctcd.errors import InputError
from ctcd.evaluation.suite import Suite
from ctcd.evaluation.tasks import GLUE
from ctcd.evaluation.tokenization import check_fit, tokenize_task, uses_token_types

COLA, RTE = GLUE["cola"], GLUE["rte"]


def frames(**columns):
    frame = pd.DataFrame(columns)
    return {"train": frame, "validation": frame}


def rows(split):
    return [split.token_ids[start:end].tolist() for start, end in zip(split.starts, split.starts[1:], strict=False)]


def test_examples_are_what_the_tokenizer_makes_of_each_alone(tokenizer):
    texts = ["The cat sat.", "It", "On the mat, it sat and sat."]
    tokenized = tokenize_task(COLA, frames(sentence=texts, label=[0, 1, 1]), tokenizer, 32, False)
    assert rows(tokenized.splits["train"]) == [tokenizer(text)["input_ids"] for text in texts]
    assert tokenized.splits["train"].labels.tolist() == [0, 1, 1]
    assert tokenized.splits["train"].token_types is None
    assert tokenized.outputs == 2


def test_a_pair_is_two_texts_with_separators_and_types(tokenizer):
    data = frames(sentence1=["a cat"], sentence2=["the mat"], label=[0])
    split = tokenize_task(RTE, data, tokenizer, 32, True).splits["validation"]
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("a cat", "the mat"))
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert rows(split) == [[cls, *first, sep, *second, sep]]
    assert split.token_types.tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)


def test_long_examples_are_cut_and_still_end_with_the_separator(tokenizer):
    data = frames(sentence1=["cat " * 50], sentence2=["mat"], label=[0])
    (row,) = rows(tokenize_task(RTE, data, tokenizer, 16, False).splits["train"])
    assert len(row) == 16
    assert row[-1] == tokenizer.sep_token_id
    assert row.count(tokenizer.sep_token_id) == 2


def test_an_empty_text_is_an_example_too(tokenizer):
    split = tokenize_task(COLA, frames(sentence=["", "a"], label=[0, 1]), tokenizer, 16, False).splits["train"]
    assert rows(split)[0] == [tokenizer.cls_token_id, tokenizer.sep_token_id]


def test_a_masked_word_becomes_the_tokenizers_own_mask(tokenizer):
    other = copy.deepcopy(tokenizer)
    other.add_special_tokens({"mask_token": "<mask>"})
    data = frames(sentence=["the [MASK] sat"], label=[0])
    for each in (tokenizer, other):
        (row,) = rows(tokenize_task(COLA, data, each, 32, False).splits["train"])
        assert row.count(each.mask_token_id) == 1
    assert other.mask_token_id != tokenizer.mask_token_id


@pytest.mark.parametrize(("name", "expected"), [("bert", True), ("distilbert", False), ("modernbert", False)])
def test_token_types_are_for_models_that_have_them(name, expected):
    assert uses_token_types(AutoConfig.for_model(name)) is expected


def test_too_few_positions_are_noticed_also_where_counting_starts_late(tokenizer):
    bert = AutoConfig.for_model("bert", vocab_size=600, max_position_embeddings=32)
    roberta = AutoConfig.for_model("roberta", vocab_size=600, max_position_embeddings=34, pad_token_id=1)
    for configuration in (bert, roberta):
        check_fit(configuration, tokenizer, 32)
        with pytest.raises(InputError, match="maximum_length is 33, but the model reads at most 32"):
            check_fit(configuration, tokenizer, 33)


def test_a_vocabulary_that_is_too_small_is_noticed(tokenizer):
    with pytest.raises(InputError, match="use the tokenizer that the model was trained with"):
        check_fit(AutoConfig.for_model("bert", vocab_size=100), tokenizer, 32)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "stsb", "rte"])
def test_real_glue_tasks_tokenize(real_data, tokenizer, name):
    data = {split: frame[:2000] for split, frame in Suite(real_data / "glue").read_all(GLUE[name]).items()}
    tokenized = tokenize_task(GLUE[name], data, tokenizer, 64, True)
    for split, frame in data.items():
        lengths = tokenized.splits[split].lengths
        assert len(lengths) == len(frame)
        assert lengths.min() > 2
        assert lengths.max() <= 64
    assert tokenized.outputs == (1 if name == "stsb" else 2)
