"""Against PyTorch's own Muon, one matrix after the other."""

import copy

import pytest
import torch
from torch import nn, optim
from transformers.pytorch_utils import Conv1D

from ctcd.engine.hardware import Hardware
from ctcd.engine.muon import orthogonal
from ctcd.engine.optimiser import Optimiser, layer_matrices
from ctcd.engine.settings import OptimiserParameters
from ctcd.modeling.architecture import build_model
from ctcd.modeling.settings import ModelParameters

CPU = Hardware(torch.device("cpu"), torch.float32)
TRUE = torch.tensor(True)


def settings(maximum_norm: float = 1e9) -> OptimiserParameters:
    return OptimiserParameters(
        name="muon",
        learning_rate=0.01,
        matrix_learning_rate=0.02,
        weight_decay=0.1,
        maximum_gradient_norm=maximum_norm,
    )


def model_of(architecture: str, tokenizer) -> nn.Module:
    shape = ModelParameters(architecture=architecture, layers=2, width=24, heads=2, feed_forward=56)
    return build_model(shape, tokenizer, 16, seed=1, role="teacher")


def give_gradients(model: nn.Module, seed: int, factor: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = factor * torch.randn(weight.shape, generator=generator)


def turned_names(model: nn.Module) -> set[str]:
    return {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Conv1D)}


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "llama", "gpt2"])
def test_several_steps_equal_pytorchs_muon_on_outputs_by_inputs(architecture: str, tokenizer) -> None:
    model = model_of(architecture, tokenizer)
    start = copy.deepcopy(model)
    chosen = {id(matrix) for matrix in layer_matrices(model)}
    turned = turned_names(model)
    assert bool(turned) == (architecture == "gpt2")
    plain = {
        name: nn.Parameter((weight.mT if name in turned else weight).detach().clone())
        for name, weight in model.named_parameters()
        if id(weight) in chosen
    }
    one = Optimiser(model, settings(), CPU)
    other = optim.Muon(list(plain.values()), lr=0.02, weight_decay=0.1, nesterov=True)
    for step in range(4):
        give_gradients(model, step)
        for name, weight in model.named_parameters():
            if name in plain:
                plain[name].grad = (weight.grad.mT if name in turned else weight.grad).clone()
        one.step(TRUE, 1.0)
        other.step()
    for name, weight in start.named_parameters():
        if name in plain:
            mine, before = dict(model.named_parameters())[name], weight
            theirs = plain[name].mT if name in turned else plain[name]
            assert (mine - before).norm() > 0.1
            # The iteration runs in bfloat16, where the order of additions shows.
            assert (mine - theirs).norm() < 0.02 * (theirs - before).norm(), name


def test_singular_values_become_about_one() -> None:
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(1))).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_gradients_are_divided_by_the_scale_and_skipped_where_infinite(tokenizer) -> None:
    plain, scaled = model_of("bert", tokenizer), model_of("bert", tokenizer)
    one, other = Optimiser(plain, settings(), CPU), Optimiser(scaled, settings(maximum_norm=1.0), CPU)
    for step in range(2):
        give_gradients(plain, step)
        norm = nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        one.step(TRUE, 1.0)
        give_gradients(scaled, step)
        torch.testing.assert_close(other.step(TRUE, 1.0), norm)
    for first, second in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)
    before = copy.deepcopy(other.state())
    give_gradients(scaled, 9, factor=float("nan"))
    other.step(TRUE, 1.0)
    after = other.state()
    for name, value in before["model"].items():
        assert torch.equal(after["model"][name], value)
    for name, value in before["optimisers"][1]["momentum"].items():
        assert torch.equal(after["optimisers"][1]["momentum"][name], value)
