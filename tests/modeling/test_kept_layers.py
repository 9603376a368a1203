"""Some layers of a model, in every family."""

import pytest
import torch
from torch import nn

from ctcd.modeling.architecture import build_model, has_dropout, shape_of
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.kept_layers import even_layers, keep_layers
from ctcd.modeling.settings import ModelParameters

LAYERS = 6


def build(architecture: str, tokenizer):
    shape = ModelParameters(
        architecture=architecture,
        layers=LAYERS,
        width=32,
        heads=2,
        feed_forward=64,
        options={"modernbert": {"local_attention": 8}},
    )
    return build_model(shape, tokenizer, 16, 1, "teacher").eval()


@pytest.mark.parametrize(
    ("count", "wanted", "layers"),
    [
        (12, 6, [0, 2, 4, 7, 9, 11]),  # DistilBERT's
        (6, 4, [0, 2, 3, 5]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
        (6, 2, [0, 5]),
        (6, 1, [0]),
    ],
)
def test_even_layers_begin_with_the_first_and_end_with_the_last(count: int, wanted: int, layers: list[int]) -> None:
    assert even_layers(count, wanted) == layers


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_all_layers_are_the_same_model(architecture: str, tokenizer) -> None:
    model, tokens = build(architecture, tokenizer), torch.randint(5, len(tokenizer), (2, 16))
    torch.testing.assert_close(keep_layers(model, range(LAYERS), 0.0).eval()(tokens).logits, model(tokens).logits)


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_a_model_with_some_layers_computes_what_the_model_does_without_the_others(
    architecture: str, tokenizer, tmp_path
) -> None:
    layers, tokens = [0, 2, 5], torch.randint(5, len(tokenizer), (2, 16))
    model = build(architecture, tokenizer)
    kept = keep_layers(model, layers, 0.0).eval()
    path = next(name for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(model.get_submodule(path)[layer] for layer in layers))
    model.config.num_hidden_layers = len(layers)
    model.config.use_cache = False  # it is told by the old numbers of layers
    torch.testing.assert_close(kept(tokens).logits, model(tokens).logits)
    kept.save_pretrained(tmp_path)
    reopened = type(kept).from_pretrained(tmp_path).eval()
    assert shape_of(reopened.config) == shape_of(kept.config)
    assert shape_of(kept.config).layers == 3
    torch.testing.assert_close(reopened(tokens).logits, kept(tokens).logits)


def test_modernberts_layers_keep_their_kind_of_attention_and_the_first_one_has_no_norm(tokenizer) -> None:
    model = build("modernbert", tokenizer)
    kept = keep_layers(model, [1, 3, 5], 0.0)
    assert kept.config.layer_types == ["sliding_attention", "full_attention", "sliding_attention"]
    assert isinstance(kept.model.layers[0].attn_norm, nn.Identity)
    for new, old in enumerate([1, 3, 5]):
        assert torch.equal(kept.model.layers[new].attn.Wqkv.weight, model.model.layers[old].attn.Wqkv.weight)
    assert isinstance(kept.model.layers[1].attn_norm, nn.LayerNorm)


def test_the_model_is_left_alone_and_dropout_is_the_copys_own(tokenizer) -> None:
    model = build("bert", tokenizer)
    kept = keep_layers(model, [0, 1], 0.1)
    assert (has_dropout(kept), has_dropout(model)) == (True, False)
    assert shape_of(model.config).layers == LAYERS
    with torch.no_grad():
        next(kept.parameters()).add_(1.0)
    assert not torch.equal(next(kept.parameters()), next(model.parameters()))
