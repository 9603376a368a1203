"""AdamW for fine-tuning, in few passes over memory: on a GPU a small model's step is bound by them."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

MAXIMUM_GRADIENT_NORM = 1.0
# Weights begin at multiples of this many elements, as matrix products on a GPU want them.
ALIGNMENT = 64


class WeightUpdate:
    """AdamW with clipped gradients on a model's weights in float32; biases and normalisation weights do not decay.

    In bfloat16 the model computes with a rounded copy of its weights, so that nothing has to be cast in a step. All
    weights of a kind lie in one block: two large tensors are updated faster than hundreds of small ones.
    """

    def __init__(self, model: nn.Module, rate: Tensor, weight_decay: float, dtype: torch.dtype) -> None:
        """Take a model on its device, and a scalar there that holds the learning rate of the next step.

        Args:
            model: its parameters are moved into blocks, and are of `dtype` from now on.
            rate: changed by the caller.
            weight_decay: of matrices.
            dtype: float32 or bfloat16.
        """
        weights = list(model.parameters())
        matrices = _Block([weight for weight in weights if weight.ndim >= 2], dtype)
        others = _Block([weight for weight in weights if weight.ndim < 2], dtype)
        self._blocks = [matrices, others]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [matrices.weights], "weight_decay": weight_decay},
                {"params": [others.weights], "weight_decay": 0.0},
            ],
            lr=rate,
            fused=True,
            capturable=rate.is_cuda,
        )

    def step(self) -> None:
        """Update the weights by the gradients that are there, which are gone then."""
        for block in self._blocks:
            block.gather_gradients()
        norm = torch.stack([torch.linalg.vector_norm(block.gradients) for block in self._blocks]).norm()
        # The update divides by the scale on the way: clipping costs no pass of its own.
        self._optimiser.grad_scale = (norm / MAXIMUM_GRADIENT_NORM).clamp(min=1.0)  # type: ignore[attr-defined]
        self._optimiser.step()
        for block in self._blocks:
            block.round()


class _Block:
    """Some weights of a model, one after the other in one tensor."""

    def __init__(self, weights: Sequence[nn.Parameter], dtype: torch.dtype) -> None:
        self._weights = weights
        starts = [0, *accumulate(-(-weight.numel() // ALIGNMENT) * ALIGNMENT for weight in weights)]
        values = torch.zeros(starts[-1], device=weights[0].device)
        self.gradients = torch.zeros_like(values)
        for weight, start in zip(weights, starts, strict=False):
            _part(values, start, weight).copy_(weight.detach())
        self._rounded = values.to(dtype)  # the very same tensor in float32
        self._gradient_parts = [_part(self.gradients, *each) for each in zip(starts, weights, strict=False)]
        for weight, start in zip(weights, starts, strict=False):
            weight.data = _part(self._rounded, start, weight)
        self.weights = nn.Parameter(values)
        self.weights.grad = self.gradients

    def gather_gradients(self) -> None:
        """Move the gradients here; a weight that nothing depends on has none."""
        parts, gradients = [], []
        for part, weight in zip(self._gradient_parts, self._weights, strict=True):
            if weight.grad is not None:
                parts.append(part)
                gradients.append(weight.grad)
                weight.grad = None
        torch._foreach_copy_(parts, gradients)

    def round(self) -> None:
        """Give the model its copy, where it has one."""
        if self._rounded.dtype != self.weights.dtype:
            self._rounded.copy_(self.weights.detach())


def _part(values: Tensor, start: int, like: Tensor) -> Tensor:
    return values[start : start + like.numel()].view(like.shape)
