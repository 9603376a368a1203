"""Attention as a GPU likes it: one product for queries, keys and values, and no mask where nothing is padded."""

from typing import cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ctcd.modeling.families import FAMILIES

# PyTorch's attention under a name for which Transformers makes no mask. In compiled code some of its versions make one,
# spread from a single number; PyTorch's fused kernels do not take it, and plain ones took a quarter of a step.
UNMASKED = "unmasked"
AttentionInterface.register(UNMASKED, sdpa_attention_forward)

# Families that are only fine-tuned have the same names.
PROJECTIONS = {family.projections for family in FAMILIES.values() if family.projections}


def accelerate_attention(model: PreTrainedModel, is_padded: bool = False) -> None:
    """Change how a model computes attention, not what, as long as one thread calls it.

    Masks are not heeded unless something is padded. Layers that look at their neighbours alone keep theirs. Causal
    models need none: their attention is told.
    """
    if not is_padded and "sliding_attention" not in (getattr(model.config, "layer_types", None) or ()):
        model.set_attn_implementation(UNMASKED)
    for module in model.modules():
        for names in PROJECTIONS:
            layers = [getattr(module, name, None) for name in names]
            if all(type(layer) is nn.Linear for layer in layers):
                _join(cast(list[nn.Linear], layers))


def restore_attention(model: PreTrainedModel) -> None:
    """Undo `accelerate_attention`."""
    if model.config._attn_implementation == UNMASKED:
        model.set_attn_implementation("sdpa")
    for module in list(model.modules()):
        if isinstance(module, _FirstOfJoined | _OtherOfJoined):
            del module.joined, module.place
            module.__class__ = nn.Linear  # type: ignore[assignment]


class _Joined:
    """Linear layers that read the same, computed together when the first one is called; the others' results wait."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        self.layers = layers
        self.waiting: dict[int, Tensor] = {}  # by place among the layers


class _FirstOfJoined(nn.Linear):
    joined: _Joined
    place: int

    def forward(self, input: Tensor) -> Tensor:
        layers = self.joined.layers
        weight = torch.cat([layer.weight for layer in layers])
        bias = None if self.bias is None else torch.cat([layer.bias for layer in layers])
        outputs = nn.functional.linear(input, weight, bias).split([layer.out_features for layer in layers], dim=-1)
        self.joined.waiting = dict(enumerate(outputs))
        return self.joined.waiting.pop(0)


class _OtherOfJoined(nn.Linear):
    joined: _Joined
    place: int

    def forward(self, input: Tensor) -> Tensor:
        return self.joined.waiting.pop(self.place)


def _join(layers: list[nn.Linear]) -> None:
    """Other classes, the same weights under the same names."""
    joined = _Joined(layers)
    for place, layer in enumerate(layers):
        layer.__class__ = _FirstOfJoined if place == 0 else _OtherOfJoined
        layer.joined, layer.place = joined, place  # type: ignore[assignment]
