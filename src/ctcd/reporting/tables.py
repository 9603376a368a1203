"""The tables of a study: scores, histories and held-out losses, each model under its variant and role."""

from collections.abc import Mapping, Sequence
from math import nan

import pandas as pd

from ctcd.distillation.methods import ROLES

STANDALONE = "standalone"
MATCHED = "standalone_matched"
ONE_WAY = "one_way"
UNTRAINED = "untrained"
MAJORITY = "majority class"
# The seed of what no seed changes.
NO_SEED = -1
SCORE_COLUMNS = ["variant", "role", "task", "split", "seed", "metric", "value", "examples", "is_partial"]
CONFUSION_COLUMNS = ["variant", "role", "task", "split", "label", "prediction", "examples"]
HISTORY_COLUMNS = ["variant", "step", "tokens", "role", "metric", "value"]


def model_name(variant: str, role: str) -> str:
    """Name a model as tables and figures do: `ctcd student`; without a role, the variant alone."""
    return f"{variant} {role}".strip()


def split_model_name(model: str) -> tuple[str, str]:
    """Undo `model_name`: variant and role; the role is empty if the name has none."""
    variant, _, role = model.rpartition(" ")
    return (variant, role) if role in ROLES else (model, "")


def model_names(table: pd.DataFrame) -> pd.Series:
    """Name the model of each row by the columns `variant` and `role`, which a CSV file reads as NaN where empty."""
    return table["variant"].str.cat(table["role"].fillna("").astype(str), sep=" ").str.strip()


def collect_scores(
    tables: Sequence[pd.DataFrame], names: Sequence[tuple[str, str]], majority: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Join the scores of all models in one long table.

    Args:
        tables: one per model: task, split, seed, metric, value, examples, is_partial.
        names: (variant, role) of each table.
        majority: such a table for the majority class, whose seed means nothing. It comes first.

    Returns:
        variant, role, task, split, seed, metric, value, examples, is_partial (whether the task's data are a part of the
        published ones); the majority class has no role and seed -1.
    """
    named = [table.assign(variant=variant, role=role) for table, (variant, role) in zip(tables, names, strict=True)]
    if majority is not None:
        named.insert(0, majority.assign(variant=MAJORITY, role="", seed=NO_SEED))
    return pd.concat([table[SCORE_COLUMNS] for table in named], ignore_index=True)


def confusions(predictions: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """Count, over all seeds, how often each label was predicted as each class: confusion matrices as a long table.

    Args:
        predictions: by (variant, role): task, split, label, prediction, confidence (NaN for regression).

    Returns:
        variant, role, task, split, label, prediction, examples; nothing for regression.
    """
    tables = []
    for (variant, role), table in predictions.items():
        classes = table[table["confidence"].notna()]
        counts = classes.groupby(["task", "split", "label", "prediction"]).size().rename("examples").reset_index()
        tables.append(counts.astype({"label": int, "prediction": int}).assign(variant=variant, role=role))
    return pd.concat(tables, ignore_index=True)[CONFUSION_COLUMNS]


def collect_histories(tables: Sequence[pd.DataFrame], variants: Sequence[str]) -> pd.DataFrame:
    """Join the histories of all variants in one long table: variant, step, tokens, role, metric, value."""
    named = [table.assign(variant=variant) for table, variant in zip(tables, variants, strict=True)]
    return pd.concat([table[HISTORY_COLUMNS] for table in named], ignore_index=True)


def heldout_losses(
    history: pd.DataFrame, unigram_entropy: float, parameters: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Put the last held-out measurement of each model beside what word frequencies alone would reach.

    Args:
        history: as `collect_histories` makes it.
        unigram_entropy: of the corpus, in nats.
        parameters: parameter counts by model name, where known.

    Returns:
        model, steps, tokens, heldout_loss (nats), heldout_accuracy (a share), unigram_entropy (nats), below_unigram
        (unigram_entropy - heldout_loss), parameters (NA where unknown).
    """
    measured = history[history["metric"].isin(["heldout_loss", "heldout_accuracy"])]
    rows = []
    for model, records in measured.groupby(model_names(measured), sort=False):
        last = records[records["step"] == records["step"].max()]
        values = dict(zip(last["metric"], last["value"], strict=True))
        loss = float(values.get("heldout_loss", nan))
        rows.append(
            {
                "model": model,
                "steps": int(last["step"].iloc[0]),
                "tokens": int(last["tokens"].iloc[0]),
                "heldout_loss": loss,
                "heldout_accuracy": float(values.get("heldout_accuracy", nan)),
                "unigram_entropy": unigram_entropy,
                "below_unigram": unigram_entropy - loss,
                "parameters": (parameters or {}).get(str(model), pd.NA),
            }
        )
    columns = ["model", "steps", "tokens", "heldout_loss", "heldout_accuracy", "unigram_entropy", "below_unigram"]
    return pd.DataFrame(rows, columns=[*columns, "parameters"]).astype({"parameters": "Int64"})
