"""What a pair has learned after a fixed number of tokens, by recipe.

    python benchmarks/convergence.py
    python benchmarks/convergence.py --env budget --width 64 --documents <Parquet files>    # its recipe on a CPU
    python benchmarks/convergence.py --env budget --shards <folder> --tokenizer <folder> --minutes 1    # on a GPU

Tokens per second mean nothing without this. Every recipe is an environment's configuration with the named differences,
reads the same text (the installed packages' documentation, if nothing else is named) in the same order for the same
number of tokens or minutes, and is judged on the same held-out text. The loss is compared with the unigram entropy: a
model that reaches no less knows frequencies and nothing else. Longer sequences are easier to predict, so where recipes
differ in length all are judged on the shortest sequences, too; their batches have the same number of tokens.

The tables give means over the seeds; the JSON file has every run.
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
from configuration import BASE
from machine import chosen_device, describe
from rich.console import Console
from rich.table import Table
from training_run import HEAD_WIDTH, Corpus, Outcome, Scale, open_corpus, prepare_corpus, run_training

NARROWEST = 110  # columns
ROLES = ("teacher", "student")
DEFAULT_TOKENS = 1_000_000


@dataclass(frozen=True)
class Recipe:
    """A method, and where its settings differ from base's."""

    name: str
    method: str = "ctcd"
    changes: dict[str, Any] = field(default_factory=dict)
    batch_factor: int | float = 1
    length_factor: int | float = 1


def _adamw(learning_rate: float) -> dict[str, Any]:
    return {"optimiser": {"name": "adamw", "learning_rate": learning_rate}}


def _muon(matrix_learning_rate: float) -> dict[str, Any]:
    return {"optimiser": {"name": "muon", "matrix_learning_rate": matrix_learning_rate}}


def _both(architecture: str, **shape: int) -> dict[str, Any]:
    """Both models of another architecture."""
    model = {"architecture": architecture, "options": {}, **shape}
    return {"teacher": model, "student": model}


# By environment; the first is its own.
RECIPES = {
    BASE: (
        Recipe("base"),
        Recipe("base, standalone", method="standalone"),
        Recipe("AdamW 1e-3", changes=_adamw(1e-3)),
        Recipe("AdamW 3e-3", changes=_adamw(3e-3)),
        Recipe("AdamW 1e-2", changes=_adamw(1e-2)),
        # 192 makes up for the gate that base's feed-forward part has
        Recipe("post-norm BERT", changes=_both("bert", feed_forward=192)),
        Recipe("post-norm BERT, AdamW 1e-3", changes=_both("bert", feed_forward=192) | _adamw(1e-3)),
        Recipe("pre-norm BERT", changes=_both("megatron-bert", feed_forward=192)),
    ),
    "budget": (
        Recipe("budget"),
        Recipe("budget, standalone", method="standalone"),
        Recipe("Muon 0.008", changes=_muon(0.008)),
        Recipe("Muon 0.03", changes=_muon(0.03)),
        Recipe("Muon 0.06", changes=_muon(0.06)),
        Recipe("AdamW 5e-4", changes=_adamw(5e-4)),
        Recipe("AdamW 1e-3", changes=_adamw(1e-3)),
        Recipe("AdamW 3e-3", changes=_adamw(3e-3)),
        Recipe("pre-norm BERT", changes=_both("megatron-bert")),
        Recipe("ModernBERT", changes=_both("modernbert")),
        Recipe("half the batch", batch_factor=0.5),
        Recipe("twice the batch", batch_factor=2),
        Recipe("half the length", batch_factor=2, length_factor=0.5),
        Recipe("twice the length", batch_factor=0.5, length_factor=2),
        Recipe("warm-up 1 %", changes={"warmup_share": 0.01}),
        Recipe("warm-up 15 %", changes={"warmup_share": 0.15}),
        Recipe("mask 15 %", changes={"masking_share": 0.15}),
        Recipe("soft weights from 0", changes={"soft_weights": {"warmup_share": 0.3}}),
        Recipe("soft weights to a quarter", changes={"soft_weights": {"final_factor": 0.25}}),
    ),
}


