"""What every contender trains on: shapes of the two models, and the token ids of each step."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FIRST, LAST = SPECIAL_TOKENS.index("[CLS]"), SPECIAL_TOKENS.index("[SEP]")
PREDICTED_SHARE = 0.15
ROLES = ("teacher", "student")
LAYERS = {"teacher": 6, "student": 4}
DISTINCT_STEPS = 64  # batches drawn; a longer run goes round


@dataclass(frozen=True)
class Shape:
    """Size of both models, which differ in their number of layers alone, and of a batch."""

    name: str
    width: int
    heads: int
    feed_forward: int
    vocabulary: int
    length: int
    batch_size: int

    @property
    def tokens_per_step(self) -> int:
        """Tokens that each model reads in a step."""
        return self.batch_size * self.length

    def with_batch_size(self, batch_size: int | None) -> "Shape":
        """The same shape with another number of sequences, if one is given."""
        return replace(self, batch_size=batch_size) if batch_size else self


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny", width=32, heads=2, feed_forward=64, vocabulary=512, length=32, batch_size=4),
        Shape("small", width=256, heads=4, feed_forward=1024, vocabulary=8192, length=128, batch_size=16),
        Shape("base", width=768, heads=12, feed_forward=3072, vocabulary=30522, length=128, batch_size=8),
    )
}


@lru_cache(maxsize=1)
def all_token_ids(shape: Shape) -> Tensor:
    """Token ids drawn by Zipf's law, which word pieces follow closely: (steps, sequences, length).

    Every sequence is full and lies between the two special tokens, like a packed one.
    """
    generator = np.random.Generator(np.random.Philox(1))
    ordinary = np.arange(len(SPECIAL_TOKENS), shape.vocabulary)
    frequencies = 1.0 / np.arange(1, len(ordinary) + 1)
    size = (DISTINCT_STEPS, shape.batch_size, shape.length)
    token_ids = torch.from_numpy(generator.choice(ordinary, size, p=frequencies / frequencies.sum()))
    token_ids[..., 0], token_ids[..., -1] = FIRST, LAST
    return token_ids


def token_ids_of(shape: Shape, step: int) -> Tensor:
    """Token ids of a step: (sequences, length)."""
    return all_token_ids(shape)[step % DISTINCT_STEPS]
