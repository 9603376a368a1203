"""Weights in blocks: float32 behind a model that computes in bfloat16."""

import copy

import pytest
import torch
from torch import nn

from ctcd.distillation.methods import METHODS
from ctcd.engine.blocks import ParameterBlocks
from ctcd.engine.hardware import Hardware
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.settings import OptimiserParameters
from ctcd.lineage.state import StateStore
from ctcd.modeling.architecture import build_model
from ctcd.modeling.attention import accelerate_attention
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.batches import batch_of
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.masking import mask_tokens, masking_for
from ctcd.pretraining.models import FrozenModel, MovingAverage, Trainee

CPU = torch.device("cpu")
HALF = Hardware(CPU, torch.bfloat16)
ADAMW = OptimiserParameters(name="adamw", learning_rate=1e-5, weight_decay=0.0, maximum_gradient_norm=1.0)


def model_of(architecture: str, tokenizer):
    shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=64)
    return build_model(shape, tokenizer, 16, seed=1, role="teacher")


def batch_for(shards, tokenizer):
    tokens = batch_of(shards.sequences("train"), 0, 4, seed=1)
    return mask_tokens(tokens, masking_for(tokenizer, 0.15, CPU), 1, 0)


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_moving_weights_into_blocks_changes_no_weight_and_no_tie(architecture: str, tokenizer) -> None:
    model = model_of(architecture, tokenizer)
    before, parameters = copy.deepcopy(model.state_dict()), list(model.parameters())
    blocks = ParameterBlocks(model, torch.float32, gradient_dtype=torch.float32)
    assert [id(weight) for weight in model.parameters()] == [id(weight) for weight in parameters]
    assert before.keys() == model.state_dict().keys() == blocks.state().keys()
    for name, value in blocks.state().items():
        assert torch.equal(value, before[name])
    (block,) = blocks.blocks
    storage = block.weights.untyped_storage().data_ptr()
    assert {weight.untyped_storage().data_ptr() for weight in model.parameters()} == {storage}


def test_gradients_lie_where_their_weights_do(tokenizer) -> None:
    model = model_of("bert", tokenizer)
    blocks = ParameterBlocks(model, torch.float32, gradient_dtype=torch.float32)
    (block,) = blocks.blocks
    expected = {name: torch.randn_like(weight) for name, weight in model.named_parameters()}
    for unused in (None, "bert.embeddings.LayerNorm.weight"):
        for name, weight in model.named_parameters():
            weight.grad = None if name == unused else expected[name].clone()
        blocks.gather_gradients()
        for name, gradient in block.views(block.gradients).items():
            assert torch.equal(gradient, torch.zeros_like(gradient) if name == unused else expected[name])
        assert all(weight.grad is None for weight in model.parameters())
    used = torch.cat([value.flatten() for name, value in expected.items() if name != unused])
    torch.testing.assert_close(block.gradients.norm(), used.norm())


def test_what_stays_in_float32_has_gradients_in_float32(tokenizer) -> None:
    model = model_of("bert", tokenizer)
    blocks = ParameterBlocks(model, torch.bfloat16, keep=nn.Embedding, gradient_dtype=torch.bfloat16).blocks
    assert {block.rounded.dtype for block in blocks} == {torch.float32, torch.bfloat16}
    assert all(block.gradients.dtype == block.rounded.dtype for block in blocks)


def test_a_state_is_restored_by_a_model_whose_blocks_are_others(tokenizer, pretraining) -> None:
    muon = Optimiser(model_of("bert", tokenizer), pretraining.optimiser, HALF, keep=nn.Embedding)
    one, other = (Optimiser(model_of("bert", tokenizer), ADAMW, HALF) for _ in range(2))
    for optimiser in (muon, one):
        for block in optimiser.weights.blocks:
            block.weights.normal_()
    other.restore(copy.deepcopy(one.state()) | {"model": copy.deepcopy(muon.state()["model"])})
    for name, value in other.state()["model"].items():
        assert torch.equal(value, muon.state()["model"][name])


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_every_family_computes_in_bfloat16_but_for_its_embeddings(architecture: str, tokenizer) -> None:
    model = model_of(architecture, tokenizer)
    tokens = torch.randint(5, len(tokenizer), (3, 16), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(0, 48, 5)
    trainee = Trainee.start(copy.deepcopy(model), ADAMW, HALF)
    embeddings = [module for module in trainee.model.modules() if isinstance(module, nn.Embedding)]
    looked_up = {id(weight) for module in embeddings for weight in module.parameters()}
    for weight in trainee.model.parameters():
        assert weight.dtype == (torch.float32 if id(weight) in looked_up else torch.bfloat16)
    logits = trainee.logits(tokens, positions)
    assert logits.dtype == torch.bfloat16
    exact = Trainee.start(model, ADAMW, Hardware(CPU, torch.float32)).logits(tokens, positions)
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.03)
    logits.float().square().sum().backward()
    trainee.weights.gather_gradients()
    assert all(block.gradients.dtype == torch.float32 for block in trainee.weights.blocks)


