"""Fine-tunings that are kept as soon as they are finished, so that a killed run goes on with the next one."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from time import monotonic

import torch
import transformers

from ctcd.finetuning.finetune import Predictions
from ctcd.finetuning.jobs import Failed, Finished, Job, run_jobs
from ctcd.lineage.array_store import Arrays, ArrayStore
from ctcd.lineage.digest import digest

logger = logging.getLogger(__name__)

# Stands for the code in the identity of a fine-tuning. Raise it with every change after which the same model, task,
# settings and seed may be predicted for differently: the loss, the update of the weights, the learning rate's course,
# the order of the examples, the head, dropout. Not for what only rounds otherwise. A test stores what a tiny
# fine-tuning gives with each version, and fails until somebody decides.
FINETUNING_VERSION = 1


def run_durably(
    jobs: Sequence[Job], results: ArrayStore, workers: int, reuse: bool
) -> Iterator[tuple[Job, Finished | Failed]]:
    """Run jobs as `run_jobs` does, those first that were finished before and need no work.

    A job that keeps its model is given back with the folder in which it lies.

    Args:
        jobs: independent fine-tunings.
        results: where each finished one is kept at once.
        workers: as of `run_jobs`.
        reuse: whether to look for those finished before.

    Raises:
        InputError: as `run_jobs`.
    """
    models = {model: model.fingerprint() for model in {job.model for job in jobs}}
    keys = [_key(job, models[job.model]) for job in jobs]
    jobs = [_with_folder(job, results, key) for job, key in zip(jobs, keys, strict=True)]
    to_do: dict[str, list[Job]] = {}  # models with the same weights have the same results
    for job, key in zip(jobs, keys, strict=True):
        kept = _load(results, key, job) if reuse else None
        if kept is None:
            to_do.setdefault(key, []).append(job)
        else:
            yield job, kept
    waiting = sum(map(len, to_do.values()))
    if waiting < len(jobs):
        logger.info("%d of %d fine-tunings were finished before", len(jobs) - waiting, len(jobs))
    key_of = {id(same[0]): key for key, same in to_do.items()}
    first = [same[0] for same in to_do.values()]
    for job, outcome in _announced(run_jobs(first, workers), first):
        key = key_of[id(job)]
        if not isinstance(outcome, Failed):
            before = results.load(key) if reuse else None  # other splits, which another run predicted
            results.save(key, {**(before or {}), **_arrays(outcome, job)})
        for same in to_do[key]:
            yield same, outcome


def _announced(
    outcomes: Iterator[tuple[Job, Finished | Failed]], jobs: Sequence[Job]
) -> Iterator[tuple[Job, Finished | Failed]]:
    """The outcomes as they come; says how much there is to do, and now and then how much is done."""
    total, done = sum(job.work for job in jobs), 0
    if jobs:
        logger.info("%d fine-tunings on %.2f million tokens, the longest first", len(jobs), total / 1e6)
    logged_at = monotonic()
    for number, (job, outcome) in enumerate(outcomes, start=1):
        yield job, outcome
        done += job.work
        now = monotonic()
        if number < len(jobs) and now - logged_at >= job.execution.log_seconds:
            logger.info("%d of %d fine-tunings, %.0f %% of the tokens", number, len(jobs), 100 * done / total)
            logged_at = now


def _key(job: Job, model: str) -> str:
    """Identity of all that decides a job's predictions; what is predicted, and on which device, is no part of it."""
    code = (FINETUNING_VERSION, torch.__version__, transformers.__version__)
    task = job.tokenized.task.name
    return digest(task, model, job.tokenized.fingerprint, asdict(job.training), job.seed, code)


def _with_folder(job: Job, results: ArrayStore, key: str) -> Job:
    """Say where a job's model is kept, if it is: beside its predictions."""
    return replace(job, model_folder=results.folder / f"{key}.model") if job.keeps_model else job


def _arrays(finished: Finished, job: Job) -> Arrays:
    """Predictions by split and what was read there: the key does not know the splits that are only predicted."""
    arrays: Arrays = {}
    for split, predictions in finished.items():
        name = _name(job, split)
        arrays[f"{name}/values"] = predictions.values
        if predictions.confidences is not None and predictions.probabilities is not None:
            arrays[f"{name}/confidences"] = predictions.confidences
            arrays[f"{name}/probabilities"] = predictions.probabilities
    return arrays


def _name(job: Job, split: str) -> str:
    return f"{split}/{job.tokenized.splits[split].fingerprint}"


def _load(results: ArrayStore, key: str, job: Job) -> Finished | None:
    """A job's result, if it is there with the model, if that is wanted, and all splits as they are now."""
    if job.model_folder is not None and not (job.model_folder / "config.json").is_file():
        return None
    arrays = results.load(key)
    names = {split: _name(job, split) for split in job.predicted}
    last = "values" if job.tokenized.task.regression else "probabilities"
    if arrays is None or any(f"{name}/{last}" not in arrays for name in names.values()):
        return None
    return {
        split: Predictions(
            arrays[f"{name}/values"], arrays.get(f"{name}/confidences"), arrays.get(f"{name}/probabilities")
        )
        for split, name in names.items()
    }
