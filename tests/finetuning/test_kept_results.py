import logging
import os
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ctcd.finetuning import kept_results
from ctcd.finetuning.encoding import TokenizedSplit, TokenizedTask
from ctcd.finetuning.finetune import TaskSettings
from ctcd.finetuning.jobs import Failed, Job
from ctcd.finetuning.kept_results import run_durably
from ctcd.lineage import digest
from ctcd.modeling.architecture import build_model
from ctcd.modeling.model_folder import ModelFolder
from ctcd.modeling.settings import ModelParameters
from ctcd.tasks.tasks import Task


@pytest.fixture
def jobs(make_job, word_task, pair_task):
    return [make_job(word_task), make_job(pair_task), make_job(pair_task, 1)]


def all_fail(jobs, _):
    return ((job, Failed("no")) for job in jobs)


def test_a_job_that_was_finished_before_comes_first_with_the_same_predictions(jobs, stores, monkeypatch):
    ((_, before),) = run_durably(jobs[1:2], stores.results, 1, reuse=True)
    monkeypatch.setattr(kept_results, "run_jobs", all_fail)
    (job, again), *others = run_durably(jobs, stores.results, 1, reuse=True)
    assert job is jobs[1]
    assert np.array_equal(again["validation"].values, before["validation"].values)
    assert [outcome for _, outcome in others] == [Failed("no")] * 2


def test_a_failed_job_is_run_again(jobs, stores, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(kept_results, "run_jobs", all_fail)
        ((_, failed),) = run_durably(jobs[:1], stores.results, 1, reuse=True)
    ((_, finished),) = run_durably(jobs[:1], stores.results, 1, reuse=True)
    assert failed == Failed("no")
    assert finished.keys() == {"validation"}


def test_says_how_much_there_is_to_do_and_how_much_is_done(jobs, stores, execution, monkeypatch, caplog):
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(kept_results, "monotonic", lambda: next(seconds))
    every_step = execution.model_copy(update={"log_seconds": 10})
    jobs = [replace(job, execution=every_step) for job in jobs]
    with caplog.at_level(logging.INFO):
        list(run_durably(jobs, stores.results, 1, reuse=True))
    work = sorted((job.work for job in jobs), reverse=True)
    assert caplog.messages == [
        f"3 fine-tunings on {sum(work) / 1e6:.2f} million tokens, the longest first",
        f"1 of 3 fine-tunings, {100 * work[0] / sum(work):.0f} % of the tokens",
        f"2 of 3 fine-tunings, {100 * (work[0] + work[1]) / sum(work):.0f} % of the tokens",
    ]


def test_weights_are_hashed_once_for_all_fine_tunings_of_a_model(jobs, stores, monkeypatch):
    """They are older than the clock's resolution, as a model's are that took minutes to train."""
    for file in jobs[0].model.folder.iterdir():
        os.utime(file, (1e9, 1e9))
    hashed = []
    file_digest = digest.file_digest
    monkeypatch.setattr(digest, "file_digest", lambda path: hashed.append(path.name) or file_digest(path))
    for _ in range(2):
        list(run_durably(jobs, stores.results, 1, reuse=True))
    assert hashed.count("model.safetensors") == 1


def test_a_result_of_before_is_not_looked_for_on_demand(jobs, stores, monkeypatch):
    list(run_durably(jobs[:1], stores.results, 1, reuse=True))
    monkeypatch.setattr(kept_results, "run_jobs", all_fail)
    ((_, outcome),) = run_durably(jobs[:1], stores.results, 1, reuse=False)
    assert outcome == Failed("no")
    ((_, outcome),) = run_durably(jobs[:1], stores.results, 1, reuse=True)
    assert outcome != Failed("no")  # the failure has not replaced it


@pytest.mark.parametrize("what", ["torch.__version__", "transformers.__version__", "FINETUNING_VERSION"])
def test_results_of_other_code_are_not_used(what, jobs, stores, monkeypatch):
    list(run_durably(jobs[:1], stores.results, 1, reuse=True))
    monkeypatch.setattr(kept_results, "run_jobs", all_fail)
    monkeypatch.setattr(f"ctcd.finetuning.kept_results.{what}", "other")
    ((_, outcome),) = run_durably(jobs[:1], stores.results, 1, reuse=True)
    assert outcome == Failed("no")


@dataclass(frozen=True)
class Vocabulary:
    """Token ids that depend on nothing, not even on a tokenizer's library."""

    pad_token_id: int = 0
    cls_token_id: int = 1
    sep_token_id: int = 2

    def __len__(self) -> int:
        return 40


@pytest.mark.parametrize("regression", [False, True])
def test_predictions_change_with_the_version_alone(regression, make_settings, execution, tmp_path, golden):
    shape = ModelParameters(architecture="bert", layers=2, width=32, heads=2, feed_forward=64)
    build_model(shape, Vocabulary(), 16, 0, "student").save_pretrained(tmp_path)
    task = Task("golden", ("sentence",), ("accuracy",), regression=regression)
    starts = np.cumsum([0, *(5 + example % 7 for example in range(24))])
    token_ids = (3 + np.arange(starts[-1]) ** 2 % 37).astype(np.int32)
    labels = token_ids[starts[:-1]] / 40 if regression else token_ids[starts[:-1]] % 2
    split = TokenizedSplit(token_ids, None, starts, labels)
    splits = {"train": split, "validation": split}
    tokenized = TokenizedTask(task, splits, ("golden",) if regression else ("no", "yes"), 0, 16, "golden")
    training = TaskSettings.of(task, make_settings(epochs=4, batch_size=4, learning_rate=3e-3, dropout=0.0), 32, 24)
    job = Job(ModelFolder(tmp_path), tokenized, training, 1, execution, ("validation",))
    predictions = job.run()["validation"]
    numbers = (
        predictions.values
        if regression
        else np.where(predictions.values, predictions.confidences, 1 - predictions.confidences)
    )
    golden(f"finetuning_{'regression' if regression else 'classes'}", kept_results.FINETUNING_VERSION, numbers)


def test_models_with_the_same_weights_are_fine_tuned_once_and_both_have_the_results(jobs, stores, tmp_path):
    copy = replace(jobs[0], model=ModelFolder(shutil.copytree(jobs[0].model.folder, tmp_path / "copy")))
    (one, first), (other, second) = run_durably([jobs[0], copy], stores.results, 1, reuse=True)
    assert (one, other) == (jobs[0], copy)
    assert first is second
