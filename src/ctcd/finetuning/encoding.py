"""A task as token ids, made once and shared by all models with the same tokenizer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from ctcd.errors import InputError
from ctcd.lineage.array_store import Arrays, ArrayStore
from ctcd.lineage.digest import content_digest, digest, table_fingerprint, tokenizer_fingerprint
from ctcd.modeling.architecture import readable_length
from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import MASKED_WORD, Task

TEXTS_AT_ONCE = 1 << 14
# Nearly all of GLUE is shorter.
DEFAULT_LENGTH = 128


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

    @cached_property
    def fingerprint(self) -> str:
        """Identity of what a model reads: the tokens, not the labels."""
        arrays = (self.token_ids, self.starts, self.token_types)
        return digest(*(None if array is None else content_digest(array.data) for array in arrays))

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.labels)

    def take(self, examples: NDArray[np.int64]) -> "TokenizedSplit":
        """Select examples, in the order given."""
        lengths = self.lengths[examples]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.repeat(self.starts[examples] - starts[:-1], lengths) + np.arange(starts[-1])
        types = None if self.token_types is None else self.token_types[places]
        return TokenizedSplit(self.token_ids[places], types, starts, self.labels[examples])


@dataclass(frozen=True)
class TokenizedTask:
    """A task's splits as token ids.

    Attributes:
        task: what it is.
        splits: training, validation and test splits by name.
        label_names: what each output of the classification head stands for; one for regression.
        padding_id: token id that fills short examples.
        maximum_length: examples were cut to this many tokens.
        fingerprint: identity of what decides a fine-tuning: tokens and learned labels. Test splits are no part of it.
    """

    task: Task
    splits: Mapping[str, TokenizedSplit]
    label_names: tuple[str, ...]
    padding_id: int
    maximum_length: int
    fingerprint: str

    @property
    def outputs(self) -> int:
        """Width of the classification head: number of classes, or 1 for regression."""
        return len(self.label_names)

    def with_splits(self, names: Iterable[str]) -> "TokenizedTask":
        """Leave out all other splits."""
        return replace(self, splits={name: self.splits[name] for name in names})


@dataclass(frozen=True)
class TextEncoding:
    """How text becomes tokens for a model.

    Attributes:
        tokenizer: the model's.
        maximum_length: longer examples are cut, the longer text of a pair first.
        with_token_types: whether the model tells the two texts of a pair apart by token types.
    """

    tokenizer: PreTrainedTokenizerBase
    maximum_length: int
    with_token_types: bool

    @classmethod
    def of(
        cls, configuration: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, maximum_length: int | None
    ) -> "TextEncoding":
        """Fit a tokenizer to a model.

        Args:
            configuration: the model's.
            tokenizer: the model's.
            maximum_length: None for 128 tokens, or what the model reads if that is less.

        Raises:
            InputError: if the model cannot read what the tokenizer makes, or nothing can pad short examples.
        """
        readable = readable_length(configuration)
        length = maximum_length or min(DEFAULT_LENGTH, readable or DEFAULT_LENGTH)
        if readable and length > readable:
            raise InputError(
                f"finetuning.maximum_length is {length}, but the model reads at most {readable} tokens: "
                f"set it to {readable} or less."
            )
        if len(tokenizer) > configuration.vocab_size:
            raise InputError(
                f"The tokenizer knows {len(tokenizer)} tokens and the model {configuration.vocab_size}: "
                "use the tokenizer that the model was trained with."
            )
        encoding = cls(tokenizer, length, uses_token_types(configuration))
        if encoding.padding_id is None:
            raise InputError("The tokenizer has neither a padding nor an end token: add one to its folder.")
        return encoding

    @property
    def padding_id(self) -> int:
        """Token that fills short examples: the padding token, or the end token of models that have none."""
        padding = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if padding is None else padding

    def fingerprint(self) -> str:
        """Identity of what becomes of a text."""
        return digest(tokenizer_fingerprint(self.tokenizer), self.maximum_length, self.with_token_types)


def tokenize_task(data: TaskData, encoding: TextEncoding, store: ArrayStore | None = None) -> TokenizedTask:
    """Tokenize all splits of a task; a pair becomes `[CLS] a [SEP] b [SEP]`.

    Args:
        data: its texts and labels.
        encoding: how.
        store: where tokens are kept from one run to the next; None to keep none.
    """
    keys, splits = {}, {}
    for split, frame in data.frames.items():
        texts = frame[list(data.task.text_columns)]
        keys[split] = digest(encoding.fingerprint(), table_fingerprint(texts))
        arrays = store.load(keys[split]) if store else None
        if arrays is None:
            arrays = _tokens(texts, encoding)
            if store:
                store.save(keys[split], arrays)
        labels = frame[LABEL].to_numpy()
        splits[split] = TokenizedSplit(arrays["token_ids"], arrays.get("token_types"), arrays["starts"], labels)
    learned = table_fingerprint(data.frames["train"][[LABEL]])
    fingerprint = digest({split: keys[split] for split in data.task.splits}, learned, data.outputs)
    return TokenizedTask(data.task, splits, data.label_names, encoding.padding_id, encoding.maximum_length, fingerprint)


def uses_token_types(configuration: PretrainedConfig) -> bool:
    """Whether a model has embeddings for the first and the second text of a pair."""
    return (getattr(configuration, "type_vocab_size", 0) or 0) > 1


def _tokens(texts: pd.DataFrame, encoding: TextEncoding) -> Arrays:
    """Arrays of a `TokenizedSplit`."""
    tokenizer = encoding.tokenizer
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts.iloc[start : start + TEXTS_AT_ONCE]
        encoded = tokenizer(
            *(_written(some[column], tokenizer) for column in texts.columns),
            truncation=True,
            max_length=encoding.maximum_length,
            return_attention_mask=False,
            return_token_type_ids=encoding.with_token_types,
        )
        # A tokenizer without special tokens makes nothing of an empty text.
        ids.extend(np.asarray(row or [encoding.padding_id], np.int32) for row in encoded["input_ids"])
        if encoding.with_token_types:
            types.extend(np.asarray(row or [0], np.uint8) for row in encoded["token_type_ids"])
    starts = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    arrays: Arrays = {"token_ids": np.concatenate(ids), "starts": starts}
    return arrays | ({"token_types": np.concatenate(types)} if encoding.with_token_types else {})


def _written(column: "pd.Series[str]", tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Texts with masked words as the tokenizer writes them."""
    mask = tokenizer.mask_token
    if mask in (None, MASKED_WORD):
        return column.tolist()
    return [text.replace(MASKED_WORD, mask) for text in column]
