"""What models are compared by: a new measure is one entry here, and the rows that a room makes of its tables."""

from dataclasses import dataclass

WHOLE = "all"  # the part of a measure that is all of it: the mean over tasks, all held-out text


@dataclass(frozen=True)
class Measure:
    """One quantity that a model has under a pre-training seed.

    Attributes:
        heading: of a column with it.
        unit: of a difference.
        decimals: of a difference.
        by: the end of a sentence that claims something.
        of: the end of a sentence with a difference.
        lower_is_better: whether the smaller value is the better one.
    """

    heading: str
    unit: str
    decimals: int
    by: str
    of: str
    lower_is_better: bool = False


MEASURES: dict[str, Measure] = {
    "heldout_loss": Measure("Held-out loss", "nats", 3, "by held-out loss", "of held-out loss", lower_is_better=True),
    "scores": Measure("Score", "points", 2, "on the mean over tasks", "on the mean over tasks"),
    "minimal_pairs": Measure("Minimal pairs", "points", 2, "on minimal pairs", "on minimal pairs"),
    "robustness": Measure("Perturbed text", "points", 2, "on perturbed text", "on perturbed text"),
    "robustness_loss": Measure(
        "Lost on perturbed text", "points", 2, "by what perturbed text costs", "of what perturbed text costs", True
    ),
    "calibration_error": Measure(
        "Calibration error", "points", 2, "by calibration error", "of calibration error", lower_is_better=True
    ),
    "selective_accuracy": Measure(
        "Selective accuracy", "points", 2, "on its most confident 80 %", "on the most confident 80 % of examples"
    ),
}


def on_part(phrase: str, measure: str, part: str) -> str:
    """A phrase about a measure, said of one part of it: a task, a source of text."""
    if part == WHOLE:
        return phrase
    return f"on {part}" if measure == "scores" else f"{phrase} on {part}"
