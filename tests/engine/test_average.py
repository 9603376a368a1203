import pytest
import torch
from torch import nn

from ctcd.engine.average import AverageOfWeights
from ctcd.engine.blocks import ParameterBlocks


@pytest.fixture
def blocks() -> ParameterBlocks:
    torch.manual_seed(1)
    return ParameterBlocks(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), torch.bfloat16)


def values(blocks: ParameterBlocks) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in blocks.weights.values()])


def add_one(blocks: ParameterBlocks) -> None:
    for block in blocks.blocks:
        block.weights += 1


def test_the_average_forgets_its_start_first_and_then_keeps_the_decay(blocks: ParameterBlocks) -> None:
    start, average = values(blocks).clone(), AverageOfWeights(blocks, decay=0.15)
    add_one(blocks)
    average.update(0)  # which keeps a tenth
    add_one(blocks)
    average.update(1)  # which would keep 2 of 11, more than the decay
    with average.in_place():
        torch.testing.assert_close(values(blocks), start + 0.15 * 0.9 + 0.85 * 2)


def test_in_its_context_the_model_computes_with_the_average_and_then_is_the_same_again(
    blocks: ParameterBlocks,
) -> None:
    average = AverageOfWeights(blocks, decay=0.9)
    model, inputs = blocks._model, torch.ones(1, 3, dtype=torch.bfloat16)
    at_start = model(inputs)
    add_one(blocks)
    blocks.round()
    trained, weights = model(inputs), values(blocks).clone()
    with average.in_place():
        assert torch.equal(model(inputs), at_start)
    assert torch.equal(model(inputs), trained)
    assert torch.equal(values(blocks), weights)


def test_a_restored_average_goes_on_in_the_same_way(blocks: ParameterBlocks) -> None:
    average, other = AverageOfWeights(blocks, decay=0.9), AverageOfWeights(blocks, decay=0.9)
    add_one(blocks)
    average.update(7)
    other.restore({name: value.clone() for name, value in average.state().items()})
    assert all(torch.equal(value, other.state()[name]) for name, value in average.state().items())
