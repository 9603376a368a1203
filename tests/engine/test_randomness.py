import math

import pytest
import torch

from ctcd.engine.randomness import random_bits, random_normals, seed_from


def splitmix64(counter: int, seed: int) -> int:
    """Vigna's reference implementation, in Python's unbounded integers."""
    mask = (1 << 64) - 1
    state = (counter * 0x9E3779B97F4A7C15 + seed) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return (state ^ (state >> 31)) & (mask >> 1)


def test_random_bits_equal_the_reference() -> None:
    counters = torch.tensor([0, 1, 2, 1000, 2**40])
    for seed in (0, 5, seed_from("a")):
        assert random_bits(counters, seed).tolist() == [splitmix64(int(each), seed) for each in counters]


def test_bits_are_balanced_and_sequences_differ() -> None:
    bits = random_bits(torch.arange(100_000), seed_from(1))
    for place in range(63):
        share = ((bits >> place) & 1).double().mean().item()
        assert abs(share - 0.5) < 0.01
    assert not torch.isin(bits, random_bits(torch.arange(100_000), seed_from(2))).any()


def test_seeds_depend_on_all_parts_and_their_order() -> None:
    assert len({seed_from(1, "a"), seed_from("a", 1), seed_from(1, "b"), seed_from(2, "a")}) == 4


def test_normal_numbers_have_the_moments_and_the_tail_of_their_distribution() -> None:
    numbers = random_normals(torch.arange(500), 1001).double()
    assert numbers.shape == (500, 1001)
    assert numbers.isfinite().all()
    assert [numbers.pow(power).mean().item() for power in (1, 2, 3, 4)] == pytest.approx([0, 1, 0, 3], abs=0.03)
    for bound in (0.5, 1.0, 2.0, 3.0):
        assert (numbers.abs() > bound).double().mean().item() == pytest.approx(math.erfc(bound / 2**0.5), abs=0.003)
    neighbours = (numbers[:, 1:] * numbers[:, :-1]).mean(), (numbers[1:] * numbers[:-1]).mean()
    assert max(map(abs, neighbours)) < 0.01


def test_normal_numbers_of_a_row_depend_on_its_seed_alone() -> None:
    assert torch.equal(random_normals(torch.tensor([5, 6]), 9)[1], random_normals(torch.tensor([6]), 9)[0])
