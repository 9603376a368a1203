"""The update in blocks against PyTorch's own optimiser and clipping."""

import copy
import sys

import pytest
import torch
from torch import nn

from ctcd.engine.hardware import Hardware, can_compile_for_gpu
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.settings import OptimiserParameters

WEIGHT_DECAY, SECOND_BETA, MAXIMUM_NORM = 0.1, 0.999, 1.0
TRUE = torch.tensor(True)


def optimiser_of(
    network: nn.Module, learning_rate: float, weight_decay: float, dtype: torch.dtype, compiles: bool = True
) -> Optimiser:
    settings = OptimiserParameters(
        name="adamw",
        learning_rate=learning_rate,
        second_beta=SECOND_BETA,
        weight_decay=weight_decay,
        maximum_gradient_norm=MAXIMUM_NORM,
    )
    device = next(network.parameters()).device
    return Optimiser(network, settings, Hardware(device, dtype, compiles and can_compile_for_gpu()))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 7)
        self.layer = nn.Linear(7, 3)
        self.norm = nn.LayerNorm(3)
        self.output = nn.Linear(3, 11)
        self.unused = nn.Linear(5, 5)
        self.register_buffer("scale", torch.full((), 1.0009765625))  # more digits than bfloat16 has

    def forward(self, tokens):
        return self.output(self.norm(self.layer(self.embedding(tokens)))) * self.scale


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def network(request) -> Network:
    torch.manual_seed(1)
    return Network().to(request.param)


def loss_of(network: nn.Module, step: int, factor: float) -> torch.Tensor:
    tokens = torch.randint(11, (4, 6), generator=torch.Generator().manual_seed(step)).to(network.scale.device)
    return factor * nn.functional.cross_entropy(network(tokens).flatten(0, 1).float(), tokens.flatten())


@pytest.mark.parametrize("factor", [0.1, 100.0])  # not clipped, and clipped
def test_in_float32_it_is_adamw_with_clipping(network: Network, factor: float) -> None:
    plain = copy.deepcopy(network)
    update = optimiser_of(network, 0.05, WEIGHT_DECAY, torch.float32)
    assert update.weights.blocks[0].weights.device == network.scale.device
    used = [weight for name, weight in plain.named_parameters() if not name.startswith("unused")]
    optimiser = torch.optim.AdamW(
        [
            {"params": [weight for weight in used if weight.ndim == 2], "weight_decay": WEIGHT_DECAY},
            {"params": [weight for weight in used if weight.ndim == 1], "weight_decay": 0.0},
        ]
    )
    for step in range(5):
        loss_of(network, step, factor).backward()
        norm_before = update.step(TRUE.to(network.scale.device), (5 - step) / 5)
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (5 - step)
        optimiser.zero_grad()
        loss_of(plain, step, factor).backward()
        norm = nn.utils.clip_grad_norm_(used, MAXIMUM_NORM)
        assert (norm > MAXIMUM_NORM) == (factor > 1)
        torch.testing.assert_close(norm_before, norm.detach())
        optimiser.step()
    for (name, weight), expected in zip(network.named_parameters(), plain.parameters(), strict=True):
        if not name.startswith("unused"):
            torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_small_updates_are_not_lost(network: Network) -> None:
    # Next to nothing beside a weight of bfloat16's eight bits.
    before = network.output.bias.detach().clone()
    update = optimiser_of(network, 1e-5, 0.0, torch.bfloat16)
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    for _ in range(1000):
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        update.step(TRUE.to(network.scale.device), 1.0)
    torch.testing.assert_close(network.output.bias.float(), before - 0.01, rtol=0.01, atol=1e-4)


def test_the_model_computes_with_the_weights_rounded_to_nearest(network: Network) -> None:
    exact, is_finite = copy.deepcopy(network), TRUE.to(network.scale.device)
    rounded, full = optimiser_of(network, 0.01, 0.0, torch.bfloat16), optimiser_of(exact, 0.01, 0.0, torch.float32)
    for one, other in zip(network.parameters(), exact.parameters(), strict=True):
        one.grad = torch.linspace(-1, 1, one.numel(), device=one.device).view_as(one).bfloat16()
        other.grad = one.grad.float()
    rounded.step(is_finite, 1.0)
    full.step(is_finite, 1.0)
    for one, other in zip(network.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(one, other.bfloat16(), rtol=2**-8, atol=0)
        assert (one == other.bfloat16()).float().mean() > 0.9  # a last digit may tip over


def test_buffers_keep_their_digits(network: Network) -> None:
    optimiser_of(network, 0.1, 0.0, torch.bfloat16)
    assert network.scale.dtype == torch.float32
    assert network.scale.item() == 1.0009765625


def test_weights_that_are_one_stay_one(network: Network) -> None:
    device = network.scale.device
    network.output.weight = nn.Parameter(torch.randn(11, 3, device=device))
    network.layer = nn.Linear(7, 3, device=device)
    other = nn.Linear(3, 11, device=device)
    other.weight = network.output.weight
    network.other = other
    update = optimiser_of(network, 0.1, 0.0, torch.bfloat16)
    loss_of(network, 0, 1.0).backward()
    update.step(TRUE.to(device), 1.0)
    assert network.other.weight is network.output.weight
    assert network.other.weight.data_ptr() == network.output.weight.data_ptr()


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_what_is_not_finite_changes_nothing_not_even_the_moments(network: Network, bad: str, compiles: bool) -> None:
    device = network.scale.device
    update = optimiser_of(network, 0.1, WEIGHT_DECAY, torch.bfloat16, compiles)
    loss_of(network, 0, 1.0).backward()
    update.step(TRUE.to(device), 1.0)
    before = copy.deepcopy(update.state())
    loss_of(network, 1, 1.0 if bad == "loss" else float("inf")).backward()
    update.step(torch.tensor(bad == "gradient", device=device), 1.0)
    after = update.state()
    for name, value in before["model"].items():
        assert torch.equal(after["model"][name], value)
    (saved,), (found,) = before["optimisers"], after["optimisers"]
    assert found["step"] == saved["step"] == 1
    for moments in ("first", "second"):
        for name, value in saved[moments].items():
            assert torch.equal(found[moments][name], value)


def test_the_same_steps_follow_a_restored_state(network: Network) -> None:
    device = network.scale.device
    other = copy.deepcopy(network)
    one = optimiser_of(network, 0.1, WEIGHT_DECAY, torch.bfloat16)
    loss_of(network, 0, 1.0).backward()
    one.step(TRUE.to(device), 1.0)
    two = optimiser_of(other, 0.1, WEIGHT_DECAY, torch.bfloat16)
    two.restore(copy.deepcopy(one.state()))
    for optimiser, model in ((one, network), (two, other)):
        loss_of(model, 1, 1.0).backward()
        optimiser.step(TRUE.to(device), 0.5)
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_no_kernel_is_compiled_where_nothing_may_be(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctcd.engine.adamw_kernel", None)  # importing it raises
    update = optimiser_of(network, 0.1, 0.0, torch.bfloat16, compiles=False)
    loss_of(network, 0, 1.0).backward()
    update.step(TRUE.to(network.scale.device), 1.0)
