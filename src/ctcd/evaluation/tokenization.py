"""A task as token ids, made once and shared by all models with the same tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from ctcd.errors import InputError
from ctcd.evaluation.suite import LABEL
from ctcd.evaluation.tasks import MASKED_WORD, Task

TEXTS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class TokenizedSplit:
    """Examples one after the other, without padding.

    Attributes:
        token_ids: (tokens,) int32.
        token_types: (tokens,) uint8, 1 in the second text of a pair; None for models without them.
        starts: (examples + 1,) int64; example i is `token_ids[starts[i]:starts[i + 1]]`.
        labels: (examples,) int64 classes or float64 numbers.
    """

    token_ids: NDArray[np.int32]
    token_types: NDArray[np.uint8] | None
    starts: NDArray[np.int64]
    labels: NDArray[np.generic]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(examples,) tokens of each example."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.labels)


@dataclass(frozen=True)
class TokenizedTask:
    """A task's splits as token ids.

    Attributes:
        task: what it is.
        splits: training and validation splits by name.
        outputs: width of the classification head: number of classes, or 1 for regression.
        padding_id: token id that fills short examples.
        maximum_length: examples were cut to this many tokens.
    """

    task: Task
    splits: Mapping[str, TokenizedSplit]
    outputs: int
    padding_id: int
    maximum_length: int


def tokenize_task(
    task: Task,
    frames: Mapping[str, pd.DataFrame],
    tokenizer: PreTrainedTokenizerBase,
    maximum_length: int,
    with_token_types: bool,
) -> TokenizedTask:
    """Tokenize all splits of a task; a pair becomes `[CLS] a [SEP] b [SEP]`.

    Args:
        task: names the text columns.
        frames: tables by split, as `Suite.read_all` gives them.
        tokenizer: the model's.
        maximum_length: longer examples are cut, the longer text of a pair first.
        with_token_types: whether the model tells the two texts of a pair apart by token types.
    """
    outputs = 1 if task.regression else task.classes or int(frames["train"][LABEL].max()) + 1
    splits = {
        split: _tokenize_split(task, frame, tokenizer, maximum_length, with_token_types)
        for split, frame in frames.items()
    }
    return TokenizedTask(task, splits, outputs, tokenizer.pad_token_id, maximum_length)


def uses_token_types(configuration: PretrainedConfig) -> bool:
    """Whether a model has embeddings for the first and the second text of a pair."""
    return (getattr(configuration, "type_vocab_size", 0) or 0) > 1


def check_fit(configuration: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, maximum_length: int) -> None:
    """Check that a model can read what its tokenizer makes.

    Raises:
        InputError: if the model has too few positions or too small a vocabulary, or there is no padding token.
    """
    positions = getattr(configuration, "max_position_embeddings", None)
    if positions and positions > 0:
        if "roberta" in configuration.model_type:
            positions -= configuration.pad_token_id + 1  # this family counts positions from there on
        if maximum_length > positions:
            raise InputError(
                f"finetuning.maximum_length is {maximum_length}, but the model reads at most {positions} tokens: "
                f"set it to {positions} or less."
            )
    if len(tokenizer) > configuration.vocab_size:
        raise InputError(
            f"The tokenizer knows {len(tokenizer)} tokens and the model {configuration.vocab_size}: "
            "use the tokenizer that the model was trained with."
        )
    if tokenizer.pad_token_id is None:
        raise InputError("The tokenizer has no padding token: add one to its folder.")


def _tokenize_split(
    task: Task, frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, maximum_length: int, with_token_types: bool
) -> TokenizedSplit:
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    lengths: list[int] = []
    for start in range(0, len(frame), TEXTS_AT_ONCE):
        texts = [_texts(frame[column].iloc[start : start + TEXTS_AT_ONCE], tokenizer) for column in task.text_columns]
        encoded = tokenizer(
            *texts,
            truncation=True,
            max_length=maximum_length,
            return_attention_mask=False,
            return_token_type_ids=with_token_types,
        )
        ids.extend(np.asarray(row, np.int32) for row in encoded["input_ids"])
        lengths.extend(map(len, encoded["input_ids"]))
        if with_token_types:
            types.extend(np.asarray(row, np.uint8) for row in encoded["token_type_ids"])
    return TokenizedSplit(
        token_ids=np.concatenate(ids),
        token_types=np.concatenate(types) if with_token_types else None,
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=frame[LABEL].to_numpy(),
    )


def _texts(column: "pd.Series[str]", tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts with masked words as the tokenizer writes them."""
    mask = tokenizer.mask_token
    if mask in (None, MASKED_WORD):
        return column.tolist()
    return [text.replace(MASKED_WORD, mask) for text in column]
