"""What a report says beside its claims: whether the tasks need pre-training, and whether anything was learned."""

import math

import pandas as pd

from ctcd.reporting.formatting import counted, interval, number, percent, signed, task_label
from ctcd.reporting.statistics import MEAN_OVER_TASKS, MEANS, gain_rows, outcome

SUPPORTED = {"better": "yes", "worse": "no", "undecided": "undecided"}


def find_controls(comparison: pd.DataFrame, losses: pd.DataFrame, unigram_entropy: float) -> list[dict[str, str]]:
    """The two controls in words.

    Args:
        comparison: as `compare` makes it.
        losses: as `final_losses` makes it.
        unigram_entropy: of the corpus, in nats.

    Returns:
        For each question, outcome (yes, no, undecided) and sentence.
    """
    return [*_tasks_need_pretraining(comparison), *_words_are_predicted(losses, unigram_entropy)]


def _tasks_need_pretraining(comparison: pd.DataFrame) -> list[dict[str, str]]:
    """Scores rank pre-trained models only where pre-training raises them at all."""
    rows = gain_rows(comparison)
    means = rows[rows["task"] == MEAN_OVER_TASKS].sort_values("mean").to_dict("records")
    if not means:
        return []
    least = means[0]
    by_task = rows[~rows["task"].isin(MEANS)].groupby("task", sort=False)["low"]
    clear = [task_label(str(task)) for task, low in by_task if (low > 0).all()]
    span = "one seed, so no interval"
    if not math.isnan(least["low"]):
        span = f"{percent(least['confidence'])} interval {interval(least['low'], least['high'])}"
    named = f" ({', '.join(clear)})" if clear else ""
    sentence = (
        f"The smallest gain over random weights is the {least['model']}'s: {signed(least['mean'])} points on the mean "
        f"over tasks ({span}). On {len(clear)} of {counted(by_task.ngroups, 'task')}{named} every interval of a "
        "pre-trained model is above zero."
    )
    ruling = SUPPORTED[outcome(least["low"], least["high"])]
    return [{"question": "Do the tasks need pre-training?", "outcome": ruling, "sentence": sentence}]


def _words_are_predicted(losses: pd.DataFrame, unigram_entropy: float) -> list[dict[str, str]]:
    trained = losses[losses["steps"] > 0].sort_values("heldout_loss", ascending=False).to_dict("records")
    if not trained:
        return []
    most = trained[0]
    below = unigram_entropy - most["heldout_loss"]
    sentence = (
        f"The highest held-out loss, the {most['model']}'s, is {number(abs(below))} nats "
        f"{'below' if below > 0 else 'above'} the unigram entropy of the corpus ({number(unigram_entropy)} nats)."
    )
    question = "Did every model learn more than word frequencies?"
    return [{"question": question, "outcome": "yes" if below > 0 else "no", "sentence": sentence}]
