"""Optimisers by name."""

from collections.abc import Mapping

from torch import Tensor, nn, optim

from ctcd.engine.muon import Muon
from ctcd.engine.settings import OptimiserParameters

FIRST_BETA = 0.9


def build_optimisers(
    model: nn.Module, weights: Mapping[nn.Parameter, nn.Parameter], settings: OptimiserParameters
) -> list[optim.Optimizer]:
    """One AdamW for all weights, or Muon for the matrices inside the layers and AdamW for everything else.

    Embeddings and the output layer stay with AdamW: their rows are tokens, not directions of one space. Biases and
    normalisation weights are not decayed.

    Args:
        model: whose weights they are.
        weights: what is to be updated in the place of each parameter.
        settings: which optimiser, and its rates.
    """
    matrices = [weights[matrix] for matrix in layer_matrices(model)] if settings.name == "muon" else []
    taken = {id(weight) for weight in matrices}
    rest = [weight for weight in weights.values() if id(weight) not in taken]
    optimisers: list[optim.Optimizer] = [
        optim.AdamW(
            [
                {"params": [weight for weight in rest if weight.ndim >= 2], "weight_decay": settings.weight_decay},
                {"params": [weight for weight in rest if weight.ndim < 2], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=(FIRST_BETA, settings.second_beta),
            fused=True,
            capturable=rest[0].is_cuda,
        )
    ]
    if matrices:
        assert settings.matrix_learning_rate is not None
        optimisers.append(Muon(matrices, lr=settings.matrix_learning_rate, weight_decay=settings.weight_decay))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return optimisers


def set_learning_rate(optimisers: list[optim.Optimizer], factor: Tensor | float) -> None:
    """Set every group to `factor` times its peak rate; a tensor may change when the step is replayed."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor


def layer_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Two-dimensional weights of the repeated layers (the only modules in a `ModuleList`)."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    matrices = {id(weight): weight for layers in lists for weight in layers.parameters() if weight.ndim == 2}
    return list(matrices.values())
