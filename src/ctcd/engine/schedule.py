"""What changes from step to step by plan: the learning rate and the soft weights."""

import math
from collections.abc import Callable

from ctcd.pretraining.settings import SoftWeightsParameters

# From the share of the steps after the warm-up that is done (0 to 1) to the share of the peak rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


def learning_rate_factor(done: float, warmup_share: float, schedule: str = "linear") -> float:
    """Share of the peak rate where a share of the training is done: linear warm-up, then a schedule to the end."""
    if done < warmup_share:
        return done / warmup_share
    return SCHEDULES[schedule]((done - warmup_share) / (1 - warmup_share))


def soft_weight_factor(done: float, settings: SoftWeightsParameters) -> float:
    """Factor on the soft weights: from 0 to 1 in the warm-up, then linearly to the final factor."""
    if done < settings.warmup_share:
        return done / settings.warmup_share
    since = (done - settings.warmup_share) / (1 - settings.warmup_share)
    return 1 + (settings.final_factor - 1) * since
