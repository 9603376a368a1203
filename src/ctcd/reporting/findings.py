"""What a report says beside its claims: whether the tasks need pre-training, and whether anything was learned."""

import math
from collections.abc import Mapping

import pandas as pd

from ctcd.reporting.formatting import counted, interval, number, percent, signed, task_label
from ctcd.reporting.statistics import MEAN_OVER_TASKS, MEANS, gain_rows, outcome
from ctcd.reporting.tables import split_model_name

SUPPORTED = {"better": "yes", "worse": "no", "undecided": "undecided"}


def find_controls(
    comparison: pd.DataFrame, losses: pd.DataFrame, unigram_entropies: Mapping[str, float]
) -> list[dict[str, str]]:
    """The two controls in words.

    Args:
        comparison: as `compare` makes it.
        losses: as `final_losses` makes it.
        unigram_entropies: of the corpora that the variants were trained on, in nats.

    Returns:
        For each question, outcome (yes, no, undecided) and sentence.
    """
    return [*_tasks_need_pretraining(comparison), *_words_are_predicted(losses, unigram_entropies)]


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


def _words_are_predicted(losses: pd.DataFrame, unigram_entropies: Mapping[str, float]) -> list[dict[str, str]]:
    trained = losses[losses["steps"] > 0]
    if trained.empty:
        return []
    entropies = trained["model"].map(lambda model: unigram_entropies[split_model_name(model)[0]])
    compared = trained.assign(entropy=entropies, below=entropies - trained["heldout_loss"]).sort_values("below")
    most = compared.to_dict("records")[0]
    below, unigram_entropy = most["below"], most["entropy"]
    sentence = (
        f"The highest held-out loss, the {most['model']}'s, is {number(abs(below))} nats "
        f"{'below' if below > 0 else 'above'} the unigram entropy of the corpus ({number(unigram_entropy)} nats)."
    )
    question = "Did every model learn more than word frequencies?"
    return [{"question": question, "outcome": "yes" if below > 0 else "no", "sentence": sentence}]
