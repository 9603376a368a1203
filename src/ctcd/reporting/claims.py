"""The claims of a study, tested: effect, interval, and what is decided."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.reporting.formatting import counted, interval, number, percent, signed
from ctcd.reporting.measurements import values_by_seed
from ctcd.reporting.measures import MEASURES, WHOLE, on_part
from ctcd.reporting.statistics import MEAN_OVER_TASKS, Pair, holm, p_value, summary

if TYPE_CHECKING:
    from ctcd.studies.study import Claim

RESAMPLES = 10_000
ONE_SEED = "one pre-training: decides nothing"
NOT_MEASURED = "not measured"
DECIDED = ("better", "worse")
COLUMNS = [
    "claim",
    "model",
    "reference",
    "on",
    "part",
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
    claims: Sequence["Claim"], measurements: pd.DataFrame, bootstrap: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Test every claim of a study, paired by pre-training seed.

    The verdict is by the p value of Student's t, adjusted by Holm for the number of claims. A difference is positive
    where the model that is claimed to be better is the better one: points of score, or nats less of held-out loss.

    Args:
        claims: of the study.
        measurements: as `collect_measurements` makes it.
        bootstrap: as `bootstrap_differences` makes it.
        confidence: of the intervals, and of the verdicts.

    Returns:
        claim, model, reference, on, part, primary, difference, low, high, bootstrap_low, bootstrap_high, seeds, p,
        p_holm, verdict (better, worse, undecided, one pre-training, not measured), sentence, paper, confidence. The
        primary claim stands first, then what is decided.
    """
    resampled = {(row.model, row.reference): row for row in bootstrap.itertuples() if row.task == MEAN_OVER_TASKS}
    rows = []
    for claim in claims:
        measured = values_by_seed(measurements, claim.on, claim.part)
        differences = pd.Series(dtype=float)
        if claim.better in measured and claim.than in measured:
            differences = (measured[claim.better] - measured[claim.than]).dropna()
        row = {
            "claim": _claim_sentence(claim),
            "model": claim.better,
            "reference": claim.than,
            "on": claim.on,
            "part": claim.part,
            "primary": claim.primary,
            "paper": math.nan if claim.paper is None else claim.paper,
            "p": p_value(differences),
            "confidence": confidence,
            **_effect(differences, confidence),
        }
        is_mean_score = (claim.on, claim.part) == ("scores", WHOLE)
        drawn = resampled.get((claim.better, claim.than)) if is_mean_score else None
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
    by = on_part(MEASURES[claim.on].by, claim.on, claim.part)
    return f"The {claim.better} is better than the {claim.than} {by}"


def _sentence(row: Mapping[str, object]) -> str:
    """One claim's result in words."""
    model, reference, verdict = (str(row[name]) for name in ("model", "reference", "verdict"))
    measure = MEASURES[str(row["on"])]
    place = on_part(measure.of, str(row["on"]), str(row["part"]))
    difference, low, high = (float(str(row[name])) for name in ("difference", "low", "high"))
    seeds = counted(int(str(row["seeds"])), "pre-training seed")
    if verdict == NOT_MEASURED:
        return f"No pre-training seed has measured both the {model} and the {reference} {place}."
    if verdict == ONE_SEED:
        ahead = f"{signed(difference, measure.decimals)} {measure.unit} {place}"
        return f"The {model} against the {reference}: {ahead} in one pre-training, which decides nothing."
    span = f"{percent(float(str(row['confidence'])))} interval {interval(low, high, measure.decimals)}, {seeds}"
    size = f"{number(abs(difference), measure.decimals)} {measure.unit} {place}"
    if verdict == "better":
        return f"The {model} is better than the {reference} by {size} ({span})."
    if verdict == "worse":
        return f"The {model} is worse than the {reference} by {size} ({span})."
    side = "ahead of" if difference > 0 else "behind"
    return f"The {model} is {size} {side} the {reference}, which is undecided ({span})."
