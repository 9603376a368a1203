"""AdamW for fine-tuning, in few passes over memory: on a GPU a small model's step is bound by them."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from ctcd.engine.compilation import can_compile_for_gpu

MAXIMUM_GRADIENT_NORM = 1.0
BETAS = (0.9, 0.999)
EPSILON = 1e-8
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
        kinds = [[each for each in weights if each.ndim >= 2], [each for each in weights if each.ndim < 2]]
        decays = (weight_decay, 0.0)
        self._update: _InOnePass | _ByPyTorch
        if rate.is_cuda and can_compile_for_gpu():
            self._blocks = [_Block(kind, dtype, dtype) for kind in kinds]
            self._update = _InOnePass(self._blocks, decays, rate)
        else:
            self._blocks = [_Block(kind, dtype, torch.float32) for kind in kinds]
            self._update = _ByPyTorch(self._blocks, decays, rate)

    def step(self) -> None:
        """Update the weights by the gradients that are there, which are gone then."""
        for block in self._blocks:
            block.gather_gradients()
        norms = [torch.linalg.vector_norm(block.gradients, dtype=torch.float32) for block in self._blocks]
        # The update divides by the scale on the way: clipping costs no pass of its own.
        self._update.step((torch.stack(norms).norm() / MAXIMUM_GRADIENT_NORM).clamp(min=1.0))


class _Block:
    """Some weights of a model, one after the other in one tensor.

    Attributes:
        weights: (elements,) in float32.
        rounded: (elements,) in the model's type, whose parts are the model's parameters; in float32 the same tensor.
        gradients: (elements,) in the type that the update wants.
    """

    def __init__(self, weights: Sequence[nn.Parameter], dtype: torch.dtype, gradient_dtype: torch.dtype) -> None:
        self._weights = weights
        starts = [0, *accumulate(-(-weight.numel() // ALIGNMENT) * ALIGNMENT for weight in weights)]
        self.weights = torch.zeros(starts[-1], device=weights[0].device)
        for weight, start in zip(weights, starts, strict=False):
            _part(self.weights, start, weight).copy_(weight.detach())
        self.rounded = self.weights.to(dtype)
        self.gradients = torch.zeros_like(self.weights, dtype=gradient_dtype)
        self._gradient_parts = [_part(self.gradients, *each) for each in zip(starts, weights, strict=False)]
        for weight, start in zip(weights, starts, strict=False):
            weight.data = _part(self.rounded, start, weight)

    def gather_gradients(self) -> None:
        """Move the gradients here; a weight that nothing depends on has none."""
        parts, gradients = [], []
        for part, weight in zip(self._gradient_parts, self._weights, strict=True):
            if weight.grad is not None:
                parts.append(part)
                gradients.append(weight.grad)
                weight.grad = None
        torch._foreach_copy_(parts, gradients)


class _InOnePass:
    """By a kernel of our own, where Triton can compile it."""

    def __init__(self, blocks: Sequence[_Block], decays: Sequence[float], rate: Tensor) -> None:
        self._blocks, self._decays, self._rate = blocks, decays, rate
        self._number = torch.zeros((), dtype=torch.float64, device=rate.device)
        self._moments = [(torch.zeros_like(each.weights), torch.zeros_like(each.weights)) for each in blocks]

    def step(self, scale: Tensor) -> None:
        from ctcd.engine.adamw_kernel import adamw_in_one_pass

        self._number += 1
        for block, moments, decay in zip(self._blocks, self._moments, self._decays, strict=True):
            adamw_in_one_pass(
                block.weights,
                block.gradients,
                moments,
                block.rounded,
                self._rate,
                self._number,
                scale,
                BETAS,
                EPSILON,
                decay,
            )


class _ByPyTorch:
    """By PyTorch's optimiser, which wants gradients in float32, and a pass that rounds."""

    def __init__(self, blocks: Sequence[_Block], decays: Sequence[float], rate: Tensor) -> None:
        self._blocks = blocks
        parameters = [nn.Parameter(block.weights) for block in blocks]
        for parameter, block in zip(parameters, blocks, strict=True):
            parameter.grad = block.gradients
        self._optimiser = torch.optim.AdamW(
            [{"params": [each], "weight_decay": decay} for each, decay in zip(parameters, decays, strict=True)],
            lr=rate,
            betas=BETAS,
            eps=EPSILON,
            fused=True,
            capturable=rate.is_cuda,
        )

    def step(self, scale: Tensor) -> None:
        self._optimiser.grad_scale = scale  # type: ignore[attr-defined]
        self._optimiser.step()
        for block in self._blocks:
            if block.rounded is not block.weights:
                block.rounded.copy_(block.weights)


def _part(values: Tensor, start: int, like: Tensor) -> Tensor:
    return values[start : start + like.numel()].view(like.shape)