def main() -> None:
    """Train by every recipe, print, write."""
    parser = _parser()
    arguments = parser.parse_args()
    if (arguments.shards is None) != (arguments.tokenizer is None):
        parser.error("--shards and --tokenizer belong together")
    if arguments.tokens is not None and arguments.minutes is not None:
        parser.error("give --tokens or --minutes, not both")
    if arguments.width is not None and arguments.width % HEAD_WIDTH:
        parser.error(f"--width: a multiple of {HEAD_WIDTH}")
    logging.basicConfig(level=logging.WARNING if arguments.quiet else logging.INFO, format="%(asctime)s  %(message)s")
    recipes = [
        recipe
        for recipe in RECIPES[arguments.env]
        if arguments.only is None or any(words in recipe.name for words in arguments.only)
        if arguments.shards is None or recipe.length_factor == 1  # a prepared corpus has one length
    ]
    tokens = DEFAULT_TOKENS if arguments.tokens is None and arguments.minutes is None else arguments.tokens
    scale = Scale(arguments.env, arguments.width, arguments.batch_size, tokens, arguments.minutes, arguments.device)
    if not recipes:
        parser.error(f"--only: no recipe of {arguments.env} is called so")
    outcomes: dict[str, list[Outcome]] = {}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        lengths = sorted({recipe.length_factor for recipe in recipes})
        corpora = {factor: _corpus(arguments, Path(folder) / str(factor), factor) for factor in lengths}
        shortest = corpora[lengths[0]]
        for number, recipe in enumerate(recipes, start=1):
            corpus, seeds = corpora[recipe.length_factor], range(1, arguments.seeds + 1)
            outcomes[recipe.name] = [_run(recipe, corpus, shortest, scale, seed) for seed in seeds]
            # After every recipe: a table that is cut short is a table.
            report = _report(recipes[:number], outcomes, shortest.shards.metadata, scale)
            arguments.output.write_text(json.dumps(report, indent=2), encoding="utf-8")
    _print(report, arguments.output)


def _corpus(arguments: argparse.Namespace, folder: Path, length_factor: float) -> Corpus:
    if arguments.shards is not None:
        return open_corpus(arguments.shards, arguments.tokenizer)
    folder.mkdir()
    return prepare_corpus(folder, arguments.documents, arguments.packages, length_factor)


def _run(recipe: Recipe, corpus: Corpus, shortest: Corpus, scale: Scale, seed: int) -> Outcome:
    scale = scale.with_batch(recipe.batch_factor)
    return run_training(corpus, shortest, recipe.name, recipe.method, recipe.changes, scale, seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", choices=RECIPES, default=BASE, help="whose configuration and recipes (default base)")
    parser.add_argument("--width", type=int, help="of both models (default: the configuration's)")
    parser.add_argument("--batch-size", type=int, help="in sequences (default: the configuration's)")
    parser.add_argument("--tokens", type=int, help=f"that each model reads (default {DEFAULT_TOKENS:,})")
    parser.add_argument("--minutes", type=float, help="of each training, instead of a number of tokens")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each recipe (default 1)")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="recipes whose name contains one of these")
    parser.add_argument("--packages", nargs="+", metavar="NAME", help="whose documentation to read (default: all)")
    parser.add_argument("--documents", nargs="+", metavar="SOURCE", help="files or folders to read instead")
    parser.add_argument("--shards", type=Path, help="folder of a prepared corpus to read instead")
    parser.add_argument("--tokenizer", type=Path, help="folder of the tokenizer that made the shards")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--output", type=Path, default=Path("convergence_benchmark.json"), help="the JSON file")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def _report(
    recipes: list[Recipe], outcomes: dict[str, list[Outcome]], corpus: dict[str, Any], scale: Scale
) -> dict[str, Any]:
    kept = ("source", "source_fingerprint", "fingerprint", "vocabulary_size", "sequence_length", "unigram_entropy")
    return {
        "machine": describe(chosen_device(scale.device), torch.get_num_threads()),
        "corpus": {name: corpus[name] for name in kept},
        "scale": asdict(scale),
        "recipes": [
            {
                "name": recipe.name,
                "method": recipe.method,
                "changes": recipe.changes,
                "batch_factor": recipe.batch_factor,
                "length_factor": recipe.length_factor,
                **_means(outcomes[recipe.name]),
                "runs": [asdict(outcome) for outcome in outcomes[recipe.name]],
            }
            for recipe in recipes
        ],
    }


