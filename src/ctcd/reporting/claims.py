"""The claims of a study, tested: effect, interval, and what is decided."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.reporting.formatting import counted, interval, number, percent, signed
from ctcd.reporting.statistics import MEAN_OVER_TASKS, Pair, holm, p_value, seed_tables, summary

if TYPE_CHECKING:
    from ctcd.studies.study import Claim

RESAMPLES = 10_000
ONE_SEED = "one pre-training: decides nothing"
NOT_MEASURED = "not measured"
DECIDED = ("better", "worse")
UNITS = {"scores": ("points", 2, "on the mean over tasks"), "heldout_loss": ("nats", 3, "of held-out loss")}
COLUMNS = [
    "claim",
    "model",
    "reference",
    "on",
    "primary",
    "difference",
    "low",
    "high",
    "bootstrap_low",
    "bootstrap_high",
    "seeds",
    "p",
    "p_holm",
    "verdict",
    "sentence",
    "paper",
    "confidence",
]


def claimed_pairs(claims: Sequence["Claim"]) -> list[Pair]:
    """The pairs of models that claims are about, each once."""
    return list(dict.fromkeys((claim.better, claim.than) for claim in claims))


def check_claims(
    claims: Sequence["Claim"],
    scores: pd.DataFrame,
    losses: pd.DataFrame,
    bootstrap: pd.DataFrame,
    confidence: float,
) -> pd.DataFrame:
    """Test every claim of a study, paired by pre-training seed.

    The verdict is by the p value of Student's t, adjusted by Holm for the number of claims. A difference is positive
    where the model that is claimed to be better is the better one: points of score, or nats less of held-out loss.

    Args:
        claims: of the study.
        scores: as `collect_scores` makes it.
        losses: as `final_losses` makes it.
        bootstrap: as `bootstrap_differences` makes it.
        confidence: of the intervals, and of the verdicts.

    Returns:
        claim, model, reference, on, primary, difference, low, high, bootstrap_low, bootstrap_high, seeds, p, p_holm,
        verdict (better, worse, undecided, one pre-training, not measured), sentence, paper, confidence. The primary
        claim stands first, then what is decided.
    """
    values = {"scores": _scores_by_seed(scores), "heldout_loss": _gains_by_seed(losses)}
    resampled = {(row.model, row.reference): row for row in bootstrap.itertuples() if row.task == MEAN_OVER_TASKS}
    rows = []
    for claim in claims:
        measured = values[claim.on]
        differences = pd.Series(dtype=float)
        if claim.better in measured and claim.than in measured:
            differences = (measured[claim.better] - measured[claim.than]).dropna()
        row = {
            "claim": _claim_sentence(claim),
            "model": claim.better,
            "reference": claim.than,
            "on": claim.on,
            "primary": claim.primary,
            "paper": math.nan if claim.paper is None else claim.paper,
            "p": p_value(differences),
            "confidence": confidence,
            **_effect(differences, confidence),
        }
        drawn = resampled.get((claim.better, claim.than)) if claim.on == "scores" else None
        low, high = _bootstrap(differences, confidence)
        if drawn is not None and len(differences) > 1:
            low, high = float(str(drawn.low)), float(str(drawn.high))
        rows.append({**row, "bootstrap_low": low, "bootstrap_high": high})
    for row, adjusted in zip(rows, holm([float(str(row["p"])) for row in rows]), strict=True):
        row["p_holm"] = adjusted
        row["verdict"] = _verdict(row)
        row["sentence"] = _sentence(row)
    rows.sort(key=lambda row: (not row["primary"], row["verdict"] not in DECIDED))
    return pd.DataFrame(rows, columns=COLUMNS)


def seed_table(scores: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Every model under every pre-training seed: model, pretraining_seed, heldout_loss, score (points)."""
    means = {
        (model, seed): value for model, values in _scores_by_seed(scores).items() for seed, value in values.items()
    }
    table = losses[["model", "pretraining_seed", "heldout_loss"]].copy()
    keys = zip(table["model"], table["pretraining_seed"], strict=True)
    return table.assign(score=[means.get(key, math.nan) for key in keys])


def _scores_by_seed(scores: pd.DataFrame) -> Mapping[str, pd.Series]:
    tables = seed_tables(scores, "pretraining_seed")
    return {model: table[MEAN_OVER_TASKS] for model, table in tables.items()}


def _gains_by_seed(losses: pd.DataFrame) -> Mapping[str, pd.Series]:
    """Minus the held-out loss, so that more is better."""
    by_model = losses.groupby("model", sort=False)
    return {str(model): -rows.set_index("pretraining_seed")["heldout_loss"] for model, rows in by_model}


def _effect(differences: pd.Series, confidence: float) -> dict[str, float]:
    found = summary(differences, confidence)
    return {"difference": found["mean"], "low": found["low"], "high": found["high"], "seeds": len(differences)}


def _bootstrap(differences: pd.Series, confidence: float) -> tuple[float, float]:
    """Percentiles of the mean over seeds drawn with replacement; NaN for fewer than two."""
    if len(differences) < 2:
        return math.nan, math.nan
    random = np.random.default_rng(seed_from("claims"))
    drawn = random.choice(differences.to_numpy(float), (RESAMPLES, len(differences))).mean(axis=1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def _verdict(row: Mapping[str, object]) -> str:
    if row["seeds"] == 0:
        return NOT_MEASURED
    if row["seeds"] == 1:
        return ONE_SEED
    if float(str(row["p_holm"])) > 1 - float(str(row["confidence"])):
        return "undecided"
    return "better" if float(str(row["difference"])) > 0 else "worse"


def _claim_sentence(claim: "Claim") -> str:
    where = "by held-out loss" if claim.on == "heldout_loss" else "on the mean over tasks"
    return f"The {claim.better} is better than the {claim.than} {where}"


def _sentence(row: Mapping[str, object]) -> str:
    """One claim's result in words."""
    model, reference, verdict = (str(row[name]) for name in ("model", "reference", "verdict"))
    unit, decimals, where = UNITS[str(row["on"])]
    difference, low, high = (float(str(row[name])) for name in ("difference", "low", "high"))
    seeds = counted(int(str(row["seeds"])), "pre-training seed")
    if verdict == NOT_MEASURED:
        return f"No pre-training seed has measured both the {model} and the {reference} {where}."
    if verdict == ONE_SEED:
        ahead = f"{signed(difference, decimals)} {unit} {where}"
        return f"The {model} against the {reference}: {ahead} in one pre-training, which decides nothing."
    span = f"{percent(float(str(row['confidence'])))} interval {interval(low, high, decimals)}, {seeds}"
    size = f"{number(abs(difference), decimals)} {unit} {where}"
    if verdict == "better":
        return f"The {model} is better than the {reference} by {size} ({span})."
    if verdict == "worse":
        return f"The {model} is worse than the {reference} by {size} ({span})."
    side = "ahead of" if difference > 0 else "behind"
    return f"The {model} is {size} {side} the {reference}, which is undecided ({span})."
