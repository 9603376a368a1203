import numpy as np
import torch

from ctcd.training.batches import batch_of


def rows(tensor: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in tensor.tolist()]


def test_an_epoch_shows_every_sequence_once(shards) -> None:
    sequences = shards.sequences("train")
    size = 7
    steps = -(-len(sequences) // size)
    seen = [row for step in range(steps) for row in rows(batch_of(sequences, step, size, seed=1))][: len(sequences)]
    assert sorted(seen) == sorted(map(tuple, sequences.rows(np.arange(len(sequences))).tolist()))


def test_epochs_differ_in_order(shards) -> None:
    sequences = shards.sequences("train")
    whole = len(sequences)
    first, second = (rows(batch_of(sequences, step, whole, seed=1)) for step in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)


def test_batches_depend_on_seed_and_step_alone(shards) -> None:
    sequences = shards.sequences("train")
    assert torch.equal(batch_of(sequences, 9, 4, seed=1), batch_of(sequences, 9, 4, seed=1))
    assert not torch.equal(batch_of(sequences, 9, 4, seed=1), batch_of(sequences, 9, 4, seed=2))
