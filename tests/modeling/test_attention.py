import copy

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import masking_utils

from ctcd.modeling.architecture import build_model
from ctcd.modeling.attention import accelerate_attention, restore_attention
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.logits import PredictedLogits
from ctcd.modeling.settings import ModelParameters

LENGTH, LAYERS = 16, 4


def model_of(architecture: str, tokenizer):
    shape = ModelParameters(architecture=architecture, layers=LAYERS, width=32, heads=2, feed_forward=64)
    return build_model(shape, tokenizer, LENGTH, seed=1, role="teacher").eval()


def tokens_of(tokenizer) -> torch.Tensor:
    return torch.randint(5, len(tokenizer), (3, LENGTH), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_accelerated_logits_and_gradients_are_the_same(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    accelerated = copy.deepcopy(model)
    accelerate_attention(accelerated)
    assert accelerated.state_dict().keys() == model.state_dict().keys()
    logits = [each(input_ids=tokens).logits for each in (accelerated, model)]
    torch.testing.assert_close(*logits)
    for each in logits:
        each.pow(2).sum().backward()
    for one, other in zip(accelerated.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "llama"])
def test_queries_keys_and_values_are_one_product(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)

    def count_products() -> int:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            model(input_ids=tokens)
        return sum(event.count for event in profiler.key_averages() if event.key == "aten::linear")

    before = count_products()
    accelerate_attention(model)
    assert before - count_products() == 2 * LAYERS


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "gpt2"])
def test_compiled_it_is_one_graph(architecture: str, tokenizer) -> None:
    model, tokens = model_of(architecture, tokenizer), tokens_of(tokenizer)
    accelerate_attention(model)
    logits = PredictedLogits(model)
    compiled = torch.compile(logits.__call__, backend="eager", fullgraph=True, dynamic=False)
    positions = torch.arange(0, tokens.numel(), 5)
    for _ in range(2):
        torch.testing.assert_close(compiled(tokens, positions), logits(tokens, positions))


def test_no_mask_is_heeded_until_attention_is_restored(tokenizer) -> None:
    model, tokens = model_of("bert", tokenizer), tokens_of(tokenizer)
    mask = torch.ones_like(tokens).index_fill(1, torch.arange(8, LENGTH), 0)
    plain = copy.deepcopy(model)
    accelerate_attention(model)
    with torch.no_grad():
        assert torch.equal(model(tokens, attention_mask=mask).logits, model(tokens).logits)
        restore_attention(model)
        assert torch.equal(model(tokens, attention_mask=mask).logits, plain(tokens, attention_mask=mask).logits)
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]


def test_where_something_is_padded_masks_are_heeded(tokenizer) -> None:
    model, tokens = model_of("bert", tokenizer), tokens_of(tokenizer)
    mask = torch.ones_like(tokens).index_fill(1, torch.arange(8, LENGTH), 0)
    plain = copy.deepcopy(model)
    accelerate_attention(model, is_padded=True)
    assert [type(module) for module in model.modules()] != [type(module) for module in plain.modules()]
    with torch.no_grad():
        logits = [each(tokens, attention_mask=mask).logits for each in (model, plain)]
        torch.testing.assert_close(*logits)
        assert not torch.allclose(logits[0], model(tokens).logits)


def test_layers_that_look_at_their_neighbours_alone_keep_their_masks(tokenizer) -> None:
    model = model_of("modernbert", tokenizer)
    accelerate_attention(model)
    assert model.config._attn_implementation in masking_utils.ALL_MASK_ATTENTION_FUNCTIONS


def test_a_saved_model_is_opened_with_masks(tokenizer, tmp_path) -> None:
    model = model_of("bert", tokenizer)
    accelerate_attention(model)
    model.save_pretrained(tmp_path)
    assert type(model).from_pretrained(tmp_path).config._attn_implementation == "sdpa"
