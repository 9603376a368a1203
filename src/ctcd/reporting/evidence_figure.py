"""The claims of a study as one picture: dots with intervals, one panel for each measure."""

from pathlib import Path

import pandas as pd

from ctcd.reporting.measures import MEASURES, WHOLE

COLOURS = {"better": "#1a7f37", "worse": "#cf222e"}
UNDECIDED = "#57606a"
WIDTH, ROW, FRAME = 8.0, 0.28, 0.9  # inches


def draw_claims(claims: pd.DataFrame, path: Path) -> None:
    """Draw a table of `check_claims` into an SVG file; the same table gives the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "claims"
    from matplotlib import pyplot

    groups = list(claims.groupby("on", sort=False))
    heights = [len(rows) * ROW + FRAME for _, rows in groups] or [FRAME]
    figure, axes = pyplot.subplots(
        len(heights), squeeze=False, figsize=(WIDTH, sum(heights)), height_ratios=heights, layout="constrained"
    )
    for axis, (measure, rows) in zip(axes[:, 0], groups, strict=False):
        for place, row in enumerate(rows.iloc[::-1].itertuples()):
            colour = COLOURS.get(str(row.verdict), UNDECIDED)
            axis.plot([row.low, row.high], [place, place], color=colour, linewidth=2)
            axis.plot([row.difference], [place], "o", color=colour, markersize=5)
        axis.axvline(0, color="#8c959f", linewidth=1, linestyle=":")
        axis.set_yticks(range(len(rows)), [_label(row) for _, row in rows.iloc[::-1].iterrows()], fontsize=8)
        axis.set_ylim(-0.6, len(rows) - 0.4)
        of = MEASURES[str(measure)]
        axis.set_xlabel(f"{of.heading.lower()}, {of.unit}: right of zero the first-named is better", fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _label(row: pd.Series) -> str:
    part = "" if row["part"] == WHOLE else f", {row['part']}"
    return f"{row['model']} − {row['reference']}{part}"
