"""The update in blocks against PyTorch's own optimiser and clipping."""

import copy

import pytest
import torch
from torch import nn

from ctcd.engine.weight_update import MAXIMUM_GRADIENT_NORM, WeightUpdate

WEIGHT_DECAY = 0.1


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
    rate = torch.zeros((), device=network.scale.device)
    update = WeightUpdate(network, rate, WEIGHT_DECAY, torch.float32)
    used = [weight for name, weight in plain.named_parameters() if not name.startswith("unused")]
    optimiser = torch.optim.AdamW(
        [
            {"params": [weight for weight in used if weight.ndim == 2], "weight_decay": WEIGHT_DECAY},
            {"params": [weight for weight in used if weight.ndim == 1], "weight_decay": 0.0},
        ]
    )
    for step in range(5):
        rate.fill_(0.01 * (5 - step))
        loss_of(network, step, factor).backward()
        update.step()
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (5 - step)
        optimiser.zero_grad()
        loss_of(plain, step, factor).backward()
        norm = nn.utils.clip_grad_norm_(used, MAXIMUM_GRADIENT_NORM)
        assert (norm > MAXIMUM_GRADIENT_NORM) == (factor > 1)
        optimiser.step()
    for (name, weight), expected in zip(network.named_parameters(), plain.parameters(), strict=True):
        if not name.startswith("unused"):
            torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_small_updates_are_not_lost(network: Network) -> None:
    # Next to nothing beside a weight of bfloat16's eight bits.
    rate = torch.full((), 1e-5, device=network.scale.device)
    before = network.output.bias.detach().clone()
    update = WeightUpdate(network, rate, 0.0, torch.bfloat16)
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    for _ in range(1000):
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        update.step()
    torch.testing.assert_close(network.output.bias.float(), before - 0.01, rtol=0.01, atol=1e-4)


def test_the_model_computes_with_the_weights_rounded_to_nearest(network: Network) -> None:
    rate = torch.full((), 0.01, device=network.scale.device)
    exact = copy.deepcopy(network)
    rounded, full = WeightUpdate(network, rate, 0.0, torch.bfloat16), WeightUpdate(exact, rate, 0.0, torch.float32)
    for one, other in zip(network.parameters(), exact.parameters(), strict=True):
        one.grad = torch.linspace(-1, 1, one.numel(), device=one.device).view_as(one).bfloat16()
        other.grad = one.grad.float()
    rounded.step()
    full.step()
    for one, other in zip(network.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(one, other.bfloat16(), rtol=2**-8, atol=0)
        assert (one == other.bfloat16()).float().mean() > 0.9  # a last digit may tip over


def test_buffers_keep_their_digits(network: Network) -> None:
    WeightUpdate(network, torch.zeros((), device=network.scale.device), 0.0, torch.bfloat16)
    assert network.scale.dtype == torch.float32
    assert network.scale.item() == 1.0009765625


def test_weights_that_are_one_stay_one(network: Network) -> None:
    device = network.scale.device
    network.output.weight = nn.Parameter(torch.randn(11, 3, device=device))
    network.layer = nn.Linear(7, 3, device=device)
    other = nn.Linear(3, 11, device=device)
    other.weight = network.output.weight
    network.other = other
    update = WeightUpdate(network, torch.full((), 0.1, device=device), 0.0, torch.bfloat16)
    loss_of(network, 0, 1.0).backward()
    update.step()
    assert network.other.weight is network.output.weight
    assert network.other.weight.data_ptr() == network.output.weight.data_ptr()
