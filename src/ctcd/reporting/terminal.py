"""The comparison as aligned plain text for a terminal."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ctcd.reporting.claims import DECIDED
from ctcd.reporting.formatting import counted, interval, number, percent, score, signed, task_label
from ctcd.reporting.measures import MEASURES, WHOLE
from ctcd.reporting.minimal_pairs import CHANCE, sets_of
from ctcd.reporting.robustness import RobustnessTable
from ctcd.reporting.statistics import UNITS, Unit, model_rows
from ctcd.reporting.tables import losses_by_source

GAP = "  "
HEADING_WIDTH = 10
PARTIAL = "*"
PRIMARY = " †"
PARTIAL_NOTE = "on a part of the published data"
# Measures that a reader tells by their unit.
NAMED_BY_UNIT = ("scores", "heldout_loss")

Column = list[str]


def study_text(
    claims: pd.DataFrame,
    comparison: pd.DataFrame,
    losses: pd.DataFrame,
    robustness: RobustnessTable | None = None,
    pairs: pd.DataFrame | None = None,
    width: int = 100,
) -> str:
    """Lay out what is decided of a study's claims, then the scores, held-out losses, robustness and minimal pairs.

    Args:
        claims: as `check_claims` makes it.
        comparison: as `compare` makes it.
        losses: as `final_losses` makes it.
        robustness: as `tabulate_robustness` makes it.
        pairs: as `summarise_minimal_pairs` makes it.
        width: in characters; tasks that do not fit beside each other go into further tables below.

    Returns:
        Text without a trailing newline.
    """
    scores = scores_text(comparison, "pretraining_seed", width)
    of_pairs = "" if pairs is None else pairs_text(pairs)
    blocks = (_claims(claims), scores, _losses(losses), _by_source(losses), _robustness(robustness, width), of_pairs)
    return "\n\n".join(block for block in blocks if block)


def scores_text(comparison: pd.DataFrame, unit: Unit, width: int = 100) -> str:
    """Lay out the scores per model and task; a task whose data are a part of the published ones is marked."""
    if comparison.empty:
        return ""
    rows = model_rows(comparison)
    models = list(rows["model"].unique())
    cells = {
        (row["task"], row["model"]): score(row["mean"], row["low"], row["high"]) for row in rows.to_dict("records")
    }
    partial = set(rows.loc[rows["is_partial"], "task"])
    columns = [
        [*_heading(f"{task}{PARTIAL if task in partial else ''}"), *(cells.get((task, model), "") for model in models)]
        for task in rows["task"].unique()
    ]
    seeds = counted(int(comparison["seeds"].max()), UNITS[unit])
    spread = f"mean ± half the {percent(comparison['confidence'].iloc[0])} interval over {seeds}"
    title = f"Scores in points ({spread if int(comparison['seeds'].max()) > 1 else f'{seeds}, so no interval'})"
    text = f"{title}\n" + "\n\n".join(_aligned(table) for table in _tables_that_fit([models, *columns], width))
    return f"{text}\n{PARTIAL} {PARTIAL_NOTE}" if partial else text


def pairs_text(pairs: pd.DataFrame) -> str:
    """Lay out the accuracy on each set of minimal pairs; nothing if there is none."""
    sets = list(sets_of(pairs[pairs["phenomenon"] == ""]))
    if not sets:
        return ""
    models = list(pairs["model"].unique())
    columns = [["", *models, "standard error"]]
    for name, rows in sets:
        by_model = rows.set_index("model").reindex(models)
        values = [*by_model["accuracy"], rows["standard_error"].max()]
        columns.append([task_label(name), *("" if pd.isna(value) else number(value, 1) for value in values)])
    return f"Minimal pairs, accuracy in points; chance is {CHANCE}, the error is that of the pairs\n{_aligned(columns)}"


def _claims(claims: pd.DataFrame) -> str:
    if claims.empty:
        return ""
    ordered = claims.sort_values("verdict", key=lambda verdicts: ~verdicts.isin(DECIDED), kind="stable")
    records = ordered.to_dict("records")
    columns = [list(cells) for cells in zip(*map(_claim_cells, records), strict=True)]
    seeds = counted(int(claims["seeds"].max()), "pre-training seed")
    title = (
        f"Differences, paired over {seeds}, with {percent(records[0]['confidence'])} intervals; more is better for the "
        "first-named"
    )
    corrected = f"verdicts, not intervals, are corrected for {counted(len(records), 'claim')}"
    note = f"{PRIMARY.strip()} the study's primary claim; {corrected}"
    return f"{title}\n{_aligned(columns)}\n{note}"


def _claim_cells(row: dict[Any, Any]) -> tuple[str, ...]:
    measure = MEASURES[row["on"]]
    heading = [] if row["on"] in NAMED_BY_UNIT else [measure.heading.lower()]
    part = [] if row["part"] == WHOLE else [row["part"]]
    return (
        f"{row['model']} - {row['reference']}{PRIMARY if row['primary'] else ''}",
        ", ".join([measure.unit, *heading, *part]),
        signed(row["difference"], measure.decimals),
        interval(row["low"], row["high"], measure.decimals),
        str(row["verdict"]),
    )


def _losses(losses: pd.DataFrame) -> str:
    if losses.empty:
        return ""
    rows = losses.groupby("model", sort=False)
    means, spreads = rows["heldout_loss"].mean(), rows["heldout_loss"].std()
    columns = [
        ["", *means.index],
        ["loss", *(number(value, 3) for value in means)],
        ["spread", *(number(value, 3) for value in spreads)],
        ["error", *(number(value, 3) for value in rows["heldout_loss_error"].mean())],
        ["accuracy", *(f"{number(100 * value, 1)} %" for value in rows["heldout_accuracy"].mean())],
    ]
    if "heldout_perplexity" in losses:
        columns.append(["perplexity", *(number(value, 1) for value in rows["heldout_perplexity"].mean())])
    seeds = counted(losses["pretraining_seed"].nunique(), "pre-training seed")
    title = f"Held-out loss in nats: mean, spread over {seeds}, error over text"
    return f"{title}\n{_aligned(columns)}"


def _by_source(losses: pd.DataFrame) -> str:
    if losses.empty:
        return ""
    by_source = losses_by_source(losses)
    if by_source.empty:
        return ""
    columns = [["", *by_source.index]]
    columns += [[str(source), *(number(value, 3) for value in by_source[source])] for source in by_source]
    return f"Held-out loss by source of text, in nats\n{_aligned(columns)}"


def _robustness(table: RobustnessTable | None, width: int) -> str:
    if table is None:
        return ""
    models = [model for model, _ in table.lines]
    columns = [
        [*_heading(heading), *cells]
        for heading, cells in zip(table.headings, zip(*(cells for _, cells in table.lines), strict=True), strict=True)
    ]
    title = "Perturbed text, and calibration on unchanged text, in points"
    return f"{title}\n" + "\n\n".join(_aligned(each) for each in _tables_that_fit([models, *columns], width))


def _tables_that_fit(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Tables no wider than `width`, if one column fits at all; the first column heads each of them."""
    first, *others = columns
    tables = [[first]]
    for column in others:
        if sum(_width(each) + len(GAP) for each in tables[-1]) + _width(column) > width and len(tables[-1]) > 1:
            tables.append([first])
        tables[-1].append(column)
    return tables


def _heading(task: str) -> Column:
    """Break a task's name into short lines."""
    lines = [""]
    for word in task_label(task).split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= HEADING_WIDTH or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _width(column: Column) -> int:
    return max(len(cell) for cell in column)


def _aligned(columns: Sequence[Column]) -> str:
    """Lines of cells, the first column aligned to the left, the others to the right, and all to the bottom."""
    lines = max(len(column) for column in columns)
    first, *others = [[""] * (lines - len(column)) + column for column in columns]
    padded = [[cell.ljust(_width(first)) for cell in first]]
    padded += [[cell.rjust(_width(column)) for cell in column] for column in others]
    return "\n".join(GAP.join(cells).rstrip() for cells in zip(*padded, strict=True))
