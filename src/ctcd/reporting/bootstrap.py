"""Paired bootstrap of two models over examples and seeds: what another draw of both would give."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.reporting.statistics import MEAN_OVER_TASKS
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
    pairs: Iterable[tuple[str, str]],
    confidence: float,
) -> pd.DataFrame:
    """Resample examples and seeds, both models alike, and compute the differences of their scores.

    A task's score is the mean of its metrics, splits and drawn seeds, in points. The mean over tasks is over those that
    both models have.

    Args:
        predictions: model -> task, split, seed, example, label, prediction.
        metrics: task -> names.
        pairs: (model, reference).
        confidence: of the intervals.

    Returns:
        One row per pair and task, the mean over tasks last: task, model, reference, difference (as observed), low and
        high (percentiles of the resampled differences), better (share of resamples in which the model is ahead, half of
        the ties included), seeds, examples, confidence.
    """
    pairs = list(pairs)
    models = dict.fromkeys(model for pair in pairs for model in pair)
    scores = {model: _resampled_scores(predictions[model], metrics) for model in models}
    rows = []
    for model, reference in pairs:
        names, columns = (model, reference), []
        for task in metrics:
            if task in scores[model] and task in scores[reference]:
                columns.append(_TaskDifferences.of(task, scores[model][task], scores[reference][task]))
                rows.append((task, *names, *columns[-1].summary(confidence)))
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
    """A model's scores on a task: seed -> (1 + resamples,) the observed one first."""

    by_seed: Mapping[int, Numbers]
    examples: int


@dataclass(frozen=True)
class _TaskDifferences:
    """Differences of two models in points: (1 + resamples,) the observed one first."""

    values: Numbers
    seeds: int
    examples: int

    @classmethod
    def of(cls, task: str, model: _TaskScores, reference: _TaskScores) -> "_TaskDifferences":
        """Draw from the seeds that both have."""
        seeds = sorted(set(model.by_seed) & set(reference.by_seed))
        by_seed = np.stack([model.by_seed[seed] - reference.by_seed[seed] for seed in seeds], axis=1)
        even = np.full(len(seeds), 1 / len(seeds))
        drawn = np.random.default_rng(seed_from("seeds", task)).multinomial(len(seeds), even, RESAMPLES) / len(seeds)
        return cls(100 * (by_seed * np.vstack([even, drawn])).sum(1), len(seeds), model.examples)

    def summary(self, confidence: float) -> tuple[float | int, ...]:
        """The columns from `difference` on."""
        observed, *_ = self.values
        drawn = self.values[1:]
        tail = 50 * (1 - confidence)
        low, high = np.percentile(drawn, [tail, 100 - tail])
        better = np.mean(drawn > 0) + np.mean(drawn == 0) / 2
        return float(observed), float(low), float(high), float(better), self.seeds, self.examples, confidence


def _resampled_scores(predictions: pd.DataFrame, metrics: Mapping[str, Sequence[str]]) -> dict[str, _TaskScores]:
    """Score all resamples of every task; the same draws for every model."""
    result = {}
    for task, rows in predictions.groupby("task", sort=False):
        by_split: dict[int, list[Numbers]] = {}
        examples = 0
        for split, of_split in rows.groupby("split", sort=False):
            ordered = of_split.sort_values(["seed", "example"])
            tables = {int(str(seed)): table for seed, table in ordered.groupby("seed")}
            examples += len(ordered) // len(tables)
            for seed, values in _split_scores(f"{task}/{split}", metrics[str(task)], tables).items():
                by_split.setdefault(seed, []).append(values)
        result[str(task)] = _TaskScores({seed: np.mean(each, axis=0) for seed, each in by_split.items()}, examples)
    return result


def _split_scores(name: str, metrics: Sequence[str], tables: Mapping[int, pd.DataFrame]) -> dict[int, Numbers]:
    """Seed -> (1 + resamples,) mean metric on one split."""
    sides = {
        seed: (table["label"].to_numpy(float), table["prediction"].to_numpy(float)) for seed, table in tables.items()
    }
    blocks: dict[int, list[Numbers]] = {seed: [] for seed in tables}
    examples = len(next(iter(tables.values())))
    for counts in _draws(np.random.default_rng(seed_from("examples", name)), examples):
        for seed, (labels, predictions) in sides.items():
            values = [resampled(metric, labels, predictions, counts) for metric in metrics]
            blocks[seed].append(np.mean(values, axis=0))
    return {seed: np.concatenate(each) for seed, each in blocks.items()}


def _draws(random: np.random.Generator, examples: int) -> Iterator[Numbers]:
    """Counts in blocks: every example once, and then the resamples."""
    yield np.ones((1, examples))
    size = max(1, LARGEST_BLOCK // examples)
    for start in range(0, RESAMPLES, size):
        drawn = random.integers(0, examples, (min(size, RESAMPLES - start), examples))
        yield np.stack([np.bincount(row, minlength=examples) for row in drawn]).astype(float)
