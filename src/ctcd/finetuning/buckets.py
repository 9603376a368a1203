"""Batches of similar length, padded to one of a few lengths."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ctcd.engine.randomness import seed_from
from ctcd.finetuning.encoding import TokenizedSplit

MOST_BUCKETS = 32
# On a GPU each bucket is a graph, and what its capture takes must be spared again by steps with less padding.
FEWEST_BUCKETS_ON_GPU, EXAMPLES_PER_BUCKET_ON_GPU = 8, 512


class BatchShape(NamedTuple):
    """What batches that are computed by the very same operations have in common."""

    examples: int  # how many
    length: int  # tokens of a row, one of the task's bucket lengths
    is_padded: bool  # whether some example is shorter than that


@dataclass(frozen=True)
class Batch:
    """Which examples are computed together, (batch,) int64 indices into the split, and in which shape."""

    examples: NDArray[np.int64]
    shape: BatchShape


@dataclass(frozen=True)
class DeviceSplit:
    """A split on the device it is computed on, so that batches are put together there, without any transfer."""

    token_ids: Tensor
    token_types: Tensor | None
    starts: Tensor
    labels: Tensor
    padding_id: int

    @classmethod
    def of(cls, split: TokenizedSplit, padding_id: int, device: torch.device) -> "DeviceSplit":
        """Copy a split to a device."""
        is_number = np.issubdtype(split.labels.dtype, np.floating)
        return cls(
            token_ids=torch.from_numpy(split.token_ids.astype(np.int64)).to(device),
            token_types=None if split.token_types is None else torch.from_numpy(split.token_types).to(device),
            starts=torch.from_numpy(split.starts).to(device),
            labels=torch.from_numpy(split.labels.astype(np.float32 if is_number else np.int64)).to(device),
            padding_id=padding_id,
        )

    def examples(self, batches: list[Batch]) -> list[Tensor]:
        """Copy the examples of some batches to the device, all at once."""
        together = torch.from_numpy(np.concatenate([batch.examples for batch in batches])).to(self.starts.device)
        return list(together.split([batch.shape.examples for batch in batches]))

    def inputs(self, examples: Tensor, shape: BatchShape) -> tuple[dict[str, Tensor], Tensor]:
        """Put a batch together: the model's arguments, each (batch, length), and the labels (batch,).

        There is no attention mask where nothing is padded.
        """
        positions = torch.arange(shape.length, device=self.starts.device)
        starts = self.starts[examples]
        places = starts[:, None] + positions
        if not shape.is_padded:
            inputs = {"input_ids": self.token_ids[places]}
            if self.token_types is not None:
                inputs["token_type_ids"] = self.token_types[places].long()
            return inputs, self.labels[examples]
        is_token = positions < (self.starts[examples + 1] - starts)[:, None]
        places = torch.where(is_token, places, starts[:, None])
        inputs = {
            "input_ids": torch.where(is_token, self.token_ids[places], self.padding_id),
            "attention_mask": is_token.long(),
        }
        if self.token_types is not None:
            inputs["token_type_ids"] = torch.where(is_token, self.token_types[places].long(), 0)
        return inputs, self.labels[examples]


def buckets_on(device: torch.device, examples: int) -> int:
    """How many lengths the rows of so many training examples should have at most."""
    if device.type == "cpu":
        return MOST_BUCKETS
    return min(MOST_BUCKETS, max(FEWEST_BUCKETS_ON_GPU, examples // EXAMPLES_PER_BUCKET_ON_GPU))


def bucket_lengths(maximum_length: int, buckets: int = MOST_BUCKETS) -> NDArray[np.int64]:
    """List the lengths that rows may have: at most so many, a multiple of 4 apart, the last one the maximum."""
    step = 4 * max(1, -(-maximum_length // (4 * buckets)))
    return np.append(np.arange(step, maximum_length, step), maximum_length)


def training_batches(
    lengths: NDArray[np.int64], maximum_length: int, batch_size: int, seed: int, epoch: int, buckets: int
) -> list[Batch]:
    """One epoch in ceil(examples / batch_size) batches; a function of its arguments alone.

    Examples are shuffled, put in the order of the finest buckets they fit and cut into batches, which are shuffled
    again. `buckets` decides how long rows are, not which examples are together.
    """
    random = np.random.default_rng(seed_from(seed, "epoch", epoch))
    shuffled = random.permutation(len(lengths))
    places = np.searchsorted(bucket_lengths(maximum_length), lengths)
    order = shuffled[np.argsort(places[shuffled], kind="stable")]
    edges = bucket_lengths(maximum_length, buckets)
    cuts = np.arange(batch_size, len(order), batch_size)
    batches = [_batch(examples, lengths, edges) for examples in np.split(order, cuts)]
    return [batches[index] for index in random.permutation(len(batches))]


def evaluation_batches(lengths: NDArray[np.int64], maximum_length: int, token_budget: int) -> Iterator[Batch]:
    """All examples once, longest first, in batches of at most `token_budget` tokens (but at least one example)."""
    order = np.argsort(-lengths, kind="stable")
    edges = bucket_lengths(maximum_length)
    start = 0
    while start < len(order):
        size = max(1, token_budget // _padded(lengths[order[start]], edges))
        yield _batch(order[start : start + size], lengths, edges)
        start += size


def _padded(length: np.int64, edges: NDArray[np.int64]) -> int:
    return int(edges[edges.searchsorted(length)])


def _batch(examples: NDArray[np.int64], lengths: NDArray[np.int64], edges: NDArray[np.int64]) -> Batch:
    chosen = lengths[examples]
    length = _padded(chosen.max(), edges)
    return Batch(examples, BatchShape(len(examples), length, bool((chosen < length).any())))
