"""What changes from step to step by plan: warm-up, plateau, decay."""

import math
from collections.abc import Callable

# From the share of the decay that is done (0 to 1) to the share of the peak rate.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


def learning_rate_factor(done: float, warmup_share: float, schedule: str = "linear", decay_share: float = 1.0) -> float:
    """Share of the peak rate: linear warm-up, plateau, then a schedule to the end.

    Args:
        done: share of the training.
        warmup_share: of the training, at its start.
        schedule: of the decay, a name in `SCHEDULES`.
        decay_share: of the training, at its end; without a plateau the decay begins with the end of the warm-up.
    """
    if done < warmup_share:
        return done / warmup_share
    return SCHEDULES[schedule](share_of_decay(done, warmup_share, decay_share))


def share_of_decay(done: float, warmup_share: float, decay_share: float) -> float:
    """Share of the decay that is done: 0 until it begins, 1 at the end of the training."""
    start = max(warmup_share, 1 - decay_share)
    return max(0.0, done - start) / (1 - start)
