import multiprocessing
import re
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from ctcd.finetuning import jobs as jobs_module
from ctcd.finetuning.jobs import Failed, run_jobs
from ctcd.modeling.model_folder import ModelFolder


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
    broken = replace(make_job(pair_task, 3), model=ModelFolder(tmp_path))
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


@pytest.fixture
def gpu(monkeypatch):
    """A GPU as far as scheduling sees one."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.Stream", object)
    monkeypatch.setattr("torch.cuda.stream", lambda _: nullcontext())


@pytest.fixture
def jobs_on_gpu(make_job, pair_task):
    jobs = [make_job(pair_task, seed) for seed in range(6)]
    return [replace(job, execution=job.execution.model_copy(update={"device": "auto"})) for job in jobs]


@pytest.fixture
def asked(monkeypatch):
    """Where jobs would have been run, and how many at once."""
    asked = []
    for name in ("_on_cores", "_on_gpu"):
        monkeypatch.setattr(jobs_module, name, lambda jobs, workers, name=name: asked.append((name, workers)) or ())
    return asked


@pytest.mark.parametrize("cores", [2, 16])
def test_automatic_is_one_process_a_core(make_job, pair_task, asked, gpu, monkeypatch, cores):
    monkeypatch.setattr(jobs_module, "usable_cores", lambda: cores)
    jobs = [make_job(pair_task, seed) for seed in range(20)]
    list(run_jobs([replace(job, execution=job.execution.model_copy(update={"device": "cpu"})) for job in jobs], 0))
    assert asked == [("_on_cores", cores)]


def test_on_one_core_nothing_is_started(make_job, pair_task, asked, monkeypatch):
    monkeypatch.setattr(jobs_module, "usable_cores", lambda: 1)
    monkeypatch.setattr(jobs_module.Job, "run", lambda job: {"validation": job.seed})
    jobs = [make_job(pair_task, seed) for seed in range(2)]
    assert sorted(outcome["validation"] for _, outcome in run_jobs(jobs, 0)) == [0, 1]
    assert asked == []


def test_automatic_is_four_threads_on_a_gpu_but_not_more_than_there_are_jobs(jobs_on_gpu, asked, gpu):
    for jobs in (jobs_on_gpu, jobs_on_gpu[:3]):
        list(run_jobs(jobs, 0))
    assert asked == [("_on_gpu", 4), ("_on_gpu", 3)]


def test_on_a_gpu_some_jobs_run_at_once_in_threads(jobs_on_gpu, gpu, monkeypatch):
    together = threading.Barrier(2)

    def run(job, is_stopped):
        together.wait(timeout=60)  # in one thread, nobody would ever come to meet the first
        return {"validation": job.seed}

    monkeypatch.setattr(jobs_module.Job, "run", run)
    results = list(run_jobs(jobs_on_gpu, 2))
    assert sorted(job.seed for job, _ in results) == list(range(6))
    assert all(outcome == {"validation": job.seed} for job, outcome in results)


def test_a_job_that_finds_no_memory_beside_others_runs_again_alone(jobs_on_gpu, gpu, monkeypatch, caplog):
    def run(job, is_stopped=None):
        if job.seed == 3 and is_stopped is not None:
            return Failed("no memory", wants_memory=True)
        return {"validation": threading.current_thread() is threading.main_thread()}

    monkeypatch.setattr(jobs_module.Job, "run", run)
    results = {job.seed: outcome for job, outcome in run_jobs(jobs_on_gpu, 3)}
    assert results == {seed: {"validation": seed == 3} for seed in range(6)}
    assert "GPU memory was left for 1 fine-tunings only one after the other" in caplog.text


def test_giving_up_half_way_stops_the_threads(jobs_on_gpu, gpu, monkeypatch):
    first = jobs_on_gpu[0]

    def run(job, is_stopped):
        while job is not first and not is_stopped():
            time.sleep(0.001)
        return {}

    monkeypatch.setattr(jobs_module.Job, "run", run)
    before = threading.active_count()
    results = run_jobs(jobs_on_gpu, 2)
    assert next(results)[0] is first
    results.close()
    assert threading.active_count() == before
