"""The comparison as aligned plain text for a terminal."""

from collections.abc import Sequence

import pandas as pd

from ctcd.reporting.formatting import interval, number, percent, score, signed, task_label
from ctcd.reporting.statistics import MEAN_OVER_TASKS, REFERENCES, difference_rows, model_rows, outcome

GAP = "  "
HEADING_WIDTH = 10
PARTIAL = "*"
PARTIAL_NOTE = "on a part of the published data"

Column = list[str]


def comparison_text(comparison: pd.DataFrame, losses: pd.DataFrame, width: int = 100) -> str:
    """Lay out scores per model and task, the differences that answer the study's questions, and the held-out losses.

    Args:
        comparison: as `compare` makes it.
        losses: as `heldout_losses` makes it.
        width: in characters; tasks that do not fit beside each other go into further tables below.

    Returns:
        Text without a trailing newline.
    """
    blocks = [scores_text(comparison, width), _differences(comparison), _losses(losses)]
    return "\n\n".join(block for block in blocks if block)


def scores_text(comparison: pd.DataFrame, width: int = 100) -> str:
    """Lay out the scores per model and task; a task whose data are a part of the published ones is marked."""
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
    seeds = int(comparison["seeds"].max())
    spread = f"mean ± half the {percent(comparison['confidence'].iloc[0])} interval over {seeds} fine-tuning seeds"
    title = f"Scores in points ({spread if seeds > 1 else 'one fine-tuning seed, so no interval'})"
    text = f"{title}\n" + "\n\n".join(_aligned(table) for table in _tables_that_fit([models, *columns], width))
    return f"{text}\n{PARTIAL} {PARTIAL_NOTE}" if partial else text


def _differences(comparison: pd.DataFrame) -> str:
    rows = difference_rows(comparison, *REFERENCES)
    records = rows[rows["task"] == MEAN_OVER_TASKS].to_dict("records")
    if not records:
        return ""
    columns = [
        [str(row["quantity"]) for row in records],
        [signed(row["mean"]) for row in records],
        [interval(row["low"], row["high"]) for row in records],
        [outcome(row["low"], row["high"]) for row in records],
    ]
    title = f"Differences of the mean over tasks, paired by seed, with {percent(records[0]['confidence'])} intervals"
    return f"{title}\n{_aligned(columns)}"


def _losses(losses: pd.DataFrame) -> str:
    if losses.empty:
        return ""
    columns = [
        ["", *losses["model"]],
        ["loss", *(number(value, 3) for value in losses["heldout_loss"])],
        ["unigram entropy", *(number(value, 3) for value in losses["unigram_entropy"])],
        ["below it by", *(number(value, 3) for value in losses["below_unigram"])],
        ["accuracy", *(f"{number(100 * value, 1)} %" for value in losses["heldout_accuracy"])],
    ]
    return f"Held-out loss on predicted words in nats, one pre-training run each\n{_aligned(columns)}"


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
