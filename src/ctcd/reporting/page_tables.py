"""The tables of the page as text: what the template shows, line by line."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ctcd.reporting.claims import DECIDED
from ctcd.reporting.formatting import MISSING, counted, interval, number, percent, score, signed, task_label
from ctcd.reporting.measurements import seed_by_seed
from ctcd.reporting.measures import MEASURES, on_part
from ctcd.reporting.statistics import MEAN_OVER_TASKS, difference_rows, gain_rows, model_rows, outcome
from ctcd.reporting.tables import MAJORITY, losses_by_source

CORPUS_LABELS = {
    "source": "Source",
    "documents": "Documents",
    "words": "Words",
    "tokens": "Tokens",
    "sequences": "Sequences",
    "sequence_length": "Sequence length, tokens",
    "duplicates": "Left out as repetitions",
    "vocabulary_size": "Vocabulary, word pieces",
    "unknown_rate": "Unknown tokens",
    "unigram_entropy": "Unigram entropy, nats",
    "fingerprint": "Fingerprint of the shards",
    "tokenizer_fingerprint": "Fingerprint of the tokenizer",
}

Row = dict[Any, Any]
Cell = tuple[str, str]


def claim_row(row: Row) -> Row:
    """A claim as text."""
    measure = MEASURES[row["on"]]
    unit = f"{measure.unit} less" if measure.lower_is_better else measure.unit
    return {
        "primary": bool(row["primary"]),
        "verdict": row["verdict"],
        "style": row["verdict"] if row["verdict"] in DECIDED else "undecided",
        "sentence": row["sentence"],
        "name": f"{row['model']} − {row['reference']}",
        "on": f"{on_part(measure.by, row['on'], row['part'])}, {unit}",
        "difference": signed(row["difference"], measure.decimals),
        "interval": interval(row["low"], row["high"], measure.decimals),
        "resampled": interval(row["bootstrap_low"], row["bootstrap_high"], measure.decimals),
        "p": number(row["p_holm"], 3),
        "seeds": int(row["seeds"]),
        "paper": "" if pd.isna(row["paper"]) else signed(row["paper"]),
    }


def model_lines(comparison: pd.DataFrame, losses: pd.DataFrame) -> list[dict[str, str]]:
    """Per model: how well it does on tasks, how well it predicts words, how big it is."""
    rows = model_rows(comparison)
    means = {row["model"]: row for row in rows[rows["task"] == MEAN_OVER_TASKS].to_dict("records")}
    by_model = {str(model): table for model, table in losses.groupby("model", sort=False)}
    result = []
    for model in dict.fromkeys([*rows["model"], *by_model]):
        row = {"model": model, "score": MISSING} | dict.fromkeys(
            ("loss", "spread", "error", "perplexity", "accuracy", "parameters"), ""
        )
        if model in means:
            row["score"] = _score_cell(means[model])[0]
        if model in by_model:
            table = by_model[model]
            row["loss"] = number(table["heldout_loss"].mean(), 3)
            row["spread"] = number(table["heldout_loss"].std(), 3)
            row["error"] = number(table["heldout_loss_error"].mean(), 3)
            if "heldout_perplexity" in table:
                row["perplexity"] = number(table["heldout_perplexity"].mean(), 1)
            row["accuracy"] = f"{number(100 * table['heldout_accuracy'].mean(), 1)} %"
            row["parameters"] = f"{number(table['parameters'].iloc[0] / 1e6, 2)} M"
        result.append(row)
    return result


def source_lines(losses: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The model, and its losses in the order of the sources."""
    return [
        (str(model), [number(value, 3) for value in values]) for model, *values in losses_by_source(losses).itertuples()
    ]


