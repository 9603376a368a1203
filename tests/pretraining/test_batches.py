from dataclasses import replace

import numpy as np
import pytest
import torch

from ctcd.pretraining.batches import batch_of, limited, limited_count, prefetched, rows_of_step
from ctcd.pretraining.masking import next_tokens


def test_an_epoch_shows_every_sequence_once() -> None:
    seen = np.concatenate([rows_of_step(21, step, 7, seed=1) for step in range(3)])
    assert sorted(seen) == list(range(21))


def test_epochs_differ_in_order() -> None:
    first, second = ([rows_of_step(21, epoch * 3 + step, 7, seed=1).tolist() for step in range(3)] for epoch in (0, 1))
    assert first != second


def test_a_batch_over_the_end_of_an_epoch_goes_on_with_the_next() -> None:
    over_the_end = rows_of_step(10, 1, 6, seed=1)
    rest = set(range(10)) - set(rows_of_step(10, 0, 6, seed=1))
    assert rest <= set(over_the_end.tolist())
    assert len(over_the_end) == 6


def test_rows_of_a_batch_are_read_in_the_order_in_which_they_are_stored() -> None:
    assert (np.diff(rows_of_step(1000, 3, 64, seed=1)) > 0).all()


def test_batches_depend_on_seed_and_step_alone(shards) -> None:
    sequences = shards.sequences("train")
    assert torch.equal(batch_of(sequences, 9, 4, seed=1), batch_of(sequences, 9, 4, seed=1))
    assert not torch.equal(batch_of(sequences, 9, 4, seed=1), batch_of(sequences, 9, 4, seed=2))


@pytest.mark.parametrize(("share", "count"), [(1.0, 40), (0.5, 20), (0.26, 10), (0.001, 1)])
def test_a_share_of_the_text_is_so_many_sequences_all_of_them_different(shards, share: float, count: int) -> None:
    sequences = replace(shards.sequences("train"), kept=np.arange(0, 80, 2))
    part = limited(sequences, share)
    assert len(part) == limited_count(40, share) == count
    rows = {tuple(row) for row in sequences.rows(np.arange(40))}
    assert {tuple(row) for row in part.rows(np.arange(count))} <= rows
    assert limited_count(0, share) == 0


def test_a_larger_share_holds_the_smaller_one_in_the_order_in_which_it_is_stored(shards) -> None:
    sequences = shards.sequences("train")
    half, tenth = limited(sequences, 0.5).kept, limited(sequences, 0.1).kept
    assert set(tenth) < set(half)
    assert (np.diff(half) > 0).all()


def test_every_seed_sees_the_same_part_of_the_text_once_an_epoch(shards) -> None:
    part = limited(shards.sequences("train"), 0.1)
    steps = len(part) // 4
    seen = [{tuple(row) for step in range(steps) for row in batch_of(part, step, 4, seed).tolist()} for seed in (1, 2)]
    known = {tuple(row) for row in part.rows(np.arange(len(part))).tolist()}
    assert seen[0] | seen[1] <= known
    assert len(known - seen[0]) < 4


def test_prefetched_batches_come_in_order() -> None:
    prepared: list[int] = []

    def prepare(step: int):
        prepared.append(step)
        return next_tokens(torch.full((1, 3), step))

    batches = prefetched(prepare, range(5, 9))
    assert [int(batch.input_ids[0, 0]) for batch in batches] == prepared == [5, 6, 7, 8]
    assert list(prefetched(prepare, range(4, 4))) == []


def test_an_error_while_a_batch_is_prepared_is_raised() -> None:
    def prepare(step: int):
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(prefetched(prepare, range(2)))
