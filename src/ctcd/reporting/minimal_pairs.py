"""Accuracy on minimal pairs: of every model, by set and phenomenon, and beside what others published."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ctcd.reporting.measures import WHOLE
from ctcd.reporting.tables import NO_SEED, model_names

CHANCE = 50
ACCURACY = [
    "set",
    "phenomenon",
    "paradigm",
    "pairs",
    "accuracy",
    "equal_length_pairs",
    "equal_length_accuracy",
]
COLUMNS = ["variant", "role", "pretraining_seed", *ACCURACY]
SUMMARY_COLUMNS = [
    "model",
    "set",
    "phenomenon",
    "paradigms",
    "pairs",
    "accuracy",
    "standard_error",
    "equal_length_share",
    "equal_length_accuracy",
]


def collect_minimal_pairs(tables: Mapping[str, pd.DataFrame], published: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the accuracies of all models in one long table.

    Args:
        tables: by variant, as `score_minimal_pairs` makes them. A model that somebody gives has neither role nor
            pre-training seed.
        published: by set, as `PairFolder.published_accuracy` reads them. These models come last, and have no seed.

    Returns:
        variant, role, pretraining_seed, set, phenomenon, paradigm, pairs, accuracy (0 to 1), equal_length_pairs,
        equal_length_accuracy.
    """
    own = [table.assign(variant=variant) for variant, table in tables.items()]
    for table in own:
        if "role" not in table:
            table["role"], table["pretraining_seed"] = "", NO_SEED
    rows = pd.concat([table[COLUMNS] for table in own], ignore_index=True)
    others = [_published(name, table, rows) for name, table in published.items()]
    return pd.concat([rows, *(table for table in others if len(table))], ignore_index=True)


def measure_minimal_pairs(collected: pd.DataFrame) -> pd.DataFrame:
    """Measurements of the models that a study trained, in points.

    Args:
        collected: as `collect_minimal_pairs` makes it.

    Returns:
        model, pretraining_seed, measure, part, value. The part is `all` for the mean over the paradigms of all sets, a
        set, or `<set>/<phenomenon>`.
    """
    table = collected[collected["pretraining_seed"] != NO_SEED]
    table = table.assign(model=model_names(table), value=100 * table["accuracy"])
    phenomena = table[table["phenomenon"] != table["set"]]
    named = phenomena.assign(part=phenomena["set"].str.cat(phenomena["phenomenon"], sep="/"))
    parts = [table.assign(part=WHOLE), table.assign(part=table["set"]), named]
    keys = ["model", "pretraining_seed", "part"]
    means = pd.concat([each.groupby(keys, sort=False)["value"].mean().reset_index() for each in parts])
    return means.assign(measure="minimal_pairs").reset_index(drop=True)


def summarise_minimal_pairs(collected: pd.DataFrame) -> pd.DataFrame:
    """Every model's accuracy by set and phenomenon: the mean over paradigms of the mean over pre-training seeds.

    Args:
        collected: as `collect_minimal_pairs` makes it.

    Returns:
        model, set, phenomenon (empty for the whole set), paradigms, pairs, accuracy (points), standard_error (points;
        of the choice of pairs), equal_length_share (of the pairs), equal_length_accuracy (points).
    """
    table = collected.assign(model=model_names(collected))
    keys = ["model", "set", "phenomenon", "paradigm"]
    values = ["pairs", "accuracy", "equal_length_pairs", "equal_length_accuracy"]
    over_seeds = table.groupby(keys, sort=False)[values].mean().reset_index()
    rows = [
        {"model": model, "set": name, "phenomenon": phenomenon, **_mean_over_paradigms(paradigms)}
        for (model, name), of_set in over_seeds.groupby(["model", "set"], sort=False)
        for phenomenon, paradigms in [("", of_set), *of_set.groupby("phenomenon", sort=False)]
    ]
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def sets_of(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each set's part of `summarise_minimal_pairs`."""
    for name, rows in summary.groupby("set", sort=False):
        yield str(name), rows


def _mean_over_paradigms(paradigms: pd.DataFrame) -> dict[str, Any]:
    share = paradigms["accuracy"]
    variance = share * (1 - share) / paradigms["pairs"]
    return {
        "paradigms": len(paradigms),
        "pairs": int(paradigms["pairs"].sum()),
        "accuracy": 100 * share.mean(),
        "standard_error": 100 * float(np.sqrt(variance.sum())) / len(paradigms),
        "equal_length_share": paradigms["equal_length_pairs"].sum(min_count=1) / paradigms["pairs"].sum(),
        "equal_length_accuracy": 100 * paradigms["equal_length_accuracy"].mean(),
    }


def _published(name: str, table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What others report of the paradigms that were scored; nothing is known of their tokens."""
    scored = rows.loc[rows["set"] == name, ["set", "phenomenon", "paradigm", "pairs"]].drop_duplicates("paradigm")
    long = table.melt("paradigm", var_name="variant", value_name="accuracy")
    joined = long.merge(scored, on="paradigm")
    named = joined.assign(
        variant=joined["variant"].map("{} (published)".format),
        role="",
        pretraining_seed=NO_SEED,
        equal_length_pairs=np.nan,
        equal_length_accuracy=np.nan,
    )
    return named[COLUMNS]
