import logging
from dataclasses import replace

import numpy as np
import pytest

from ctcd.finetuning import kept_results
from ctcd.finetuning.jobs import Failed
from ctcd.finetuning.kept_results import run_durably


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
