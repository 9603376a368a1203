"""From a model folder to its scores on a suite: the entry for pipelines."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import AutoConfig, AutoTokenizer

from ctcd.errors import InputError
from ctcd.evaluation.finetuning import Predictions
from ctcd.evaluation.jobs import Job, run_jobs
from ctcd.evaluation.metrics import main_values, majority_class_scores, score
from ctcd.evaluation.suite import LABEL, Suite
from ctcd.evaluation.tasks import Task
from ctcd.evaluation.tokenization import check_fit, tokenize_task, uses_token_types
from ctcd.parameters import ExecutionParameters, FinetuningParameters

logger = logging.getLogger(__name__)

Frames = dict[str, dict[str, pd.DataFrame]]


def score_model(
    folder: Path,
    suite: Suite,
    tasks: Sequence[Task],
    settings: FinetuningParameters,
    execution: ExecutionParameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fine-tune a model on every task with every seed and score its predictions.

    Everything that can be wrong with the tasks' files is checked before the first fine-tuning.

    Args:
        folder: Hugging Face model folder with its tokenizer.
        suite: where the tasks lie.
        tasks: which ones.
        settings: seeds, epochs and so on.
        execution: device, precision, workers.

    Returns:
        scores: columns task, split, seed, metric, value, examples.
        predictions: columns task, split, seed, example, label, prediction (both a class or a number, float64) and
            confidence (probability of the predicted class; NaN for regression).

    Raises:
        InputError: for what the user can put right.
    """
    frames = read_tasks(suite, tasks)
    jobs = _jobs(folder, frames, tasks, settings, execution)
    results: dict[str, dict[int, dict[str, Predictions]]] = {task.name: {} for task in tasks}
    scores: dict[str, pd.DataFrame] = {}
    for job, predictions in run_jobs(jobs, execution.workers):
        task = job.tokenized.task
        results[task.name][job.seed] = predictions
        if len(results[task.name]) == settings.seeds:
            scores[task.name] = _scores(task, frames[task.name], results[task.name])
            _log(task, scores[task.name])
    return (
        pd.concat([scores[task.name] for task in tasks], ignore_index=True),
        pd.concat([_predictions(task, frames[task.name], results[task.name]) for task in tasks], ignore_index=True),
    )


def score_majority_class(suite: Suite, tasks: Sequence[Task]) -> pd.DataFrame:
    """Score the most frequent training class: a table like `score_model`'s scores, with seed 0."""
    rows = []
    frames = read_tasks(suite, tasks)
    for task in tasks:
        train_labels = frames[task.name]["train"][LABEL].to_numpy()
        for split in task.validation_splits:
            labels = frames[task.name][split][LABEL].to_numpy()
            values = majority_class_scores(task, train_labels, labels)
            rows.extend(_rows(task, split, 0, values, len(labels)))
    return pd.DataFrame(rows)


def read_tasks(suite: Suite, tasks: Sequence[Task]) -> Frames:
    """All splits of all tasks, checked: task -> split -> table.

    Raises:
        InputError: if there is no task, or a file or label is wrong.
    """
    if not tasks:
        raise InputError("There is no task to score: name some in finetuning.tasks.")
    return {task.name: suite.read_all(task) for task in tasks}


def _jobs(
    folder: Path,
    frames: Frames,
    tasks: Sequence[Task],
    settings: FinetuningParameters,
    execution: ExecutionParameters,
) -> list[Job]:
    if not (folder / "config.json").is_file():
        raise InputError(f"'{folder}' is no model folder: it has no config.json; run the pre-training first.")
    configuration, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    check_fit(configuration, tokenizer, settings.maximum_length)
    tokenized = [
        tokenize_task(task, frames[task.name], tokenizer, settings.maximum_length, uses_token_types(configuration))
        for task in tasks
    ]
    return [Job(folder, task, settings, seed, execution) for task in tokenized for seed in range(settings.seeds)]


def _scores(task: Task, frames: dict[str, pd.DataFrame], results: dict[int, dict[str, Predictions]]) -> pd.DataFrame:
    rows = []
    for seed in sorted(results):
        for split in task.validation_splits:
            labels = frames[split][LABEL].to_numpy()
            rows.extend(_rows(task, split, seed, score(task, labels, results[seed][split].values), len(labels)))
    return pd.DataFrame(rows)


def _rows(task: Task, split: str, seed: int, values: dict[str, float], examples: int) -> list[dict[str, object]]:
    return [
        {"task": task.name, "split": split, "seed": seed, "metric": metric, "value": value, "examples": examples}
        for metric, value in values.items()
    ]


def _predictions(
    task: Task, frames: dict[str, pd.DataFrame], results: dict[int, dict[str, Predictions]]
) -> pd.DataFrame:
    tables = []
    for seed in sorted(results):
        for split in task.validation_splits:
            predictions, labels = results[seed][split], frames[split][LABEL]
            tables.append(
                pd.DataFrame(
                    {
                        "task": task.name,
                        "split": split,
                        "seed": seed,
                        "example": np.arange(len(labels)),
                        "label": labels.astype(float),
                        "prediction": predictions.values.astype(float),
                        "confidence": np.nan if predictions.confidences is None else predictions.confidences,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def _log(task: Task, scores: pd.DataFrame) -> None:
    values = main_values(scores)["value"]
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    logger.info("%s: %s %.3f%s over %s", task.name, "/".join(task.metrics), values.mean(), spread, seeds)
