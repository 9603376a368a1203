"""What a step sees: a function of (seed, step) alone."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ctcd.corpus.shards import Sequences
from ctcd.engine.randomness import seed_from
from ctcd.pretraining.masking import PredictionBatch

# Of the order in which sequences are left out: the same for all variants and seeds, which share the text that is left.
_ORDER_OF_TEXT = 0


def limited(sequences: Sequences, share: float) -> Sequences:
    """A share of the sequences, the same whatever is trained on them; a larger share holds the smaller ones."""
    if share == 1:
        return sequences
    count = len(sequences)
    part = np.sort(_permutation(count, 0, _ORDER_OF_TEXT)[: limited_count(count, share)])
    return replace(sequences, kept=part if sequences.kept is None else sequences.kept[part])


def limited_count(count: int, share: float) -> int:
    """How many of `count` sequences a share of them is: at least one, if there is one."""
    return min(count, max(1, round(share * count)))


def batch_of(sequences: Sequences, step: int, batch_size: int, seed: int) -> Tensor:
    """Token ids of a step's batch: (batch_size, length), rows in the order in which they are stored.

    Every epoch is a new permutation of all sequences; a batch may reach over its end.
    """
    return torch.from_numpy(sequences.rows(rows_of_step(len(sequences), step, batch_size, seed)))


def rows_of_step(count: int, step: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Which of `count` sequences a step sees, ascending: (batch_size,)."""
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, offsets = np.divmod(positions, count)
    chosen = np.empty_like(positions)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = _permutation(count, int(epoch), seed)[offsets[here]]
    return np.sort(chosen)


@lru_cache(maxsize=2)
def _permutation(count: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed_from(seed, "epoch", epoch))).permutation(count)


def prefetched(prepare: Callable[[int], PredictionBatch], steps: Iterable[int]) -> Iterator[PredictionBatch]:
    """The batches of some steps, each prepared in a thread while the step before it is computed."""
    # One core: more of them in a side thread would wait for the cores that compute the step.
    with ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,)) as thread:
        coming: Future[PredictionBatch] | None = None
        for step in steps:
            ready, coming = coming, thread.submit(prepare, step)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def to_device(token_ids: Tensor, device: torch.device) -> Tensor:
    """Copy tokens to a device; the copy to a GPU goes on while the caller does."""
    return token_ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else token_ids
