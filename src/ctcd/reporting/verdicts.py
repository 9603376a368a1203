"""What the numbers say of the paper's claim and of the controls, one plain sentence each."""

import math
from typing import Any

import pandas as pd

from ctcd.reporting.formatting import counted, interval, number, percent, signed, task_label
from ctcd.reporting.statistics import MEAN_OVER_TASKS, MEANS, REFERENCES, difference_rows, outcome
from ctcd.reporting.tables import STANDALONE, UNTRAINED, split_model_name

CLAIM = "The ctcd student beats the standalone teacher"
RULINGS = {"better": "supported", "worse": "contradicted", "undecided": "undecided"}


def verdicts(comparison: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Rule on the paper's claim, on its other findings, and on the controls.

    Args:
        comparison: as `compare` makes it.
        losses: as `heldout_losses` makes it.

    Returns:
        claim, outcome (supported, contradicted, undecided, one run, not tested), sentence; the paper's claim first.
    """
    rows = _score_verdicts(comparison)
    rows.sort(key=lambda row: row["claim"] != CLAIM)
    if not rows or rows[0]["claim"] != CLAIM:
        sentence = "No fine-tuning seed has scores of both a ctcd student and a standalone teacher on every task."
        rows.insert(0, {"claim": CLAIM, "outcome": "not tested", "sentence": sentence})
    rows += _loss_verdicts(comparison, losses)
    rows += _pretraining_verdict(comparison)
    rows += _unigram_verdict(losses)
    return pd.DataFrame(rows, columns=["claim", "outcome", "sentence"])


def _score_verdicts(comparison: pd.DataFrame) -> list[dict[str, str]]:
    tasks = len(set(comparison["task"]) - set(MEANS))
    place = f"the mean over {counted(tasks, 'task')}" if tasks > 1 else "the one task"
    rows = difference_rows(comparison, *REFERENCES)
    result = []
    for row in rows[rows["task"] == MEAN_OVER_TASKS].to_dict("records"):
        ruling = RULINGS[outcome(row["low"], row["high"])]
        phrase = f"The {row['model']} {_verb(ruling, row)} on {place}"
        span = f"{percent(row['confidence'])} interval over {counted(row['seeds'], 'fine-tuning seed')}"
        span = f"{span}: {interval(row['low'], row['high'])}"
        if math.isnan(row["low"]):
            sentence = f"{phrase}, but one fine-tuning seed has no interval and decides nothing."
        elif ruling == "undecided":
            sentence = f"{phrase}; the interval includes zero ({span})."
        else:
            sentence = f"{phrase} ({span})."
        claim = f"The {row['model']} beats the {row['reference']}"
        result.append({"claim": claim, "outcome": ruling, "sentence": sentence})
    return result


def _verb(ruling: str, row: dict[Any, Any]) -> str:
    size, reference = f"{number(abs(row['mean']))} points", f"the {row['reference']}"
    if ruling == "supported":
        return f"beats {reference} by {size}"
    if ruling == "contradicted":
        return f"loses to {reference} by {size}"
    if not round(row["mean"], 2):
        return f"is level with {reference}"
    return f"is {size} {'ahead of' if row['mean'] > 0 else 'behind'} {reference}"


def _loss_verdicts(comparison: pd.DataFrame, losses: pd.DataFrame) -> list[dict[str, str]]:
    """One sentence per variant. Each model was pre-trained once, so a difference in loss has no interval."""
    final = dict(zip(losses["model"], losses["heldout_loss"], strict=True))
    pairs = difference_rows(comparison, STANDALONE)[["model", "reference"]].drop_duplicates()
    clauses: dict[str, list[str]] = {}
    for model, reference in zip(pairs["model"], pairs["reference"], strict=True):
        difference = final.get(model, math.nan) - final.get(reference, math.nan)
        if math.isnan(difference):
            continue
        side = "above (worse than)" if difference > 0 else "below (better than)"
        place = f"{number(abs(difference), 3)} nats {side}" if round(difference, 3) else "level with"
        clauses.setdefault(split_model_name(model)[0], []).append(f"the {model} ends {place} the {reference}")
    return [
        {
            "claim": f"The {variant} models predict held-out words better than the {STANDALONE} models",
            "outcome": "one run",
            "sentence": f"Held-out loss, one pre-training run each and so no interval: {'; '.join(of_variant)}.",
        }
        for variant, of_variant in clauses.items()
    ]


def _pretraining_verdict(comparison: pd.DataFrame) -> list[dict[str, str]]:
    """Scores rank pre-trained models only where pre-training raises them at all."""
    rows = difference_rows(comparison, UNTRAINED)
    means = rows[rows["task"] == MEAN_OVER_TASKS].sort_values("mean").to_dict("records")
    if not means:
        return []
    least = means[0]
    by_task = rows[~rows["task"].isin(MEANS)].groupby("task", sort=False)["low"]
    clear = [task_label(str(task)) for task, low in by_task if (low > 0).all()]
    span = "one fine-tuning seed, so no interval"
    if not math.isnan(least["low"]):
        span = f"{percent(least['confidence'])} interval {interval(least['low'], least['high'])}"
    sentence = (
        f"The smallest gain over random weights is the {least['model']}'s: {signed(least['mean'])} points on the "
        f"mean over tasks ({span}). Every pre-trained model gains on "
        f"{len(clear)} of {counted(by_task.ngroups, 'task')}{' (' + ', '.join(clear) + ')' if clear else ''}, "
        "counting intervals above zero."
    )
    ruling = RULINGS[outcome(least["low"], least["high"])]
    return [{"claim": "The tasks need pre-training", "outcome": ruling, "sentence": sentence}]


def _unigram_verdict(losses: pd.DataFrame) -> list[dict[str, str]]:
    trained = losses[losses["steps"] > 0]
    known = trained.dropna(subset=["below_unigram"]).sort_values("below_unigram").to_dict("records")
    if not known:
        return []
    least = known[0]
    side = "below" if least["below_unigram"] > 0 else "above"
    sentence = (
        f"The highest held-out loss, the {least['model']}'s, is {number(abs(least['below_unigram']))} nats {side} the "
        f"unigram entropy of the corpus ({number(least['unigram_entropy'])} nats)."
    )
    ruling = "supported" if least["below_unigram"] > 0 else "contradicted"
    return [
        {"claim": "Every trained model learned more than word frequencies", "outcome": ruling, "sentence": sentence}
    ]
