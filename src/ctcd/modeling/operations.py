"""Floating-point operations of a model's matrix products, counted while it computes one sequence."""

from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from ctcd.modeling.logits import PredictedLogits


class Operations(NamedTuple):
    """Floating-point operations per token read; a multiplication and an addition are two."""

    forward: float
    backward: float

    @property
    def training(self) -> float:
        """Forward and backward."""
        return self.forward + self.backward


def count_operations(model: PreTrainedModel, length: int, predicted_share: float) -> Operations:
    """Count on a CPU, or on PyTorch's device `meta`, where nothing is computed.

    Args:
        model: in float32; its gradients are gone afterwards.
        length: tokens of a sequence.
        predicted_share: of the positions.
    """
    input_ids = torch.zeros(1, length, dtype=torch.long, device=model.device)
    positions = torch.arange(max(1, round(predicted_share * length)), device=model.device)
    # The CPU's fused attention is unknown to the counter; the plain one consists of products that it knows.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        logits = PredictedLogits(model)(input_ids, positions)
        forward = counter.get_total_flops()
        logits.sum().backward()
    model.zero_grad(set_to_none=True)
    return Operations(forward / length, (counter.get_total_flops() - forward) / length)
