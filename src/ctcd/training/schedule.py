"""Learning-rate schedule."""


def learning_rate_factor(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak rate at a step (0-based): linear warm-up, then linear decay that would reach 0 at `steps`."""
    warmup = round(steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / max(1, steps - warmup)
