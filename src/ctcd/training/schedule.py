"""What changes from step to step by plan: the learning rate and the soft weights."""

import math
from collections.abc import Callable

from ctcd.parameters import SoftWeightsParameters

# From the share of the steps after the warm-up that is done (0 to 1) to the share of the peak rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


def learning_rate_factor(step: int, steps: int, warmup_share: float, schedule: str = "linear") -> float:
    """Share of the peak rate at a step (0-based): linear warm-up, then a schedule that ends at `steps`."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[schedule]((step - warmup) / max(1, steps - warmup))


def soft_weight_factor(step: int, steps: int, settings: SoftWeightsParameters) -> float:
    """Factor on the soft weights at a step (0-based): from 0 to 1 in the warm-up, then linearly to the final factor."""
    warmup = round(steps * settings.warmup_share)
    if step < warmup:
        return step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 1 + (settings.final_factor - 1) * done
