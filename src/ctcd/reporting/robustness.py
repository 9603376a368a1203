"""How a study's models do on perturbed and on other text, and how far they know when they are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ctcd.reporting.formatting import MISSING, score, task_label
from ctcd.reporting.measures import MEASURES, WHOLE
from ctcd.reporting.statistics import summary
from ctcd.reporting.tables import model_names
from ctcd.tasks.settings import UNCHANGED

KEYS = ["model", "pretraining_seed"]
COLUMNS = [*KEYS, "measure", "part", "value"]
CALIBRATION = ("calibration_error", "selective_accuracy")


@dataclass(frozen=True)
class RobustnessTable:
    """Points as text: a column for each test set and measure, a line for each model."""

    headings: list[str]
    lines: list[tuple[str, list[str]]]


def measure_robustness(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Measurements of all models, in points: means over fine-tuning seeds, splits and tasks.

    Args:
        tables: by variant, as `ctcd.tasks.robustness.measure_robustness` makes them.

    Returns:
        model, pretraining_seed, measure, part, value. The measures are `robustness` and `robustness_loss`, whose parts
        are test sets, and `calibration_error` and `selective_accuracy` of the validation splits, whose parts are tasks.
        The part `all` is the mean over the parts. A model without some task of the study has none of these.
    """
    table = pd.concat([rows.assign(variant=variant) for variant, rows in tables.items()], ignore_index=True)
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    table = table.assign(model=model_names(table), value=100 * table["value"])
    means = table.groupby([*KEYS, "measure", "test_set", "task"], sort=False)["value"].mean().reset_index()
    unchanged = means["test_set"] == UNCHANGED
    is_score = means["measure"] == "score"
    plain = _wide(means[is_score & unchanged], "task")
    scores = {
        str(name): _wide(rows, "task") for name, rows in means[is_score & ~unchanged].groupby("test_set", sort=False)
    }
    perturbed = pd.DataFrame({name: tasks.mean(axis=1, skipna=False) for name, tasks in scores.items()})
    before = {name: plain[list(tasks)].mean(axis=1, skipna=False) for name, tasks in scores.items()}
    found = {"robustness": perturbed, "robustness_loss": pd.DataFrame(before).sub(perturbed)}
    for measure in CALIBRATION:
        found[measure] = _wide(means[(means["measure"] == measure) & unchanged], "task")
    return pd.concat([_long(measure, parts) for measure, parts in found.items()], ignore_index=True)


def tabulate_robustness(measurements: pd.DataFrame, confidence: float) -> RobustnessTable | None:
    """Means over pre-training seeds with half the width of their intervals; None where no further text was predicted.

    Args:
        measurements: as `collect_measurements` makes it.
        confidence: of the intervals.
    """
    measured = measurements[measurements["measure"] == "robustness"]
    if measured.empty:
        return None
    parts = [part for part in measured["part"].unique() if part != WHOLE]
    columns = [("robustness", part) for part in parts]
    columns += [(measure, WHOLE) for measure in ("robustness", "robustness_loss", *CALIBRATION)]
    by_column = measurements.set_index("pretraining_seed").groupby(["model", "measure", "part"], sort=False)["value"]
    values = dict(iter(by_column))

    def cell(model: str, measure: str, part: str) -> str:
        if (model, measure, part) not in values:
            return MISSING
        found = summary(values[model, measure, part], confidence)
        return score(found["mean"], found["low"], found["high"])

    headings = [MEASURES[measure].heading.lower() if part == WHOLE else task_label(part) for measure, part in columns]
    models = [str(model) for model in measurements["model"].unique() if model in set(measured["model"])]
    return RobustnessTable(headings, [(model, [cell(model, *column) for column in columns]) for model in models])


def _wide(rows: pd.DataFrame, columns: str) -> pd.DataFrame:
    """A row for each model and seed."""
    return rows.pivot(index=KEYS, columns=columns, values="value")


def _long(measure: str, parts: pd.DataFrame) -> pd.DataFrame:
    """Every part of a measure, and the mean over all of them."""
    if parts.empty:
        return pd.DataFrame(columns=COLUMNS)
    whole = parts.assign(**{WHOLE: parts.mean(axis=1, skipna=False)})
    rows = whole.rename_axis(columns="part").reset_index().melt(KEYS, var_name="part")
    return rows.dropna().assign(measure=measure)[COLUMNS]
