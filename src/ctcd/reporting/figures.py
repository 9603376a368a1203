"""The report's figures. Colour says the variant, dash or pattern says the role, wherever a model appears."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ctcd.distillation.methods import ROLES
from ctcd.reporting.formatting import task_label
from ctcd.reporting.statistics import MEANS, difference_rows, model_rows, outcome
from ctcd.reporting.tables import MAJORITY, is_untrained, model_names, split_model_name

# Okabe and Ito's colours, told apart with any colour vision, and four more that differ from them in lightness.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7B4F9D", "#8C564B", "#1B4D3E", "#B22222"]
GREY = "#A6A6A6"
NEUTRAL = "#767676"
DASHES = {"teacher": "solid", "student": "dash"}
PATTERNS = {"teacher": "", "student": "/"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CURVE = "sampled_heldout_loss"
LOSS_PANELS = {
    CURVE: "Held-out loss (on a sample of the held-out text)",
    "hard_loss": "Hard loss in training",
    "soft_loss": "Soft loss in training",
}
LONGEST_CURVE = 300


def score_bars(comparison: pd.DataFrame) -> go.Figure:
    """Draw every model's score on every task with its interval, beside the majority class as a line."""
    rows = model_rows(comparison)
    tasks = list(rows["task"].unique())
    models = [model for model in rows["model"].unique() if model != MAJORITY]
    colours = _colours(models)
    figure = go.Figure()
    for model in models:
        variant, role = split_model_name(model)
        table = rows[rows["model"] == model].set_index("task").reindex(tasks)
        half = (table["high"] - table["low"]) / 2
        pattern = {"shape": PATTERNS.get(role, ""), "size": 5, "fgcolor": "white", "solidity": 0.35}
        figure.add_bar(
            x=list(range(len(tasks))),
            y=table["mean"].tolist(),
            name=model,
            marker={"color": colours[variant], "line": {"width": 0}, "pattern": pattern},
            error_y={"type": "data", "array": half.tolist(), "color": NEUTRAL, "thickness": 1.2, "width": 2},
            customdata=[task_label(task) for task in tasks],
            hovertemplate=f"{model}<br>%{{customdata}}: %{{y:.1f}} ± %{{error_y.array:.1f}}<extra></extra>",
        )
    _add_majority_class(figure, rows, tasks)
    figure.update_xaxes(tickvals=list(range(len(tasks))), ticktext=_labels(tasks), showgrid=False, zeroline=False)
    figure.update_yaxes(title="score (points)")
    figure.update_layout(barmode="group", bargap=0.18, bargroupgap=0.06)
    return _finished(figure, "Scores per task", height=440)


def score_differences(comparison: pd.DataFrame) -> go.Figure:
    """Draw each difference between methods, per task and on the mean, with its interval about zero."""
    rows = difference_rows(comparison)
    quantities = list(rows["quantity"].unique())
    # The first category lies at the bottom: the mean, below the tasks.
    tasks = list(rows["task"].unique())[::-1]
    panels, height = max(len(quantities), 1), 60 + 24 * len(tasks)
    figure = make_subplots(
        rows=panels,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=45 / (panels * height),
        subplot_titles=[quantity.replace(" - ", " − ") for quantity in quantities],
    )
    colours = _colours(rows["model"].unique())
    for panel, quantity in enumerate(quantities, start=1):
        table = rows[rows["quantity"] == quantity].set_index("task")
        colour = colours[split_model_name(table["model"].iloc[0])[0]]
        table = table.reindex(tasks)
        outcomes = [outcome(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
        symbols = ["circle-open" if result == "undecided" else "circle" for result in outcomes]
        half = (table["high"] - table["low"]) / 2
        figure.add_scatter(
            x=table["mean"].tolist(),
            y=_labels(tasks),
            mode="markers",
            marker={"color": colour, "size": 9, "symbol": symbols, "line": {"width": 2, "color": colour}},
            error_x={"type": "data", "array": half.tolist(), "thickness": 1.8, "width": 0},
            hovertemplate="%{y}: %{x:+.2f} ± %{error_x.array:.2f}<extra></extra>",
            showlegend=False,
            row=panel,
            col=1,
        )
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1})
    figure.update_xaxes(zeroline=False)
    figure.update_xaxes(title="difference (points)", row=panels)
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    return _finished(figure, "Differences between methods", height=130 + panels * height)


