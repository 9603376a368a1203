import numpy as np
import pytest
import torch

from ctcd.finetuning.buckets import DeviceSplit, bucket_lengths, buckets_on, evaluation_batches, training_batches
from ctcd.finetuning.encoding import TokenizedSplit

LENGTHS = np.random.default_rng(3).integers(3, 65, 333)


@pytest.mark.parametrize("buckets", [16, 32])
@pytest.mark.parametrize("maximum_length", [8, 30, 64, 100, 128, 512])
def test_there_are_at_most_so_many_bucket_lengths_up_to_the_maximum(maximum_length, buckets):
    lengths = bucket_lengths(maximum_length, buckets)
    assert len(lengths) <= buckets
    assert lengths[-1] == maximum_length
    assert (np.diff(lengths) > 0).all()
    assert (lengths[:-1] % 4 == 0).all()


def test_an_epoch_has_every_example_once_in_full_batches():
    batches = training_batches(LENGTHS, 64, 32, seed=0, epoch=0, buckets=16)
    assert sorted(np.concatenate([batch.examples for batch in batches])) == list(range(333))
    assert sorted(len(batch.examples) for batch in batches) == [13] + [32] * 10


def test_rows_are_as_long_as_the_smallest_bucket_that_holds_them():
    for batch in training_batches(LENGTHS, 64, 32, seed=0, epoch=0, buckets=16):
        longest = LENGTHS[batch.examples].max()
        assert batch.shape.length == min(length for length in bucket_lengths(64, 16) if length >= longest)
        assert batch.shape.is_padded == (LENGTHS[batch.examples] < batch.shape.length).any()


def test_batches_hold_similar_lengths_so_that_little_is_padded():
    batches = training_batches(LENGTHS, 64, 32, seed=0, epoch=0, buckets=16)
    computed = sum(batch.shape.length * len(batch.examples) for batch in batches)
    assert computed < 1.15 * LENGTHS.sum()


def test_fewer_buckets_have_the_same_batches_in_longer_rows():
    many, few = (training_batches(LENGTHS, 64, 32, 0, 0, buckets) for buckets in (16, 4))
    assert [batch.examples.tolist() for batch in many] == [batch.examples.tolist() for batch in few]
    assert {batch.shape.length for batch in few} == {16, 32, 48, 64}
    assert all(one.shape.length <= other.shape.length for one, other in zip(many, few, strict=True))


@pytest.mark.parametrize(
    ("device", "examples", "expected"), [("cpu", 100, 32), ("cuda", 100, 8), ("cuda", 8551, 16), ("cuda", 392_702, 32)]
)
def test_a_gpu_has_few_buckets_for_few_examples(device, examples, expected):
    assert buckets_on(torch.device(device), examples) == expected


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    def order(seed, epoch):
        return [batch.examples.tolist() for batch in training_batches(LENGTHS, 64, 32, seed, epoch, buckets=16)]

    first = order(1, 0)
    np.random.default_rng().random()
    assert order(1, 0) == first
    assert order(1, 1) != first
    assert order(2, 0) != first


def test_evaluation_has_every_example_once_within_the_token_budget():
    batches = list(evaluation_batches(LENGTHS, 64, 256))
    assert sorted(np.concatenate([batch.examples for batch in batches])) == list(range(333))
    assert all(batch.shape.length * len(batch.examples) <= 256 for batch in batches)
    assert len(list(evaluation_batches(LENGTHS, 64, 1))) == 333


def split_of(*rows, types=None):
    return TokenizedSplit(
        token_ids=np.concatenate(rows).astype(np.int32),
        token_types=None if types is None else np.concatenate(types).astype(np.uint8),
        starts=np.cumsum([0, *map(len, rows)]),
        labels=np.arange(len(rows)),
    )


def inputs_of(split, batch, padding_id):
    on_device = DeviceSplit.of(split, padding_id, torch.device("cpu"))
    (examples,) = on_device.examples([batch])
    return on_device.inputs(examples, batch.shape)


def test_a_batch_is_its_rows_with_padding_that_the_mask_hides():
    split = split_of([2, 11, 12, 3], [2, 21, 3], [2, 31, 32, 33, 34, 3], types=[[0, 0, 0, 1], [0, 0, 1], [0] * 6])
    (batch,) = training_batches(split.lengths, 8, 3, seed=0, epoch=0, buckets=16)
    inputs, labels = inputs_of(split, batch, padding_id=9)
    order = np.argsort(labels.numpy())
    assert inputs["input_ids"][order].tolist() == [
        [2, 11, 12, 3, 9, 9, 9, 9],
        [2, 21, 3, 9, 9, 9, 9, 9],
        [2, 31, 32, 33, 34, 3, 9, 9],
    ]
    assert inputs["attention_mask"].sum(1)[order].tolist() == [4, 3, 6]
    assert inputs["token_type_ids"][order].tolist() == [
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_batch_without_padding_has_no_mask():
    split = split_of([2, 11, 12, 3], [2, 21, 22, 3])
    (batch,) = training_batches(split.lengths, 8, 2, seed=0, epoch=0, buckets=16)
    inputs, _ = inputs_of(split, batch, padding_id=0)
    assert list(inputs) == ["input_ids"]
    assert sorted(inputs["input_ids"].tolist()) == [[2, 11, 12, 3], [2, 21, 22, 3]]
