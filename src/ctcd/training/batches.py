"""Which sequences a step sees: a function of (seed, step) alone."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ctcd.corpus.shards import Sequences
from ctcd.randomness import seed_from


def batch_of(sequences: Sequences, step: int, batch_size: int, seed: int) -> Tensor:
    """Token ids of a step's batch: (batch_size, length).

    Every epoch is a new permutation of all sequences; a batch may reach over its end.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, offsets = np.divmod(positions, len(sequences))
    chosen = np.empty_like(positions)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = _permutation(len(sequences), int(epoch), seed)[offsets[here]]
    return torch.from_numpy(sequences.rows(chosen))


@lru_cache(maxsize=2)
def _permutation(count: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed_from(seed, "epoch", epoch))).permutation(count)