def pair_set(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """A set of minimal pairs: its models and a line for the mean, its error, equal lengths and each phenomenon."""
    whole = rows[rows["phenomenon"] == ""].set_index("model")
    models = whole.index.tolist()
    share = percent(round(whole["equal_length_share"].mean(), 3))
    lines = [
        (f"mean over {counted(int(whole['paradigms'].max()), 'paradigm')}", whole["accuracy"]),
        ("standard error over pairs", whole["standard_error"]),
        (f"mean, pairs of equal length ({share})", whole["equal_length_accuracy"]),
    ]
    by_phenomenon = rows[rows["phenomenon"] != ""].groupby("phenomenon", sort=False)
    if by_phenomenon.ngroups > 1:
        lines += [
            (task_label(str(each)), table.set_index("model")["accuracy"].reindex(models))
            for each, table in by_phenomenon
        ]
    return {
        "name": task_label(name),
        "models": models,
        "pairs": f"{int(whole['pairs'].max()):,}",
        "lines": [{"name": heading, "cells": [number(value, 1) for value in values]} for heading, values in lines],
    }


def seed_lines(measurements: pd.DataFrame) -> dict[str, list[Any]]:
    """Headings of the measures, and the lines of every model under every seed."""
    table = seed_by_seed(measurements)
    measures = {name: measure for name, measure in MEASURES.items() if name in table}
    return {
        "headings": [f"{measure.heading}, {measure.unit}" for measure in measures.values()],
        "lines": [
            {
                "model": str(row["model"]),
                "seed": str(row["pretraining_seed"]),
                "cells": [number(row[name], measure.decimals) for name, measure in measures.items()],
            }
            for row in table.to_dict("records")
        ],
    }


def setting_differences(differences: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings in which the trainings differ: the trainings with a value, value by value."""
    rows = []
    for name, values in differences.items():
        by_value: dict[str, list[str]] = {}
        for label, value in values.items():
            by_value.setdefault(str(value), []).append(label)
        rows.append({"name": name, "values": [(value, ", ".join(labels)) for value, labels in by_value.items()]})
    return rows


def task_headings(scores: pd.DataFrame) -> list[dict[str, str]]:
    """Name, metrics and number of examples of every task."""
    headings = []
    for task, rows in scores.groupby("task", sort=False):
        metrics = " and ".join(rows["metric"].unique())
        examples = int(rows.drop_duplicates("split")["examples"].sum())
        partial = ", a part of the published data" if rows["is_partial"].any() else ""
        headings.append({"task": task_label(str(task)), "detail": f"{metrics}, {examples:,} examples{partial}"})
    return headings


def score_groups(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Group the rows of the table of all tasks."""
    groups: list[tuple[str, pd.DataFrame, Callable[[Row], str], Callable[[Row], Cell]]] = [
        ("Scores", model_rows(comparison), lambda row: str(row["model"]), _score_cell),
        ("Differences that the study claims", difference_rows(comparison), _difference_name, _difference_cell),
        ("Gains over random weights", gain_rows(comparison), _difference_name, _difference_cell),
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


def uneven_seeds(comparison: pd.DataFrame) -> list[str]:
    """Scores that rest on fewer seeds than others, in words."""
    rows = model_rows(comparison)
    rows = rows[rows["model"] != MAJORITY]
    return [
        f"{row['model']} on {task_label(row['task'])}: {counted(row['seeds'], 'seed')}"
        for row in rows[rows["seeds"] < rows["seeds"].max()].to_dict("records")
    ]


def corpus_facts(corpus: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text; counts of each split side by side."""
    splits = {name.replace("heldout", "held-out"): counts for name, counts in corpus["splits"].items()}
    facts = dict(corpus)
    for count in ("documents", "words", "tokens", "sequences"):
        facts[count] = ", ".join(f"{split} {_plain(counts[count])}" for split, counts in splits.items())
    facts["duplicates"] = ", ".join(
        f"{_plain(counts['documents'])} {kind.replace('_', ' ')}s" for kind, counts in corpus["duplicates"].items()
    )
    facts["unknown_rate"] = f"{100 * corpus['unknown_rate']:.3f} %"
    facts["unigram_entropy"] = number(corpus["unigram_entropy"], 3)
    return [(label, _plain(facts[key])) for key, label in CORPUS_LABELS.items()]


def sampling_error(scores: pd.DataFrame) -> str:
    """Say how large a standard error the choice of examples can give to an accuracy; nothing without tasks."""
    if scores.empty:
        return ""
    examples = int(scores.groupby("task")["examples"].max().min())
    return f"{50 / examples**0.5:.1f} points on the smallest task ({examples:,} examples)"


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
