"""AdamW on blocks of weights: few large tensors are updated faster than hundreds of small ones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from ctcd.engine.blocks import Block, fill, named

EPSILON = 1e-8


class AdamW:
    """AdamW that clips and rounds in the same pass (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        blocks: Sequence[Block],
        learning_rate: float,
        betas: tuple[float, float],
        weight_decays: Sequence[float],
        compiles: bool,
    ) -> None:
        """Take blocks; their gradients must be float32 unless the kernel is compiled.

        Args:
            blocks: of weights.
            learning_rate: at the peak.
            betas: decay of the two moments.
            weight_decays: one for each block: the share that is taken off for a learning rate of 1.
            compiles: whether Triton may compile a kernel, which needs a GPU; else PyTorch's is used.
        """
        self._blocks, self._learning_rate, self._betas = list(blocks), learning_rate, betas
        self._weight_decays, self._compiles = list(weight_decays), compiles
        self._first, self._second = ([torch.zeros_like(block.weights) for block in blocks] for _ in range(2))
        # Float64 on a GPU: near 1 a power of the betas has few digits left in float32.
        self._steps = [
            torch.zeros((), dtype=torch.float64 if compiles else torch.float32, device=block.weights.device)
            for block in blocks
        ]

    def step(self, rate_factor: Tensor | float, grad_scale: Tensor, found_inf: Tensor) -> None:
        """Update all weights, and round them.

        Args:
            rate_factor: share of the peak learning rate; a scalar on the device where the step is captured.
            grad_scale: what gradients are divided by, a float32 scalar on the device.
            found_inf: 1 where nothing may be changed and else 0, likewise.
        """
        rate = self._learning_rate * rate_factor
        update = self._update_in_one_pass if self._compiles else self._update_by_pytorch
        for index in range(len(self._blocks)):
            update(index, rate, grad_scale, found_inf)

    def state(self) -> dict[str, Any]:
        """The number of updates, and the moments by the name of the parameter."""
        return {
            "step": self._steps[0].clone(),
            "first": named(self._blocks, self._first),
            "second": named(self._blocks, self._second),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        for step in self._steps:
            step.copy_(state["step"])
        fill(self._blocks, self._first, state["first"])
        fill(self._blocks, self._second, state["second"])

    def _update_by_pytorch(self, index: int, rate: Tensor | float, grad_scale: Tensor, found_inf: Tensor) -> None:
        block, (first_beta, second_beta) = self._blocks[index], self._betas
        adamw(
            [block.weights],
            [block.gradients],
            [self._first[index]],
            [self._second[index]],
            [],
            [self._steps[index]],
            fused=True,
            capturable=block.weights.is_cuda,
            grad_scale=grad_scale,
            found_inf=found_inf,
            amsgrad=False,
            beta1=first_beta,
            beta2=second_beta,
            lr=rate,
            weight_decay=self._weight_decays[index],
            eps=EPSILON,
            maximize=False,
        )
        block.round()

    def _update_in_one_pass(self, index: int, rate: Tensor | float, grad_scale: Tensor, found_inf: Tensor) -> None:
        from ctcd.engine.adamw_kernel import adamw_in_one_pass

        block, step = self._blocks[index], self._steps[index]
        step += 1 - found_inf
        adamw_in_one_pass(
            block.weights,
            block.gradients,
            (self._first[index], self._second[index]),
            block.rounded,
            torch.as_tensor(rate, dtype=torch.float32, device=step.device),
            step,
            grad_scale,
            found_inf,
            self._betas,
            EPSILON,
            self._weight_decays[index],
        )