def loss_curves(history: pd.DataFrame, unigram_entropies: Mapping[str | None, float]) -> go.Figure:
    """Draw held-out loss over tokens beside the unigram entropy, and the hard and soft training losses below.

    Args:
        history: as `collect_histories` makes it.
        unigram_entropies: by the name of the corpus, None for the one that has no name.
    """
    curves = history[history["metric"].isin(LOSS_PANELS) & history["role"].isin(ROLES)]
    curves = curves.assign(model=model_names(curves))
    curves = curves[curves.groupby("model")["tokens"].transform("max") > 0]  # untrained models have no curve
    # A soft loss that was not computed is recorded as 0.
    computed = curves.groupby(["model", "metric"])["value"].transform("any").astype(bool)
    curves = curves[computed | (curves["metric"] != "soft_loss")]
    metrics = [metric for metric in LOSS_PANELS if metric == CURVE or metric in set(curves["metric"])]
    heights = [1.7 if metric == CURVE else 1.0 for metric in metrics]
    figure = make_subplots(
        rows=len(metrics),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=0.07,
        subplot_titles=[LOSS_PANELS[metric] for metric in metrics],
    )
    colours = _colours(curves["model"].unique())
    for panel, metric in enumerate(metrics, start=1):
        _add_curves(figure, curves[curves["metric"] == metric], colours, panel)
        figure.update_yaxes(title="nats per token", row=panel)
        if metric != "soft_loss":
            values = curves.loc[curves["metric"] == metric, "value"]
            figure.update_yaxes(range=_range_up_to_entropy(values, max(unigram_entropies.values())), row=panel)
    for corpus, entropy in unigram_entropies.items():
        name = f"unigram entropy of {corpus}" if corpus else "unigram entropy"
        figure.add_scatter(
            x=[0, int(curves["tokens"].max()) if len(curves) else 1],
            y=[entropy, entropy],
            name=name,
            mode="lines",
            line={"color": NEUTRAL, "dash": "dot", "width": 1.5},
            hovertemplate=f"{name}: %{{y:.3f}} nats<extra></extra>",
            row=1,
            col=1,
        )
    figure.update_xaxes(zeroline=False, rangemode="tozero")
    figure.update_xaxes(title="tokens seen in pre-training", row=len(metrics))
    figure.update_annotations(x=0, xanchor="left", font={"size": 13})
    return _finished(figure, "Loss during pre-training", height=170 + int(170 * sum(heights)))


def _add_majority_class(figure: go.Figure, rows: pd.DataFrame, tasks: list[str]) -> None:
    """Draw a dotted line through each task's bars."""
    scores = rows[rows["model"] == MAJORITY].set_index("task")["mean"]
    x: list[float | None] = []
    y: list[float | None] = []
    for position, task in enumerate(tasks):
        if task in scores.index:
            x += [position - 0.45, position + 0.45, None]
            y += [float(scores[task]), float(scores[task]), None]
    if x:
        line = {"color": NEUTRAL, "width": 1.5, "dash": "dot"}
        hover = f"{MAJORITY}: %{{y:.1f}}<extra></extra>"
        figure.add_scatter(x=x, y=y, name=MAJORITY, mode="lines", line=line, hovertemplate=hover)


def _add_curves(figure: go.Figure, curves: pd.DataFrame, colours: Mapping[str, str], panel: int) -> None:
    """A thick mean and a thin line per seed for each model; its entry in the legend shows and hides them all."""
    named = {trace.name for trace in figure.data}
    for model in curves["model"].unique():
        variant, role = split_model_name(model)
        of_model = curves[curves["model"] == model]
        line = {"color": colours[variant], "dash": DASHES[role]}
        style = {"legendgroup": model, "row": panel, "col": 1}
        by_seed = [_thinned(rows.sort_values("step")) for _, rows in of_model.groupby("pretraining_seed", sort=False)]
        for records in by_seed if len(by_seed) > 1 else []:
            figure.add_scatter(
                x=records["tokens"].tolist(),
                y=records["value"].tolist(),
                mode="lines",
                line={**line, "width": 0.8},
                opacity=0.45,
                showlegend=False,
                hoverinfo="skip",
                **style,
            )
        mean = _thinned(of_model.groupby("step", as_index=False)[["tokens", "value"]].mean())
        figure.add_scatter(
            x=mean["tokens"].tolist(),
            y=mean["value"].tolist(),
            name=model,
            showlegend=model not in named,
            mode="lines" if len(mean) > 2 else "lines+markers",
            line={**line, "width": 2.2 if panel == 1 else 1.4},
            hovertemplate=f"{model}<br>%{{x:.3s}} tokens: %{{y:.3f}} nats<extra></extra>",
            **style,
        )


def _range_up_to_entropy(values: pd.Series, unigram_entropy: float) -> list[float] | None:
    """From the lowest loss to a little above the unigram entropy; None, for everything, if no loss is below it.

    The first losses, near the logarithm of the vocabulary's size, would flatten all differences between models.
    """
    below = unigram_entropy - values.min()
    return [values.min() - 0.06 * below, unigram_entropy + 0.15 * below] if below > 0 else None


def _thinned(records: pd.DataFrame) -> pd.DataFrame:
    """At most `LONGEST_CURVE` points: means of equally many consecutive records."""
    size = max(1, -(-len(records) // LONGEST_CURVE))
    return records[["tokens", "value"]].groupby(np.arange(len(records)) // size).mean()


def _colours(models: Iterable[str]) -> dict[str, str]:
    """Variant -> colour, in the order of appearance; random weights are grey."""
    variants = dict.fromkeys(split_model_name(model)[0] for model in models)
    trained = [variant for variant in variants if not is_untrained(variant)]
    return dict.fromkeys(variants, GREY) | {
        variant: COLOURS[turn % len(COLOURS)] for turn, variant in enumerate(trained)
    }


def _labels(tasks: Iterable[str]) -> list[str]:
    """Name the tasks on an axis, the means in bold."""
    return [f"<b>{task}</b>" if task in MEANS else task_label(task) for task in tasks]


def _finished(figure: go.Figure, title: str, height: int) -> go.Figure:
    figure.update_xaxes(automargin=True, title_standoff=8)
    figure.update_yaxes(automargin=True, title_standoff=8)
    return figure.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 16}},
        font={"family": FONT, "size": 12},
        height=height,
        margin={"l": 10, "r": 10, "t": 64, "b": 10},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        hovermode="closest",
    )
