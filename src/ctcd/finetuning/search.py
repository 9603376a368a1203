"""A small grid of settings, decided on a part of the training data: the reported splits have no say in it."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.finetuning.encoding import TokenizedTask
from ctcd.finetuning.finetune import TaskSettings
from ctcd.finetuning.jobs import Failed, Finished, Job
from ctcd.finetuning.settings import SearchParameters
from ctcd.lineage.digest import digest
from ctcd.tasks.metrics import score

logger = logging.getLogger(__name__)

SELECTION = "selection"
COLUMNS = ["task", "learning_rate", "epochs", "batch_size", "value", "is_chosen"]

RunJobs = Callable[[Sequence[Job]], Iterable[tuple[Job, Finished | Failed]]]


def search_settings(
    jobs: Sequence[Job], search: SearchParameters, run: RunJobs
) -> tuple[dict[str, TaskSettings], pd.DataFrame]:
    """Choose the settings of each task from a grid.

    Every candidate learns from a part of the training examples and is scored on the rest. Candidates that diverge are
    out; of equally good ones the first is taken.

    Args:
        jobs: one per task, with its usual settings and a seed.
        search: the grid; a dimension without values keeps the usual one.
        run: runs jobs.

    Returns:
        The settings by task, and a table of all candidates: task, learning_rate, epochs, batch_size, value (mean of the
        task's metrics on the examples left out; NaN if the training failed), is_chosen. It has no rows for a task with
        one candidate.
    """
    candidates = [replace(job, training=training) for job in jobs for training in _grid(job.training, search)]
    counts = pd.Series([job.tokenized.task.name for job in candidates]).value_counts()
    divided = {job.tokenized.task.name: divide_training(job.tokenized, search.share) for job in jobs}
    trials = [
        replace(job, tokenized=divided[job.tokenized.task.name], predicted=(SELECTION,))
        for job in candidates
        if counts[job.tokenized.task.name] > 1
    ]
    values = {(job.tokenized.task.name, job.training): _value(job, outcome) for job, outcome in run(trials)}
    chosen = {job.tokenized.task.name: job.training for job in jobs}
    rows = []
    for task in dict.fromkeys(job.tokenized.task.name for job in trials):
        of_task = {training: value for (name, training), value in _ordered(values, trials) if name == task}
        chosen[task] = max(of_task, key=lambda training: np.nan_to_num(of_task[training], nan=-np.inf))
        rows += [_row(task, training, value, chosen[task]) for training, value in of_task.items()]
        _log(task, chosen[task], of_task)
    return chosen, pd.DataFrame(rows, columns=COLUMNS)


def divide_training(tokenized: TokenizedTask, share: float) -> TokenizedTask:
    """Leave a share of the training examples, drawn by the task's name, out as the split `selection`."""
    train = tokenized.splits["train"]
    order = np.random.default_rng(seed_from("selection", tokenized.task.name)).permutation(len(train))
    left_out = max(1, round(share * len(train)))
    splits = {"train": train.take(np.sort(order[left_out:])), SELECTION: train.take(np.sort(order[:left_out]))}
    task = replace(tokenized.task, validation_splits=(SELECTION,))
    return replace(tokenized, task=task, splits=splits, fingerprint=digest(tokenized.fingerprint, SELECTION, share))


def _grid(usual: TaskSettings, search: SearchParameters) -> Iterator[TaskSettings]:
    for rate, epochs, size in product(
        search.learning_rates or [usual.learning_rate],
        search.epochs or [usual.epochs],
        search.batch_sizes or [usual.batch_size],
    ):
        yield replace(usual, learning_rate=rate, epochs=epochs, batch_size=size)


def _ordered(
    values: Mapping[tuple[str, TaskSettings], float], trials: Sequence[Job]
) -> Iterator[tuple[tuple[str, TaskSettings], float]]:
    """Values in the grid's order, whichever candidate was finished first."""
    for job in trials:
        key = (job.tokenized.task.name, job.training)
        yield key, values[key]


def _value(job: Job, outcome: Finished | Failed) -> float:
    if isinstance(outcome, Failed):
        return float("nan")
    labels = job.tokenized.splits[SELECTION].labels
    return float(np.mean(list(score(job.tokenized.task, labels, outcome[SELECTION].values).values())))


def _row(task: str, training: TaskSettings, value: float, chosen: TaskSettings) -> dict[str, object]:
    row = {"task": task, **asdict(training), "value": value, "is_chosen": training == chosen}
    return {name: row[name] for name in COLUMNS}


def _log(task: str, chosen: TaskSettings, values: Mapping[TaskSettings, float]) -> None:
    logger.info(
        "%s: learning rate %.2g, %d epochs, batch size %d chosen of %d (%.3f on training data left out)",
        task, chosen.learning_rate, chosen.epochs, chosen.batch_size, len(values), values[chosen],
    )  # fmt: skip
