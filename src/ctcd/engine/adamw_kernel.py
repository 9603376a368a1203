"""AdamW on a GPU in one pass over memory: the gradient's clipping and the rounding of the weights included."""

from math import log2

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def adamw_in_one_pass(
    weights: Tensor,
    gradients: Tensor,
    moments: tuple[Tensor, Tensor],
    rounded: Tensor,
    rate: Tensor,
    step: Tensor,
    scale: Tensor,
    found_inf: Tensor,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> None:
    """Update weights in place, as `torch.optim.AdamW` does.

    Args:
        weights: (elements,) float32, contiguous as all of that size.
        gradients: (elements,) in any floating-point type.
        moments: running means of gradients and of their squares, (elements,) float32 each.
        rounded: (elements,) receives the weights in its own type.
        rate: learning rate, a scalar on the device.
        step: number of this update, from 1 on, a float64 scalar on the device.
        scale: what gradients are divided by, a scalar on the device.
        found_inf: 1 where nothing may be changed and else 0, a scalar on the device.
        betas: decay of the two moments.
        epsilon: added to the root of the second moment.
        weight_decay: share of the weights that is taken off for a learning rate of 1.
    """
    _adamw[triton.cdiv(weights.numel(), BLOCK),](
        weights,
        gradients,
        *moments,
        rounded,
        rate,
        step,
        scale,
        found_inf,
        weights.numel(),
        weight_decay,
        *betas,
        *(log2(beta) for beta in betas),
        epsilon,
        BLOCK,
    )


@triton.jit
def _adamw(  # type: ignore[no-untyped-def]
    weights,
    gradients,
    first_moments,
    second_moments,
    rounded,
    rate,
    step,
    scale,
    found_inf,
    elements,
    weight_decay,
    first_beta: tl.constexpr,
    second_beta: tl.constexpr,
    log_of_first_beta: tl.constexpr,
    log_of_second_beta: tl.constexpr,
    epsilon: tl.constexpr,
    block: tl.constexpr,
):
    positions = tl.program_id(0) * block + tl.arange(0, block)
    inside = positions < elements
    gradient = tl.load(gradients + positions, inside).to(tl.float32) / tl.load(scale)
    first = tl.load(first_moments + positions, inside)
    second = tl.load(second_moments + positions, inside)
    weight = tl.load(weights + positions, inside)
    first = first_beta * first + (1 - first_beta) * gradient
    second = second_beta * second + (1 - second_beta) * gradient * gradient

    # In float64: near 1 a power of the betas has few digits left in float32.
    first_correction = (1 - tl.exp2(tl.load(step) * log_of_first_beta)).to(tl.float32)
    second_correction = (1 - tl.exp2(tl.load(step) * log_of_second_beta)).to(tl.float32)
    learning_rate = tl.load(rate)
    weight *= 1 - learning_rate * weight_decay
    weight -= learning_rate / first_correction * first / (tl.sqrt(second / second_correction) + epsilon)
    changed = inside & (tl.load(found_inf) == 0)
    tl.store(first_moments + positions, first, changed)
    tl.store(second_moments + positions, second, changed)
    tl.store(weights + positions, weight, changed)
    tl.store(rounded + positions, weight.to(rounded.dtype.element_ty), changed)