def test_small_updates_are_not_lost(tokenizer) -> None:
    model = model_of("bert", tokenizer)
    trainee = Trainee.start(model, ADAMW, HALF)
    name, weight = next((name, w) for name, w in model.named_parameters() if w.dtype == torch.bfloat16 and w.ndim == 2)
    before = trainee.state()["model"][name].clone()
    for _ in range(200):
        for each in model.parameters():
            each.grad = torch.ones_like(each)
        trainee.optimiser.step(torch.tensor(True), 1.0)
    torch.testing.assert_close(trainee.state()["model"][name], before - 200 * 1e-5, rtol=0.01, atol=1e-5)
    torch.testing.assert_close(weight.float(), before - 200 * 1e-5, rtol=0.01, atol=1e-4)


def test_a_state_is_float32_and_restores_both(tokenizer) -> None:
    trainee = Trainee.start(model_of("bert", tokenizer), ADAMW, HALF)
    state = copy.deepcopy(trainee.state()["model"])
    assert all(value.dtype == torch.float32 for value in state.values() if value.is_floating_point())
    rounded = copy.deepcopy(trainee.model.state_dict())
    with torch.no_grad():
        for weight in trainee.weights.weights.values():
            weight.add_(1.0)
    trainee.weights.round()
    trainee.weights.restore(state)
    for name, value in trainee.state()["model"].items():
        assert torch.equal(value, state[name])
    for name, value in trainee.model.state_dict().items():
        assert torch.equal(value, rounded[name])


def test_what_is_given_back_is_the_model_in_float32(tokenizer) -> None:
    model = model_of("bert", tokenizer)
    before, tokens = copy.deepcopy(model), torch.randint(5, len(tokenizer), (3, 16))
    frozen = FrozenModel(model, HALF)
    frozen.give_back()
    torch.testing.assert_close(model.eval()(input_ids=tokens).logits, before.eval()(input_ids=tokens).logits)
    for weight, expected in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(weight, expected)


def test_a_moving_average_follows_weights_that_are_too_close_for_bfloat16(tokenizer) -> None:
    model = model_of("bert", tokenizer)
    start = copy.deepcopy(model.state_dict())
    average = MovingAverage(model, HALF, decay=0.5)
    followed = ParameterBlocks(model, torch.bfloat16, keep=nn.Embedding)
    with torch.no_grad():
        for weight in followed.weights.values():
            weight.add_(1e-4)
    average.update(followed)
    for name, value in average.weights.state().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, start[name] + 5e-5, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["ctcd", "self_distillation"])
def test_a_training_in_bfloat16_learns_what_one_in_float32_does(
    method: str, shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    settings = pretraining.model_copy(update={"steps": 40, "batch_size": 16})
    losses = {}
    for precision in ("float32", "bfloat16"):
        where = execution.model_copy(update={"precision": precision})
        store = StateStore(tmp_path / precision, precision)
        models, history = pretrain(shards, tokenizer, METHODS[method], settings, where, store)
        losses[precision] = history.table().query("metric == 'sampled_heldout_loss'")["value"].to_numpy()
        assert {weight.dtype for model in models.values() for weight in model.parameters()} == {torch.float32}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)
    assert losses["bfloat16"][-1] < losses["bfloat16"][0] - 0.3


def test_a_training_in_bfloat16_goes_on_to_the_very_same_end(
    shards, tokenizer, pretraining, execution, tmp_path
) -> None:
    settings = pretraining.model_copy(update={"steps": 6, "batch_size": 8})
    where = execution.model_copy(update={"precision": "bfloat16", "checkpoint_seconds": 0, "keep_checkpoints": 9})
    whole, parts = (StateStore(tmp_path / name, name) for name in ("whole", "parts"))
    expected, _ = pretrain(shards, tokenizer, METHODS["ctcd"], settings, where, whole)
    pretrain(shards, tokenizer, METHODS["ctcd"], settings, where, parts)
    for newest in sorted(parts.folder.glob("step-*.pt"))[3:]:
        newest.unlink()
    resumed, _ = pretrain(shards, tokenizer, METHODS["ctcd"], settings, where, parts)
    for role, model in expected.items():
        for one, other in zip(model.parameters(), resumed[role].parameters(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2", "llama"])
def test_compiled_as_on_a_gpu_it_is_one_graph(architecture: str, tokenizer) -> None:
    trainee = Trainee.start(model_of(architecture, tokenizer), ADAMW, HALF)
    accelerate_attention(trainee.model)
    compiled = torch.compile(trainee.logits.__call__, backend="eager", fullgraph=True, dynamic=False)
    tokens = torch.randint(5, len(tokenizer), (3, 16), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(0, 48, 5)
    for _ in range(2):
        torch.testing.assert_close(compiled(tokens, positions), trainee.logits(tokens, positions))
