"""What was measured of every model under every pre-training seed, as one long table: all that claims rest on."""

from collections.abc import Mapping

import pandas as pd

from ctcd.reporting.measures import MEASURES, WHOLE
from ctcd.reporting.statistics import MEAN_OVER_TASKS, seed_tables
from ctcd.reporting.tables import BY_SOURCE

COLUMNS = ["model", "pretraining_seed", "measure", "part", "value"]


def collect_measurements(scores: pd.DataFrame, losses: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Join everything that models are compared by.

    Args:
        scores: as `collect_scores` makes it.
        losses: as `final_losses` makes it.
        others: measurements of other kinds, with the columns of the result.

    Returns:
        model, pretraining_seed, measure (a name of `MEASURES`), part (a task, a source of text, a set of minimal
        pairs, ...; `all` for the mean over tasks or paradigms, and for all held-out text), value (points, nats).
    """
    tables = [_of_scores(scores), _of_losses(losses), *others]
    return pd.concat([table[COLUMNS] for table in tables if len(table)], ignore_index=True)


def values_by_seed(measurements: pd.DataFrame, measure: str, part: str = WHOLE) -> Mapping[str, pd.Series]:
    """Model -> values of a measure, the larger the better, by pre-training seed."""
    rows = measurements[(measurements["measure"] == measure) & (measurements["part"] == part)]
    sign = -1 if MEASURES[measure].lower_is_better else 1
    by_model = rows.groupby("model", sort=False)
    return {str(model): sign * table.set_index("pretraining_seed")["value"] for model, table in by_model}


def seed_by_seed(measurements: pd.DataFrame) -> pd.DataFrame:
    """Every model under every pre-training seed: model, pretraining_seed, and a column for each measure."""
    rows = measurements[measurements["part"] == WHOLE]
    wide = rows.pivot_table(index=["model", "pretraining_seed"], columns="measure", values="value", sort=False)
    return wide[[measure for measure in MEASURES if measure in wide]].reset_index().rename_axis(columns=None)


def _of_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores in points, of each task and on the mean; those of no pre-training seed are left out."""
    trained = scores[scores["pretraining_seed"] >= 0]
    tables = seed_tables(trained, "pretraining_seed") if len(trained) else {}
    named = [
        table.melt(ignore_index=False, var_name="part").reset_index().dropna().assign(model=model)
        for model, table in tables.items()
    ]
    rows = pd.concat(named, ignore_index=True) if named else pd.DataFrame(columns=COLUMNS)
    return rows.assign(measure="scores", part=rows["part"].replace(MEAN_OVER_TASKS, WHOLE))


def _of_losses(losses: pd.DataFrame) -> pd.DataFrame:
    """Losses in nats, on all held-out text and on each source of it where there are several."""
    names = {"heldout_loss": WHOLE} | {
        name: name.removeprefix(BY_SOURCE) for name in map(str, losses) if name.startswith(BY_SOURCE)
    }
    long = losses.rename(columns=names).melt(["model", "pretraining_seed"], list(names.values()), "part").dropna()
    return long.assign(measure="heldout_loss")