def _means(runs: list[Outcome]) -> dict[str, Any]:
    """Means over the seeds."""
    return {
        "tokens": mean(run.tokens for run in runs),
        "tokens_per_second": mean(run.tokens_per_second for run in runs),
        "heldout_loss": {role: mean(run.heldout_loss[role] for run in runs) for role in ROLES},
        "heldout_accuracy": {role: mean(run.heldout_accuracy[role] for run in runs) for role in ROLES},
        "loss_at_shortest": {role: mean(run.loss_at_shortest[role] for run in runs) for role in ROLES},
        "curve": {
            role: {
                tenth: mean(run.curve[role][tenth] for run in runs)
                for tenth in runs[0].curve[role]
                if all(tenth in run.curve[role] for run in runs)
            }
            for role in ROLES
        },
    }


def _print(report: dict[str, Any], output: Path) -> None:
    console = Console(highlight=False)
    wide = Console(highlight=False, width=max(NARROWEST, console.width))
    wide.print(_results(report))
    wide.print(_curves(report, output))


def _results(report: dict[str, Any]) -> Table:
    corpus, recipes = report["corpus"], report["recipes"]
    table = Table(
        title=f"{corpus['source']}, seeds: {len(recipes[0]['runs'])}",
        title_justify="left",
        caption=f"Loss: held-out masked-LM loss in nats, to be compared with the unigram entropy, "
        f"{corpus['unigram_entropy']:.3f}; at a number of tokens: on sequences of that length for every recipe.",
        caption_justify="left",
    )
    table.add_column("recipe", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for name in ("teacher loss", "student loss", "teacher accuracy", "student accuracy", "tokens", "tokens/s"):
        table.add_column(name, justify="right")
    has_lengths = len({recipe["length_factor"] for recipe in recipes}) > 1
    if has_lengths:
        for role in ROLES:
            table.add_column(f"{role} at {corpus['sequence_length']}", justify="right")
    for recipe in recipes:
        loss, accuracy = recipe["heldout_loss"], recipe["heldout_accuracy"]
        table.add_row(
            recipe["name"],
            recipe["method"],
            *(f"{loss[role]:.3f}" for role in ROLES),
            *(f"{accuracy[role]:.3f}" for role in ROLES),
            f"{recipe['tokens'] / 1e6:.2f} M",
            f"{recipe['tokens_per_second']:,.0f}",
            *(f"{recipe['loss_at_shortest'][role]:.3f}" for role in ROLES if has_lengths),
        )
    table.add_section()
    table.add_row("unigram entropy", "", *[f"{corpus['unigram_entropy']:.3f}"] * len(ROLES))
    return table


def _curves(report: dict[str, Any], output: Path) -> Table:
    """The way there, in tenths of the tokens."""
    table = Table(
        title="Teacher's held-out loss on the way, by share of the tokens",
        title_justify="left",
        caption=f"All figures: {output}",
        caption_justify="left",
    )
    table.add_column("recipe", no_wrap=True)
    tenths = range(1, 11)
    for tenth in tenths:
        table.add_column(f"{tenth / 10:.0%}", justify="right")
    for recipe in report["recipes"]:
        curve = recipe["curve"][ROLES[0]]
        table.add_row(recipe["name"], *(f"{curve[tenth]:.2f}" if tenth in curve else "" for tenth in tenths))
    return table


if __name__ == "__main__":
    main()
