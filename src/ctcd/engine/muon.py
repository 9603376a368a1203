"""Muon: momentum whose matrices are made orthogonal before they are applied (Jordan 2024; Liu et al. 2025, 2502.16982).

The same update as `torch.optim.Muon`. All matrices of one shape lie in one block and are orthogonalised in one batched
product: six layers are one operation instead of six.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ctcd.engine.blocks import Block, fill, named

MOMENTUM = 0.95
# Quintic Newton-Schulz iteration: pushes all singular values towards 1 in few steps.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


class Muon:
    """Optimiser of blocks of equal matrices."""

    def __init__(
        self, blocks: Sequence[Block], learning_rate: float, weight_decay: float, fan_ratios: Sequence[float]
    ) -> None:
        """Take blocks, each with matrices of one shape.

        Args:
            blocks: of weights, with float32 gradients.
            learning_rate: at the peak.
            weight_decay: share of the weights that is taken off for a learning rate of 1.
            fan_ratios: outputs by inputs of the matrices of each block, whichever way they are stored.
        """
        self._blocks, self._learning_rate, self._weight_decay = list(blocks), learning_rate, weight_decay
        self._scales = [max(1.0, ratio) ** 0.5 for ratio in fan_ratios]
        self._momenta = [torch.zeros_like(block.weights) for block in blocks]

    def step(self, rate_factor: Tensor | float, grad_scale: Tensor, found_inf: Tensor) -> None:
        """Update all matrices, and round them; the arguments are those of `AdamW.step`."""
        kept = 1 - found_inf
        rate = kept * (self._learning_rate * rate_factor)
        for block, scale, momentum in zip(self._blocks, self._scales, self._momenta, strict=True):
            gradients = torch.where(kept.bool(), block.gradients.div_(grad_scale), momentum)
            momentum.lerp_(gradients, 1 - MOMENTUM)
            update = orthogonal(block.matrices(gradients.lerp_(momentum, MOMENTUM)))
            block.weights.mul_(1 - rate * self._weight_decay)
            block.matrices(block.weights).sub_(update * (rate * scale))
            block.round()

    def state(self) -> dict[str, Any]:
        """The momentum by the name of the parameter."""
        return {"momentum": named(self._blocks, self._momenta)}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        fill(self._blocks, self._momenta, state["momentum"])


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices with all singular values about 1.

    Args:
        matrices: (count, rows, columns)

    Returns:
        (count, rows, columns), bfloat16.
    """
    rows, columns = matrices.shape[1:]
    result = matrices.bfloat16()
    result = result.mT if rows > columns else result
    result = result / result.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = result @ result.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        result = torch.baddbmm(result, polynomial, result, beta=_A)
    return result.mT if rows > columns else result
