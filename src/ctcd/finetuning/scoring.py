"""From a model to its scores on a suite: the entry for pipelines."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.finetuning.augmentation import augment_training
from ctcd.finetuning.encoding import TextEncoding, tokenize_task
from ctcd.finetuning.finetune import Predictions, TaskSettings
from ctcd.finetuning.jobs import Failed, Finished, Job
from ctcd.finetuning.kept_results import run_durably
from ctcd.finetuning.result_rows import (
    FAILURE_COLUMNS,
    FURTHER_COLUMNS,
    PREDICTION_COLUMNS,
    SCORE_COLUMNS,
    TEST_COLUMNS,
    further_rows,
    main_values,
    prediction_rows,
    score_rows,
    test_rows,
)
from ctcd.finetuning.search import search_settings
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.lineage.array_store import ArrayStore
from ctcd.modeling.model_folder import ModelFolder
from ctcd.tasks.perturbations import with_perturbations
from ctcd.tasks.settings import LABEL
from ctcd.tasks.suite import Suite, TaskData, joined
from ctcd.tasks.tasks import Task

logger = logging.getLogger(__name__)

ALL_SEEDS = -1
Failure = tuple[str, int, str]  # task, seed, reason
Results = dict[str, dict[int, Finished]]


@dataclass(frozen=True)
class Stores:
    """What outlives a run.

    Attributes:
        tokens: tokenized tasks.
        results: predictions of finished fine-tunings.
    """

    tokens: ArrayStore
    results: ArrayStore


@dataclass(frozen=True)
class ModelScores:
    """What fine-tuning a model on a suite gives, as long tables.

    Attributes:
        scores: task, split, seed, metric, value, examples, is_partial (whether the task's data are only a part).
        predictions: task, split, seed, example, label, prediction (both as in the task's files, or numbered in
            alphabetical order where they are text there), confidence (probability of the predicted class; NaN for
            regression), brier_score (squared error of all probabilities; NaN for regression).
        further_predictions: the same for further splits with labels, after the task the name of the test set.
        test_predictions: the same for splits with hidden labels, by the models of the first seed, without label.
        search: as `search_settings` makes it.
        classifiers: folders of the fine-tuned models that are kept, of the first seed, by task.
        failures: task, seed (-1: all), reason. Their tasks or seeds are missing from the other tables.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    further_predictions: pd.DataFrame
    test_predictions: pd.DataFrame
    search: pd.DataFrame
    failures: pd.DataFrame
    classifiers: Mapping[str, Path]


def score_model(
    model: ModelFolder,
    suite: Suite,
    tasks: Sequence[Task],
    settings: FinetuningParameters,
    execution: ExecutionParameters,
    stores: Stores,
) -> ModelScores:
    """Fine-tune one model: see `score_models`."""
    return score_models([model], suite, tasks, settings, execution, stores)[0]


def score_models(
    models: Sequence[ModelFolder],
    suite: Suite,
    tasks: Sequence[Task],
    settings: FinetuningParameters,
    execution: ExecutionParameters,
    stores: Stores,
) -> list[ModelScores]:
    """Fine-tune every model on every task with every seed and score its predictions.

    The models and all tasks' files are checked before the first fine-tuning. A task that cannot be read or learned is
    reported, and the others go on.

    Raises:
        InputError: if a model cannot be used, or nothing at all of it can be scored.
    """
    data, unread = read_tasks(suite, tasks, settings.submission)
    data = {
        name: with_perturbations(with_fewer_examples(each, settings), settings.robustness.perturbations)
        for name, each in data.items()
    }
    run = partial(run_durably, results=stores.results, workers=execution.workers, reuse=execution.resume != "never")
    usual = {model: _usual_jobs(model, data, settings, execution, stores) for model in models}
    augmented = {
        model: [
            augment_training(job.tokenized, model, settings.augmentation, execution, stores.tokens) for job in of_model
        ]
        for model, of_model in usual.items()
    }
    searches, jobs = {}, []
    for model, of_model in usual.items():
        # Without copies, which would be on both sides.
        chosen, searches[model] = search_settings(of_model, settings.search, run)
        jobs += [
            _with_seed(
                replace(job, tokenized=tokenized, training=chosen[tokenized.task.name]), seed, data[tokenized.task.name]
            )
            for job, tokenized in zip(of_model, augmented[model], strict=True)
            for seed in range(settings.seeds)
        ]
    jobs = [replace(job, keeps_model=job.seed == 0 and job.tokenized.task.name in settings.keep_models) for job in jobs]
    results, failures, kept = _collect(run(jobs), models, data, settings.seeds)
    return [
        _tables(data, results[model], [*unread, *failures[model]], searches[model], kept[model]) for model in models
    ]


def with_fewer_examples(data: TaskData, settings: FinetuningParameters) -> TaskData:
    """Keep as many training examples as the settings of the task allow, drawn by the task's name alone."""
    own, train = settings.task_training.get(data.task.name), data.frames["train"]
    count = (own and own.training_examples) or len(train)
    if count >= len(train):
        return data
    drawn = np.random.default_rng(seed_from("training examples", data.task.name)).permutation(len(train))[:count]
    fewer = train.iloc[np.sort(drawn)].reset_index(drop=True)
    return replace(data, frames={**data.frames, "train": fewer}, is_partial=True)


def _tables(
    data: Mapping[str, TaskData],
    results: Results,
    failures: Sequence[Failure],
    search: pd.DataFrame,
    classifiers: Mapping[str, Path],
) -> ModelScores:
    if data and not any(results.values()):
        raise InputError(failures[0][2])
    return ModelScores(
        joined((score_rows(data[name], results[name]) for name in data), SCORE_COLUMNS),
        joined((prediction_rows(data[name], results[name]) for name in data), PREDICTION_COLUMNS),
        joined((further_rows(data[name], results[name]) for name in data), FURTHER_COLUMNS),
        joined((test_rows(data[name], results[name]) for name in data), TEST_COLUMNS),
        search,
        pd.DataFrame(failures, columns=FAILURE_COLUMNS),
        classifiers,
    )


def score_majority_class(suite: Suite, tasks: Sequence[Task]) -> pd.DataFrame:
    """Score the most frequent training class: a table like `score_model`'s scores, with seed 0.

    Raises:
        InputError: if no task can be read; one that cannot is left out if others can.
    """
    data, _ = read_tasks(suite, tasks)
    return joined((score_rows(each, {0: majority_class(each)}) for each in data.values()), SCORE_COLUMNS)


def majority_class(data: TaskData) -> dict[str, Predictions]:
    """Predict all validation splits by the most frequent training class (regression: by the training mean)."""
    train = data.frames["train"][LABEL].to_numpy()
    if data.task.regression:
        constant = np.mean(train)
    else:
        classes, counts = np.unique(train, return_counts=True)
        constant = classes[counts.argmax()]
    return {split: Predictions(np.full(len(data.frames[split]), constant)) for split in data.task.validation_splits}


def read_tasks(
    suite: Suite, tasks: Sequence[Task], with_hidden: bool = False
) -> tuple[dict[str, TaskData], list[Failure]]:
    """Read and check all tasks.

    Args:
        suite: where they lie.
        tasks: which ones.
        with_hidden: whether to read the splits with hidden labels that are there.

    Returns:
        Data by task, and for each task that cannot be read its name, -1 and the reason.

    Raises:
        InputError: if there are some and none can be read.
    """
    data: dict[str, TaskData] = {}
    failures = []
    for task in tasks:
        try:
            data[task.name] = suite.read(task, with_hidden)
        except InputError as error:
            logger.error("%s", error)
            failures.append((task.name, ALL_SEEDS, str(error)))
    if failures and not data:
        raise InputError(failures[0][2])
    return data, failures


def _collect(
    outcomes: Iterable[tuple[Job, Finished | Failed]],
    models: Sequence[ModelFolder],
    data: Mapping[str, TaskData],
    seeds: int,
) -> tuple[dict[ModelFolder, Results], dict[ModelFolder, list[Failure]], dict[ModelFolder, dict[str, Path]]]:
    """Sort outcomes as they come; a failure is logged at once, and a task of a single model when it is done.

    Returns results and failures, and the folders of kept models by task.
    """
    results: dict[ModelFolder, Results] = {model: {name: {} for name in data} for model in models}
    failures: dict[ModelFolder, list[Failure]] = {model: [] for model in models}
    kept: dict[ModelFolder, dict[str, Path]] = {model: {} for model in models}
    for job, outcome in outcomes:
        name = job.tokenized.task.name
        if isinstance(outcome, Failed):
            logger.error("%s", outcome.reason)
            failures[job.model].append((name, job.seed, outcome.reason))
            continue
        of_task = results[job.model][name]
        of_task[job.seed] = outcome
        if job.model_folder is not None:
            kept[job.model][name] = job.model_folder
        if len(of_task) == seeds and len(models) == 1:
            _log(data[name], of_task)
    return results, failures, kept


def _usual_jobs(
    model: ModelFolder,
    data: Mapping[str, TaskData],
    settings: FinetuningParameters,
    execution: ExecutionParameters,
    stores: Stores,
) -> list[Job]:
    """One for each task, with the first seed and the settings that no search has changed."""
    configuration = model.configuration()
    encoding = TextEncoding.of(configuration, model.tokenizer(), settings.maximum_length)
    jobs = []
    for each in data.values():
        tokenized = tokenize_task(each, encoding, stores.tokens)
        training = TaskSettings.of(each.task, settings, configuration.hidden_size, len(tokenized.splits["train"]))
        predicted = tuple(name for name in tokenized.splits if name != "train")
        jobs.append(Job(model, tokenized, training, 0, execution, predicted))
    return jobs


def _with_seed(job: Job, seed: int, data: TaskData) -> Job:
    """Give a job a seed; only the first one predicts splits with hidden labels."""
    if seed == 0:
        return job
    scored = (*data.task.validation_splits, *data.further)
    return replace(job, seed=seed, tokenized=job.tokenized.with_splits(("train", *scored)), predicted=scored)


def _log(data: TaskData, results: Mapping[int, Finished]) -> None:
    values = main_values(score_rows(data, results))["value"]
    spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
    seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    partial = ", on a part of its data" if data.is_partial else ""
    metrics = "/".join(data.task.metrics)
    logger.info("%s: %s %.3f%s over %s%s", data.task.name, metrics, values.mean(), spread, seeds, partial)
