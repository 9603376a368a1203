import multiprocessing
import re
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest

from ctcd.evaluation import jobs as jobs_module
from ctcd.evaluation.jobs import Failed, automatic_workers, run_jobs
from ctcd.evaluation.models import EvaluatedModel


def test_results_are_the_same_in_any_number_of_workers(make_job, word_task, pair_task, number_task):
    jobs = [make_job(task, seed) for task in (word_task, pair_task, number_task) for seed in (0, 1)]

    def run(workers):
        return {(job.tokenized.task.name, job.seed): result for job, result in run_jobs(jobs, workers)}

    alone, together = run(1), run(2)
    assert alone.keys() == together.keys()
    for key, predictions in alone.items():
        other = together[key]["validation"]
        assert np.array_equal(predictions["validation"].values, other.values)
        if other.confidences is not None:
            assert np.array_equal(predictions["validation"].confidences, other.confidences)


def test_long_jobs_are_started_first(make_job, word_task, pair_task):
    jobs = [make_job(pair_task), make_job(word_task), make_job(pair_task, epochs=9)]
    work = [job.work for job, _ in run_jobs(jobs, 1)]
    assert work == sorted(work, reverse=True)


def test_no_jobs_are_no_results():
    assert list(run_jobs([], 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_job_says_which_one_and_why_and_the_others_go_on(make_job, word_task, pair_task, tmp_path, workers):
    good = make_job(word_task)
    broken = replace(make_job(pair_task, 3), model=EvaluatedModel(tmp_path))
    diverging = make_job(pair_task, 4, learning_rate=1e30)
    outcomes = {job.seed: outcome for job, outcome in run_jobs([good, broken, diverging], workers)}
    assert outcomes[0].keys() == {"validation"}
    assert isinstance(outcomes[3], Failed)
    assert re.search(rf"{tmp_path}.* on task 'pairs' with seed 3 failed: \w+: ", outcomes[3].reason)
    assert re.search(r"lower finetuning.learning_rate.* on task 'pairs' with seed 4", outcomes[4].reason)


def test_where_a_worker_is_killed_the_jobs_go_on_in_fewer(make_job, pair_task, caplog):
    jobs = [make_job(pair_task, seed, epochs=5) for seed in range(4)]
    results = run_jobs(jobs, 2)
    finished = [next(results)]
    for process in multiprocessing.active_children():
        process.kill()
    finished += results
    assert sorted(job.seed for job, _ in finished) == [0, 1, 2, 3]
    assert all(outcome.keys() == {"validation"} for _, outcome in finished)
    assert "was killed, most likely for want of memory: going on with 1 at once" in caplog.text


def test_a_job_that_is_killed_again_and_again_fails_and_the_others_are_done(
    make_job, word_task, pair_task, monkeypatch
):
    """The machine's part is played: whoever fine-tunes on pairs is killed."""
    tried = []

    def in_processes(jobs, workers):
        tried.append(workers)
        for job in jobs:
            if job.tokenized.task is pair_task:
                raise BrokenProcessPool
            yield job, job.run()

    monkeypatch.setattr(jobs_module, "_in_processes", in_processes)
    jobs = [make_job(word_task), make_job(pair_task, epochs=9), make_job(word_task, 1), make_job(pair_task, 1)]
    outcomes = list(run_jobs(jobs, 4))
    assert tried == [4, 2, 1, 1, 1, 1]
    assert len(outcomes) == len({id(job) for job, _ in outcomes}) == 4
    for job, outcome in outcomes:
        if job.tokenized.task is pair_task:
            assert f"task 'pairs' with seed {job.seed} was killed" in outcome.reason
        else:
            assert outcome.keys() == {"validation"}


def test_giving_up_half_way_leaves_no_workers(make_job, pair_task):
    results = run_jobs([make_job(pair_task, seed, epochs=5) for seed in range(4)], 2)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []


def test_workers_are_gone_after_the_results(make_job, pair_task):
    list(run_jobs([make_job(pair_task), make_job(pair_task, 1)], 2))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("cores", [2, 16])
def test_automatic_is_one_worker_a_core_and_one_on_a_gpu(execution, monkeypatch, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert automatic_workers(execution.model_copy(update={"device": "auto"})) == cores
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert automatic_workers(execution.model_copy(update={"device": "auto"})) == 1
    assert automatic_workers(execution.model_copy(update={"device": "cpu"})) == cores
