"""Against PyTorch's own Muon, one matrix after the other."""

import copy

import torch
from torch import nn, optim

from ctcd.engine.muon import Muon, orthogonal


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(24, 8), (8, 24), (8, 8), (24, 8), (8, 8)]
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(weights: list[nn.Parameter], seed: int, factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in weights:
        weight.grad = factor * torch.randn(weight.shape, generator=generator)


def test_several_steps_equal_pytorchs_muon() -> None:
    ours, theirs = matrices(), matrices()
    one = Muon(ours, lr=0.02, weight_decay=0.1)
    other = optim.Muon(theirs, lr=0.02, weight_decay=0.1, nesterov=True)
    for step in range(4):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        one.step()
        other.step()
    for mine, reference, start in zip(ours, theirs, matrices(), strict=True):
        assert (mine - start).norm() > 0.1
        # The iteration runs in bfloat16, where the order of additions shows.
        assert (mine - reference).norm() < 0.02 * (reference - start).norm()


def test_singular_values_become_about_one() -> None:
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(1))).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_gradients_are_divided_by_the_scale_and_skipped_where_infinite() -> None:
    plain, scaled = matrices(), matrices()
    one, other = Muon(plain, lr=0.1, weight_decay=0.1), Muon(scaled, lr=0.1, weight_decay=0.1)
    for step in range(2):
        give_gradients(plain, step)
        one.step()
        give_gradients(scaled, step, factor=8.0)
        other.grad_scale, other.found_inf = torch.tensor(8.0), torch.tensor(0.0)
        other.step()
    for first, second in zip(plain, scaled, strict=True):
        torch.testing.assert_close(first, second)
    before = copy.deepcopy(other.state_dict())
    give_gradients(scaled, 9, factor=float("nan"))
    other.found_inf = torch.tensor(1.0)
    other.step()
    for first, second in zip(plain, scaled, strict=True):
        torch.testing.assert_close(first, second)
    for key, state in before["state"].items():
        assert torch.equal(state["momentum"], other.state_dict()["state"][key]["momentum"])
