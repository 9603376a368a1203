"""The report: one HTML file that needs nothing from anywhere else."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import nan
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ctcd.reporting.formatting import MISSING, counted, interval, number, percent, score, signed, task_label
from ctcd.reporting.statistics import MEAN_OVER_TASKS, MEANS, REFERENCES, difference_rows, model_rows, outcome
from ctcd.reporting.tables import MAJORITY, NO_SEED, UNTRAINED

FIGURE_CONFIGURATION = {"displayModeBar": False, "responsive": True}
# Room for the names of the panels, in pixels; the figures' own titles are taken off.
FIGURE_TOP = 28
CORPUS_LABELS = {
    "source": "Source",
    "documents": "Documents",
    "words": "Words",
    "tokens": "Tokens",
    "sequences": "Sequences",
    "sequence_length": "Sequence length, tokens",
    "vocabulary_size": "Vocabulary, word pieces",
    "unknown_rate": "Unknown tokens",
    "unigram_entropy": "Unigram entropy, nats",
    "fingerprint": "Fingerprint of the shards",
    "tokenizer_fingerprint": "Fingerprint of the tokenizer",
}

Row = dict[Any, Any]
Cell = tuple[str, str]


def render_report(
    *,
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    bootstrap: pd.DataFrame,
    losses: pd.DataFrame,
    verdicts: pd.DataFrame,
    differences_figure: go.Figure,
    scores_figure: go.Figure,
    losses_figure: go.Figure,
    corpus: Mapping[str, Any],
    provenance: Mapping[str, Any],
    title: str = "Co-training and co-distillation",
) -> str:
    """Write the whole report.

    Args:
        scores: as `collect_scores` makes it.
        comparison: as `compare` makes it.
        bootstrap: as `bootstrap_differences` makes it.
        losses: as `heldout_losses` makes it.
        verdicts: as `verdicts` makes it.
        differences_figure: as `score_differences` makes it.
        scores_figure: as `score_bars` makes it.
        losses_figure: as `loss_curves` makes it.
        corpus: the metadata of the shards.
        provenance: as `describe_run` makes it.
        title: of the page.

    Returns:
        HTML with its styles and plotly.js inside; everything that comes from data is escaped.
    """
    environment = Environment(
        loader=PackageLoader("ctcd.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, typeset=_typeset)
    confidence = float(comparison["confidence"].iloc[0])
    return environment.get_template("report.html.j2").render(
        title=title,
        verdicts=verdicts.to_dict("records"),
        confidence=percent(confidence),
        chance_in=round(1 / (1 - confidence)),
        seeds=sorted(int(seed) for seed in scores["seed"].unique() if seed != NO_SEED),
        models=_headline_models(comparison, losses),
        differences=_headline_differences(comparison, bootstrap, losses),
        tasks=_task_headings(scores),
        means=[task for task in comparison["task"].unique() if task in MEANS],
        score_groups=_score_groups(comparison),
        uneven_seeds=_uneven_seeds(comparison),
        losses=losses.to_dict("records"),
        unigram_entropy=corpus["unigram_entropy"],
        corpus=_corpus_facts(corpus),
        sample=corpus["sample"],
        provenance=_provenance_facts(provenance),
        parameters=json.dumps(provenance["parameters"], indent=2, ensure_ascii=False, default=str),
        commit=_commit(provenance, 10),
        time=_time(provenance),
        sampling_error=_sampling_error(scores),
        figures={
            "differences": _figure("differences-figure", differences_figure),
            "scores": _figure("scores-figure", scores_figure),
            "losses": _figure("losses-figure", losses_figure),
        },
        plotly=Markup(get_plotlyjs()),
    )


def _figure(name: str, figure: go.Figure) -> dict[str, str]:
    """Draw a figure without background, its title apart for the page to print."""
    bare = go.Figure(figure).update_layout(
        title=None, margin_t=FIGURE_TOP, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)"
    )
    html = bare.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=FIGURE_CONFIGURATION)
    return {"title": figure.layout.title.text, "html": Markup(html)}


def _headline_models(comparison: pd.DataFrame, losses: pd.DataFrame) -> list[dict[str, str]]:
    """Per model: how well it does on tasks, how well it predicts words, how big it is."""
    rows = model_rows(comparison)
    means = {row["model"]: row for row in rows[rows["task"] == MEAN_OVER_TASKS].to_dict("records")}
    final = {row["model"]: row for row in losses.to_dict("records")}
    result = []
    for model in rows["model"].unique():
        row = {"model": model, "score": MISSING, "loss": "", "accuracy": "", "parameters": ""}
        if model in means:
            row["score"] = _score_cell(means[model])[0]
        if model in final:
            row["loss"] = number(final[model]["heldout_loss"])
            row["accuracy"] = f"{number(100 * final[model]['heldout_accuracy'], 1)} %"
            if not pd.isna(final[model]["parameters"]):
                row["parameters"] = f"{number(final[model]['parameters'] / 1e6, 1)} M"
        result.append(row)
    return result


def _headline_differences(
    comparison: pd.DataFrame, bootstrap: pd.DataFrame, losses: pd.DataFrame
) -> list[dict[str, str]]:
    means = bootstrap[bootstrap["task"] == MEAN_OVER_TASKS] if len(set(bootstrap["task"])) > 1 else bootstrap
    resampled = {(row["model"], row["reference"]): row for row in means.to_dict("records")}
    nothing = {"low": nan, "high": nan}
    rows = difference_rows(comparison, *REFERENCES)
    final = dict(zip(losses["model"], losses["heldout_loss"], strict=True))
    return [
        {
            "name": _difference_name(row),
            "mean": signed(row["mean"]),
            "interval": interval(row["low"], row["high"]),
            "resampled": _interval_of(resampled.get((row["model"], row["reference"]), nothing)),
            "outcome": outcome(row["low"], row["high"]),
            "loss": signed(final.get(row["model"], nan) - final.get(row["reference"], nan), 3),
        }
        for row in rows[rows["task"] == MEAN_OVER_TASKS].to_dict("records")
    ]


def _interval_of(row: Row) -> str:
    return interval(row["low"], row["high"])


def _task_headings(scores: pd.DataFrame) -> list[dict[str, str]]:
    headings = []
    for task, rows in scores.groupby("task", sort=False):
        metrics = " and ".join(rows["metric"].unique())
        examples = int(rows.drop_duplicates("split")["examples"].sum())
        partial = ", a part of the published data" if rows["is_partial"].any() else ""
        headings.append({"task": task_label(str(task)), "detail": f"{metrics}, {examples:,} examples{partial}"})
    return headings


def _score_groups(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Group the rows of the table of all tasks."""
    alone, untrained = difference_rows(comparison, *REFERENCES), difference_rows(comparison, UNTRAINED)
    groups: list[tuple[str, pd.DataFrame, Callable[[Row], str], Callable[[Row], Cell]]] = [
        ("Scores", model_rows(comparison), lambda row: str(row["model"]), _score_cell),
        ("Differences between methods", alone, _difference_name, _difference_cell),
        ("Gains over random weights", untrained, _difference_name, _difference_cell),
    ]
    tasks = comparison["task"].unique()
    result = []
    for heading, table, name, cell in groups:
        lines = []
        for quantity in table["quantity"].unique():
            records = table[table["quantity"] == quantity].to_dict("records")
            cells = {record["task"]: cell(record) for record in records}
            lines.append({"name": name(records[0]), "cells": [cells.get(task, (MISSING, "")) for task in tasks]})
        if lines:
            result.append({"heading": heading, "lines": lines})
    return result


