"""How a model's weights follow its gradient: clipping, and AdamW with or without Muon."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ctcd.engine.adamw import AdamW
from ctcd.engine.blocks import Keep, ParameterBlocks
from ctcd.engine.hardware import Hardware
from ctcd.engine.muon import Muon
from ctcd.engine.settings import OptimiserParameters

FIRST_BETA = 0.9


class Optimiser:
    """AdamW for all weights of a model, or Muon for the matrices of its layers and AdamW for everything else.

    Embeddings and the output layer stay with AdamW: their rows are tokens, not directions of one space. Biases and
    normalisation weights are not decayed.

    Attributes:
        weights: the model's weights, in blocks.
    """

    def __init__(self, model: nn.Module, settings: OptimiserParameters, hardware: Hardware, keep: Keep = ()) -> None:
        """Take a model in float32, on its device.

        Args:
            model: its parameters are moved into blocks.
            settings: which optimiser, its rates, and the largest norm of a gradient.
            hardware: number format, and whether kernels are compiled.
            keep: types of modules that stay in float32.
        """
        matrices = layer_matrices(model) if settings.name == "muon" else []
        taken = {id(matrix) for matrix in matrices}
        rest = [weight for weight in model.parameters() if id(weight) not in taken]
        by_shape: dict[tuple[torch.Size, float], list[nn.Parameter]] = {}
        ratios = _fan_ratios(model)
        for matrix in matrices:
            by_shape.setdefault((matrix.shape, ratios[id(matrix)]), []).append(matrix)
        decayed = [weight for weight in rest if weight.ndim >= 2], [weight for weight in rest if weight.ndim < 2]
        # The kernel reads gradients in any type; Muon and PyTorch's AdamW want float32.
        narrow = hardware.compiles_for_gpu and not matrices
        self.weights = ParameterBlocks(
            model,
            hardware.dtype,
            [*decayed, *by_shape.values()],
            keep,
            hardware.dtype if narrow else torch.float32,
        )
        self._maximum_norm = settings.maximum_gradient_norm
        by_decay = list(zip(self.weights.groups, (settings.weight_decay, 0.0), strict=False))
        self._parts: list[AdamW | Muon] = [
            AdamW(
                [block for blocks, _ in by_decay for block in blocks],
                settings.learning_rate,
                (FIRST_BETA, settings.second_beta),
                [decay for blocks, decay in by_decay for _ in blocks],
                hardware.compiles_for_gpu,
            )
        ]
        if matrices:
            assert settings.matrix_learning_rate is not None
            blocks = [block for group in self.weights.groups[2:] for block in group]
            self._parts.append(
                Muon(blocks, settings.matrix_learning_rate, settings.weight_decay, [ratio for _, ratio in by_shape])
            )

    def step(self, is_finite: Tensor, rate_factor: Tensor | float) -> Tensor:
        """Clip the gradient that the model has gathered, make a step against it, and forget it.

        Args:
            is_finite: scalar; where it is not true nothing is updated. No one waits for it.
            rate_factor: share of the peak learning rate; a scalar on the device where the step is captured.

        Returns:
            The gradient's norm before clipping; where it is not finite nothing is updated either.
        """
        self.weights.gather_gradients()
        norms = [torch.linalg.vector_norm(each.gradients, dtype=torch.float32) for each in self.weights.blocks]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        # The update divides by the scale on the way: clipping costs no pass over the gradients of its own.
        scale = (norm / self._maximum_norm).clamp(min=1.0)
        found_inf = (~(is_finite & norm.isfinite())).to(norm.dtype)
        with torch.no_grad():
            for part in self._parts:
                part.step(rate_factor, scale, found_inf)
        return norm

    def state(self) -> dict[str, Any]:
        """Everything that training changes, by the names of parameters: it does not depend on the blocks."""
        return {"model": self.weights.state(), "optimisers": [part.state() for part in self._parts]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.weights.restore(state["model"])
        for part, saved in zip(self._parts, state["optimisers"], strict=True):
            part.restore(saved)


def layer_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Two-dimensional weights of the repeated layers (the only modules in a `ModuleList`)."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    matrices = {id(weight): weight for layers in lists for weight in layers.parameters() if weight.ndim == 2}
    return list(matrices.values())


def _fan_ratios(model: nn.Module) -> dict[int, float]:
    """Outputs by inputs of every matrix, by its id: GPT-2's `Conv1D` stores (inputs, outputs), others the reverse."""
    turned = {id(module.weight) for module in model.modules() if isinstance(module, Conv1D)}
    ratios = {id(weight): weight.shape[0] / weight.shape[1] for weight in model.parameters() if weight.ndim == 2}
    return {key: 1 / ratio if key in turned else ratio for key, ratio in ratios.items()}
