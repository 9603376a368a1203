"""Paired bootstrap of two models over seeds and examples: what another draw of both would give."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.errors import InputError
from ctcd.reporting.statistics import MEAN_OVER_TASKS, Pair, Unit
from ctcd.tasks.metrics import resampled
from ctcd.tasks.resampled_metrics import Numbers

RESAMPLES = 1000
# Resamples times examples that are held at once.
LARGEST_BLOCK = 4_000_000
COLUMNS = ["task", "model", "reference", "difference", "low", "high", "better", "seeds", "examples", "confidence"]

Predictions = Mapping[str, pd.DataFrame]


def bootstrap_differences(
    predictions: Predictions,
    metrics: Mapping[str, Sequence[str]],
    pairs: Iterable[Pair],
    confidence: float,
    unit: Unit,
) -> pd.DataFrame:
    """Resample seeds and examples, both models alike, and compute the differences of their scores.

    A task's score is the mean of its metrics, splits, fine-tuning seeds and drawn seeds, in points. The mean over tasks
    is over those that both models have; all tasks share the drawn seeds.

    Args:
        predictions: model -> task, split, pretraining_seed (where that is the unit), seed, example, label, prediction.
        metrics: task -> names.
        pairs: (model, reference).
        confidence: of the intervals.
        unit: what the drawn seeds are of.

    Returns:
        One row per pair and task, the mean over tasks last: task, model, reference, difference (as observed), low and
        high (percentiles of the resampled differences), better (share of resamples in which the model is ahead, half of
        the ties included), seeds, examples, confidence. Two models without a common seed on a task have no row there.

    Raises:
        InputError: if two models predicted different examples of a task.
    """
    pairs = [pair for pair in dict.fromkeys(pairs) if set(pair) <= predictions.keys()]
    models = dict.fromkeys(model for pair in pairs for model in pair)
    scores = {model: _resampled_scores(predictions[model], metrics, unit) for model in models}
    rows = []
    for model, reference in pairs:
        names, columns = (model, reference), []
        for task in metrics:
            ours, theirs = scores[model].get(task), scores[reference].get(task)
            if ours is None or theirs is None:
                continue
            if ours.identity != theirs.identity:
                raise InputError(
                    f"'{model}' and '{reference}' predicted different examples of the task '{task}': fine-tune both "
                    "again with the same data."
                )
            found = _TaskDifferences.of(ours, theirs)
            if found is not None:
                columns.append(found)
                rows.append((task, *names, *found.summary(confidence)))
        if len(columns) > 1:
            mean = _TaskDifferences(
                np.mean([column.values for column in columns], axis=0),
                min(column.seeds for column in columns),
                sum(column.examples for column in columns),
            )
            rows.append((MEAN_OVER_TASKS, *names, *mean.summary(confidence)))
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class _TaskScores:
    """A model's scores on a task.

    Attributes:
        by_seed: seed -> (1 + resamples,) the observed one first.
        examples: in all splits.
        identity: the examples and their labels, by split.
    """

    by_seed: Mapping[int, Numbers]
    examples: int
    identity: Mapping[str, bytes]


@dataclass(frozen=True)
class _TaskDifferences:
    """Differences of two models in points: (1 + resamples,) the observed one first."""

    values: Numbers
    seeds: int
    examples: int

    @classmethod
    def of(cls, model: _TaskScores, reference: _TaskScores) -> "_TaskDifferences | None":
        """Draw from the seeds that both have; None if there is none."""
        seeds = sorted(set(model.by_seed) & set(reference.by_seed))
        if not seeds:
            return None
        by_seed = np.stack([model.by_seed[seed] - reference.by_seed[seed] for seed in seeds], axis=1)
        even = np.full(len(seeds), 1 / len(seeds))
        # A seed is drawn for all tasks at once: it is one pre-training.
        drawn = np.random.default_rng(seed_from("seeds")).multinomial(len(seeds), even, RESAMPLES) / len(seeds)
        return cls(100 * (by_seed * np.vstack([even, drawn])).sum(1), len(seeds), model.examples)

    def summary(self, confidence: float) -> tuple[float | int, ...]:
        """The columns from `difference` on."""
        observed, *_ = self.values
        drawn = self.values[1:]
        tail = 50 * (1 - confidence)
        low, high = np.percentile(drawn, [tail, 100 - tail])
        better = np.mean(drawn > 0) + np.mean(drawn == 0) / 2
        return float(observed), float(low), float(high), float(better), self.seeds, self.examples, confidence


def _resampled_scores(
    predictions: pd.DataFrame, metrics: Mapping[str, Sequence[str]], unit: Unit
) -> dict[str, _TaskScores]:
    """Score all resamples of every task; the same draws for every model."""
    result = {}
    for task, rows in predictions.groupby("task", sort=False):
        by_split: dict[int, list[Numbers]] = {}
        examples, identity = 0, {}
        for split, of_split in rows.groupby("split", sort=False):
            trainings = dict.fromkeys([unit, "seed"])
            ordered = of_split.sort_values([*trainings, "example"])
            tables = [(int(table[unit].iloc[0]), table) for _, table in ordered.groupby(list(trainings))]
            identity[str(split)] = _identity(str(task), [table for _, table in tables])
            examples += len(tables[0][1])
            for seed, values in _split_scores(f"{task}/{split}", metrics[str(task)], tables).items():
                by_split.setdefault(seed, []).append(values)
        by_seed = {seed: np.mean(each, axis=0) for seed, each in by_split.items()}
        result[str(task)] = _TaskScores(by_seed, examples, identity)
    return result


def _identity(task: str, tables: Sequence[pd.DataFrame]) -> bytes:
    """The examples and labels that all fine-tunings of a model predicted."""
    identities = {table[["example", "label"]].to_numpy(float).tobytes() for table in tables}
    if len(identities) > 1:
        raise InputError(f"Two fine-tunings of one model predicted different examples of '{task}': run both again.")
    return identities.pop()


def _split_scores(name: str, metrics: Sequence[str], tables: Sequence[tuple[int, pd.DataFrame]]) -> dict[int, Numbers]:
    """Seed -> (1 + resamples,) mean metric on one split, over the fine-tunings of that seed."""
    sides = [(seed, table["label"].to_numpy(float), table["prediction"].to_numpy(float)) for seed, table in tables]
    blocks: list[list[Numbers]] = [[] for _ in tables]
    for counts in _draws(np.random.default_rng(seed_from("examples", name)), len(tables[0][1])):
        for block, (_, labels, predictions) in zip(blocks, sides, strict=True):
            values = [resampled(metric, labels, predictions, counts) for metric in metrics]
            block.append(np.mean(values, axis=0))
    by_seed: dict[int, list[Numbers]] = {}
    for (seed, _, _), block in zip(sides, blocks, strict=True):
        by_seed.setdefault(seed, []).append(np.concatenate(block))
    return {seed: np.mean(each, axis=0) for seed, each in by_seed.items()}


def _draws(random: np.random.Generator, examples: int) -> Iterator[Numbers]:
    """Counts in blocks: every example once, and then the resamples."""
    yield np.ones((1, examples))
    size = max(1, LARGEST_BLOCK // examples)
    for start in range(0, RESAMPLES, size):
        drawn = random.integers(0, examples, (min(size, RESAMPLES - start), examples))
        yield np.stack([np.bincount(row, minlength=examples) for row in drawn]).astype(float)