def _score_cell(row: Row) -> Cell:
    return score(row["mean"], row["low"], row["high"]), ""


def _difference_cell(row: Row) -> Cell:
    """Return a difference as text, and its outcome, which is its style."""
    half: str = "" if pd.isna(row["low"]) else f" ±{number((row['high'] - row['low']) / 2, 1)}"
    return signed(row["mean"], 1) + half, outcome(row["low"], row["high"])


def _difference_name(row: Row) -> str:
    return f"{row['model']} − {row['reference']}"


def _uneven_seeds(comparison: pd.DataFrame) -> list[str]:
    """Scores that rest on fewer seeds than others, in words."""
    rows = model_rows(comparison)
    rows = rows[rows["model"] != MAJORITY]
    return [
        f"{row['model']} on {task_label(row['task'])}: {counted(row['seeds'], 'seed')}"
        for row in rows[rows["seeds"] < rows["seeds"].max()].to_dict("records")
    ]


def _corpus_facts(corpus: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text; counts of each split side by side."""
    splits = {name.replace("heldout", "held-out"): counts for name, counts in corpus["splits"].items()}
    facts = dict(corpus)
    for count in ("documents", "words", "tokens", "sequences"):
        facts[count] = ", ".join(f"{split} {_plain(counts[count])}" for split, counts in splits.items())
    facts["unknown_rate"] = f"{100 * corpus['unknown_rate']:.3f} %"
    facts["unigram_entropy"] = number(corpus["unigram_entropy"], 3)
    return [(label, _plain(facts[key])) for key, label in CORPUS_LABELS.items()]


def _provenance_facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    memory = provenance.get("memory_bytes")
    facts = {
        "Time": _time(provenance),
        "Commit": _commit(provenance),
        "Processor": f"{provenance['processor']}, {counted(provenance['cores'], 'core')}",
        "Memory": f"{memory / 2**30:.1f} GiB" if memory else "",
        "Accelerators": ", ".join(provenance["accelerators"]) or "none",
        "System": provenance["platform"],
        "Python": provenance["python"],
        "Packages": ", ".join(f"{name} {version}" for name, version in provenance["versions"].items()),
    }
    return [(label, text) for label, text in facts.items() if text]


def _commit(provenance: Mapping[str, Any], digits: int = 40) -> str:
    if "commit" not in provenance:
        return ""
    return f"{provenance['commit'][:digits]}{' with uncommitted changes' if provenance['dirty'] else ''}"


def _time(provenance: Mapping[str, Any]) -> str:
    return datetime.fromisoformat(provenance["time"]).strftime("%Y-%m-%d %H:%M UTC")


def _sampling_error(scores: pd.DataFrame) -> str:
    """Say how large a standard error the choice of examples can give to an accuracy."""
    examples = int(scores.groupby("task")["examples"].max().min())
    return f"{50 / examples**0.5:.1f} points on the smallest task ({examples:,} examples)"


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _typeset(text: str) -> str:
    """Set minus signs before numbers, and keep numbers with their per cent signs."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text).replace(" %", "\N{NO-BREAK SPACE}%")
