"""One step of learning against PyTorch's own parts."""

import copy

import pytest
import torch
from torch import nn

from ctcd.engine.hardware import Hardware
from ctcd.engine.learner import Learner
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.settings import OptimiserParameters
from ctcd.engine.side_by_side import SideBySide

ADAMW = OptimiserParameters(name="adamw", learning_rate=0.1, weight_decay=0.01, maximum_gradient_norm=1.0)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def batch(seed: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 5, generator=generator).to(device), torch.randn(8, 3, generator=generator).to(device)


def mean_square(model: nn.Module):
    def compute(factor, inputs, targets):
        loss = factor * nn.functional.mse_loss(model(inputs), targets)
        return loss, torch.stack([loss.detach(), 2 * loss.detach()])

    return compute


def build(device: str = "cpu", **options) -> tuple[nn.Module, Learner]:
    torch.manual_seed(1)
    model = nn.Linear(5, 3).to(device)
    optimiser = Optimiser(model, ADAMW, Hardware(torch.device(device), torch.float32))
    return model, Learner(mean_square(model), [optimiser], torch.device(device), **options)


@pytest.mark.parametrize("device", DEVICES)
def test_steps_are_those_of_pytorch(device: str) -> None:
    model, learner = build(device)
    plain = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(
        [{"params": [plain.weight], "weight_decay": 0.01}, {"params": [plain.bias], "weight_decay": 0.0}],
        betas=(0.9, ADAMW.second_beta),
    )
    for step in range(5):
        inputs, targets = batch(step, device)
        learned = learner.learn(3.0, 1 / (step + 1), inputs, targets)
        optimiser.zero_grad()
        loss = 3 * nn.functional.mse_loss(plain(inputs), targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = 0.1 / (step + 1)
        optimiser.step()
        torch.testing.assert_close(learned.figures, torch.stack([loss, 2 * loss]).detach())
        torch.testing.assert_close(learned.norms, [norm])
        assert learned.is_finite
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("device", DEVICES)
def test_a_loss_that_is_not_finite_changes_nothing_and_the_next_one_counts(device: str) -> None:
    model, learner = build(device)
    undisturbed, other = build(device)
    for step in range(5):
        learner.learn(1.0, 1.0, *batch(step, device))
        other.learn(1.0, 1.0, *batch(step, device))
        before = copy.deepcopy(model.state_dict())
        inputs, targets = batch(step, device)
        assert not learner.learn(1.0, 1.0, inputs, targets * float("inf")).is_finite
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for one, expected in zip(model.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(one, expected)


def test_parts_side_by_side_are_the_whole() -> None:
    def halves(tensors):
        return [(0.5, tuple(each[:4] for each in tensors)), (0.5, tuple(each[4:] for each in tensors))]

    whole, at_once = build()
    with SideBySide(in_threads=True) as threads:
        parted, in_parts = build(side_by_side=threads, cut=halves)
        for step in range(3):
            expected, found = (each.learn(1.0, 1.0, *batch(step)) for each in (at_once, in_parts))
            torch.testing.assert_close(found.figures, expected.figures)
            torch.testing.assert_close(found.norms, expected.norms)
    for one, other in zip(whole.parameters(), parted.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_that_were_left_behind_do_not_count() -> None:
    model, learner = build()
    clean, other = build()
    for weight in model.parameters():
        weight.grad = torch.full_like(weight, float("nan"))
    learner.learn(1.0, 1.0, *batch(1))
    other.learn(1.0, 1.0, *batch(1))
    for one, expected in zip(model.parameters(), clean.parameters(), strict=True):
        assert torch.equal(one, expected)
