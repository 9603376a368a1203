"""Losses of terms against plain loops over positions, heads and layers."""

import math

import pytest
import torch
from torch import nn

from ctcd.distillation.term_losses import (
    attention_relations_loss,
    hidden_states_loss,
    new_projection,
    uniform_layers,
)


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("learner", "source", "expected"),
    [
        (4, 6, [1, 2, 4, 5]),
        (3, 6, [1, 3, 5]),
        (4, 12, [2, 5, 8, 11]),
        (6, 4, [0, 1, 1, 2, 3, 3]),
        (1, 6, [5]),
        (2, 2, [0, 1]),
    ],
)
def test_layers_are_compared_with_those_that_are_as_far_up(learner: int, source: int, expected: list[int]) -> None:
    assert uniform_layers(learner, source) == expected


def test_hidden_states_are_compared_after_the_projection() -> None:
    own, source = [random(5, 3, seed=1), random(5, 3, seed=2)], [random(5, 4, seed=number) for number in range(3, 7)]
    projection = nn.Linear(3, 4, bias=False).double()
    found = hidden_states_loss(own, source, projection)
    errors = []
    for number, hidden in enumerate(own):
        for position in range(5):
            projected, wanted = projection.weight @ hidden[position], source[2 * number + 1][position]
            errors += [(a - b) ** 2 for a, b in zip(projected.tolist(), wanted.tolist(), strict=True)]
    assert found.item() == pytest.approx(sum(errors) / len(errors))


def naive_relations_loss(own, source, heads: int, positions: torch.Tensor) -> float:
    """MiniLMv2, one row of one relation at a time."""

    def rows(vectors: torch.Tensor, head: int) -> list[list[float]]:
        width = vectors.shape[1] // heads
        part = vectors[:, head * width : (head + 1) * width]
        products = [torch.stack([row @ other for other in part]) for row in part]
        return [torch.softmax(each / math.sqrt(width), 0).tolist() for each in products]

    length = own[0].shape[1]
    losses = []
    for sequence in (positions // length).tolist():  # a sequence once for each predicted position
        total = 0.0
        for mine, theirs in zip(own, source, strict=True):
            for head in range(heads):
                for one, other in zip(rows(mine[sequence], head), rows(theirs[sequence], head), strict=True):
                    total += sum(q * math.log(q / p) for p, q in zip(one, other, strict=True)) / (heads * length)
        losses.append(total)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("heads", [1, 2])
def test_relations_equal_a_plain_loop_for_models_of_two_widths(heads: int) -> None:
    own, source = ([random(3, 4, width, seed=width + each) for each in range(3)] for width in (4, 6))
    positions = torch.tensor([1, 3, 4, 11])
    found = attention_relations_loss(own, source, heads, positions)
    assert found.item() == pytest.approx(naive_relations_loss(own, source, heads, positions))


def test_nothing_is_lost_on_equal_relations() -> None:
    vectors = [random(2, 4, 6, seed=each) for each in range(3)]
    assert attention_relations_loss(vectors, vectors, 2, torch.tensor([0, 5])).item() == pytest.approx(0, abs=1e-12)


def test_only_the_learner_gets_a_gradient() -> None:
    own, source = (
        [random(2, 4, 6, seed=each).requires_grad_() for each in range(start, start + 3)] for start in (0, 3)
    )
    attention_relations_loss(own, source, 2, torch.tensor([0, 5])).backward()
    hidden, other = (random(2, 6, seed=seed).requires_grad_() for seed in (1, 2))
    hidden_states_loss([hidden], [other], nn.Identity()).backward()
    assert all(each.grad is not None for each in (*own, hidden))
    assert all(each.grad is None for each in (*source, other))


def test_a_projection_depends_on_widths_seed_and_role_alone() -> None:
    first = new_projection(3, 4, 1, "student").weight
    torch.rand(5)
    assert torch.equal(first, new_projection(3, 4, 1, "student").weight)
    assert not torch.equal(first, new_projection(3, 4, 2, "student").weight)
    assert not torch.equal(first, new_projection(3, 4, 1, "teacher").weight)
    assert first.shape == (4, 3)
