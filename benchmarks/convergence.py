"""What a pair has learned after a fixed number of tokens, by recipe.

    python benchmarks/convergence.py

Tokens per second mean nothing without this. Every recipe is base's configuration with the named differences, reads
the same tokens (documentation of the installed packages) in the same order with the same masks, and is judged on the
same held-out text. The loss is compared with the unigram entropy: a model that reaches no less knows
frequencies and nothing else.

The table gives means over the seeds; the JSON file has every run.
"""

import argparse
import json
import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch
from machine import chosen_device, describe
from rich.console import Console
from rich.table import Table
from training_run import Outcome, prepare_corpus, run_training

NARROWEST = 110  # columns
ROLES = ("teacher", "student")


@dataclass(frozen=True)
class Recipe:
    """A method, and where its settings differ from base's."""

    name: str
    method: str = "ctcd"
    changes: dict[str, Any] = field(default_factory=dict)


def _adamw(learning_rate: float) -> dict[str, Any]:
    return {"optimiser": {"name": "adamw", "learning_rate": learning_rate}}


def _both(architecture: str, feed_forward: int) -> dict[str, Any]:
    """Both models of another architecture; `feed_forward` makes up for the gate that base's has."""
    model = {"architecture": architecture, "feed_forward": feed_forward, "options": {}}
    return {"teacher": model, "student": model}


RECIPES = (
    Recipe("base"),
    Recipe("base, standalone", method="standalone"),
    Recipe("AdamW 1e-3", changes=_adamw(1e-3)),
    Recipe("AdamW 3e-3", changes=_adamw(3e-3)),
    Recipe("AdamW 1e-2", changes=_adamw(1e-2)),
    Recipe("post-norm BERT", changes=_both("bert", 192)),
    Recipe("post-norm BERT, AdamW 1e-3", changes=_both("bert", 192) | _adamw(1e-3)),
    Recipe("pre-norm BERT", changes=_both("megatron-bert", 192)),
)


def main() -> None:
    """Train by every recipe, print, write."""
    arguments = _parse_arguments()
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, format="%(asctime)s  %(message)s")
    recipes = [
        recipe for recipe in RECIPES if arguments.only is None or any(words in recipe.name for words in arguments.only)
    ]
    with TemporaryDirectory() as folder:
        corpus = prepare_corpus(Path(folder), arguments.packages)
        outcomes = {
            recipe.name: [
                run_training(
                    corpus, recipe.name, recipe.method, recipe.changes, arguments.tokens, seed, arguments.device
                )
                for seed in range(1, arguments.seeds + 1)
            ]
            for recipe in recipes
        }
        report = _report(recipes, outcomes, corpus.shards.metadata, arguments.device)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2), encoding="utf-8")
    _print(report, arguments.output)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=1_000_000, help="that each model reads (default 1,000,000)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each recipe (default 1)")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="recipes whose name contains one of these")
    parser.add_argument("--packages", nargs="+", metavar="NAME", help="whose documentation to read (default: all)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--output", type=Path, default=Path("convergence_benchmark.json"), help="the JSON file")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


def _report(
    recipes: list[Recipe], outcomes: dict[str, list[Outcome]], corpus: dict[str, Any], device: str
) -> dict[str, Any]:
    kept = ("source", "source_fingerprint", "fingerprint", "vocabulary_size", "sequence_length", "unigram_entropy")
    return {
        "machine": describe(chosen_device(device), torch.get_num_threads()),
        "corpus": {name: corpus[name] for name in kept},
        "recipes": [
            {
                "name": recipe.name,
                "method": recipe.method,
                "changes": recipe.changes,
                **_means(outcomes[recipe.name]),
                "runs": [asdict(outcome) for outcome in outcomes[recipe.name]],
            }
            for recipe in recipes
        ],
    }


def _means(runs: list[Outcome]) -> dict[str, Any]:
    """Means over the seeds."""
    return {
        "tokens": runs[0].tokens,
        "tokens_per_second": mean(run.tokens_per_second for run in runs),
        "heldout_loss": {role: mean(run.heldout_loss[role] for run in runs) for role in ROLES},
        "heldout_accuracy": {role: mean(run.heldout_accuracy[role] for run in runs) for role in ROLES},
    }


def _print(report: dict[str, Any], output: Path) -> None:
    corpus, recipes = report["corpus"], report["recipes"]
    table = Table(
        title=f"After {recipes[0]['tokens']:,} tokens of the {corpus['source']}, seeds: {len(recipes[0]['runs'])}",
        title_justify="left",
        caption=f"Loss: held-out masked-LM loss in nats, to be compared with the unigram entropy, "
        f"{corpus['unigram_entropy']:.3f}.\nAll figures: {output}",
        caption_justify="left",
    )
    table.add_column("recipe", no_wrap=True)
    table.add_column("method", no_wrap=True)
    columns = ("teacher loss", "student loss", "teacher accuracy", "student accuracy", "tokens/s")
    for name in columns:
        table.add_column(name, justify="right")
    for recipe in recipes:
        loss, accuracy = recipe["heldout_loss"], recipe["heldout_accuracy"]
        table.add_row(
            recipe["name"],
            recipe["method"],
            *(f"{loss[role]:.3f}" for role in ROLES),
            *(f"{accuracy[role]:.3f}" for role in ROLES),
            f"{recipe['tokens_per_second']:,.0f}",
        )
    table.add_section()
    table.add_row("unigram entropy", "", *[f"{corpus['unigram_entropy']:.3f}"] * len(ROLES))
    console = Console(highlight=False)
    Console(highlight=False, width=max(NARROWEST, console.width)).print(table)


if __name__ == "__main__":
    main()
