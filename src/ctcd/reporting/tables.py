"""The tables of a study: scores, histories and held-out losses, each model under its variant and role."""

from collections.abc import Mapping

import pandas as pd

from ctcd.distillation.methods import ROLES

UNTRAINED = "untrained"
MAJORITY = "majority class"
# The seed of what no seed changes.
NO_SEED = -1
# What the name of the held-out loss on one source of text begins with.
BY_SOURCE = "heldout_loss/"
SCORE_COLUMNS = [
    "variant",
    "role",
    "pretraining_seed",
    "task",
    "split",
    "seed",
    "metric",
    "value",
    "examples",
    "is_partial",
]
CONFUSION_COLUMNS = ["variant", "role", "task", "split", "label", "prediction", "examples"]
HISTORY_COLUMNS = ["variant", "pretraining_seed", "step", "tokens", "role", "metric", "value"]


def model_name(variant: str, role: str) -> str:
    """Name a model as tables and figures do: `ctcd student`; without a role, the variant alone."""
    return f"{variant} {role}".strip()


def split_model_name(model: str) -> tuple[str, str]:
    """Undo `model_name`: variant and role; the role is empty if the name has none, as that of a folder `student`."""
    variant, _, role = model.rpartition(" ")
    return (variant, role) if variant and role in ROLES else (model, "")


def is_untrained(model: str) -> bool:
    """Whether a model is one with random weights by its variant's name: `untrained`, `untrained_domains`, ..."""
    return UNTRAINED in split_model_name(model)[0].split("_")


def model_names(table: pd.DataFrame) -> pd.Series:
    """Name the model of each row by the columns `variant` and `role`, which a CSV file reads as NaN where empty."""
    return table["variant"].str.cat(table["role"].fillna("").astype(str), sep=" ").str.strip()


def collect_scores(tables: Mapping[str, pd.DataFrame], majority: pd.DataFrame | None = None) -> pd.DataFrame:
    """Join the scores of all models in one long table.

    Args:
        tables: by variant: role, pretraining_seed, task, split, seed, metric, value, examples, is_partial. A model that
            somebody gives has neither role nor pre-training seed.
        majority: such a table for the majority class, whose seeds mean nothing. It comes first.

    Returns:
        variant, role, pretraining_seed, task, split, seed (of fine-tuning), metric, value, examples, is_partial
        (whether the task's data are a part of the published ones).
    """
    named = [table.assign(variant=variant) for variant, table in tables.items()]
    if majority is not None:
        named.insert(0, majority.assign(variant=MAJORITY, seed=NO_SEED))
    for table in named:
        if "role" not in table:
            table["role"], table["pretraining_seed"] = "", NO_SEED
    return pd.concat([table[SCORE_COLUMNS] for table in named], ignore_index=True)


def collect_histories(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the histories of all variants: variant, pretraining_seed, step, tokens, role, metric, value."""
    named = [table.assign(variant=variant)[HISTORY_COLUMNS] for variant, table in tables.items()]
    return pd.concat(named, ignore_index=True)


def confusions(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count, over all seeds, how often each label was predicted as each class: confusion matrices as a long table.

    Args:
        predictions: by variant: role (if it has some), task, split, label, prediction, confidence (NaN for regression).

    Returns:
        variant, role, task, split, label, prediction, examples; nothing for regression.
    """
    tables = []
    for variant, table in predictions.items():
        classes = table[table["confidence"].notna()]
        classes = classes if "role" in classes else classes.assign(role="")
        keys = ["role", "task", "split", "label", "prediction"]
        counts = classes.groupby(keys, sort=False).size().rename("examples").reset_index()
        tables.append(counts.astype({"label": int, "prediction": int}).assign(variant=variant))
    return pd.concat(tables, ignore_index=True)[CONFUSION_COLUMNS]


def final_losses(histories: pd.DataFrame) -> pd.DataFrame:
    """The held-out measurement at the end of every training, on all held-out text.

    Args:
        histories: as `collect_histories` makes it.

    Returns:
        model, pretraining_seed, steps, tokens, heldout_loss (nats), heldout_loss_error (its standard error over the
        text), heldout_accuracy (a share), parameters; heldout_perplexity where there are causal models;
        `heldout_loss/<source>` where there are several sources of text.
    """
    table = histories.assign(model=model_names(histories))
    keys = ["model", "pretraining_seed"]
    by_source = [metric for metric in table["metric"].unique() if metric.startswith(BY_SOURCE)]
    optional = [name for name in ("heldout_perplexity", *by_source) if (table["metric"] == name).any()]
    metrics = ["heldout_loss", "heldout_loss_error", "heldout_accuracy", "parameters", *optional]
    values = table[table["metric"].isin(metrics)]
    wide = values.pivot_table(index=keys, columns="metric", values="value", sort=False)
    ends = (
        table[table["metric"] == "heldout_loss"].set_index(keys)[["step", "tokens"]].rename(columns={"step": "steps"})
    )
    joined = ends.join(wide).reset_index()
    return joined.reindex(columns=[*keys, "steps", "tokens", *metrics]).astype({"parameters": int})


def losses_by_source(losses: pd.DataFrame) -> pd.DataFrame:
    """Mean held-out loss over seeds: a row for each model, a column for each source of text, in nats.

    Args:
        losses: as `final_losses` makes it; the result has no columns where there is a single source.
    """
    columns = {name: name.removeprefix(BY_SOURCE) for name in map(str, losses) if name.startswith(BY_SOURCE)}
    return losses.groupby("model", sort=False)[list(columns)].mean().rename(columns=columns)
