"""Many independent fine-tunings, in this process or on all cores."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ctcd.errors import InputError
from ctcd.evaluation.finetuning import Predictions, TaskSettings, finetune
from ctcd.evaluation.models import EvaluatedModel
from ctcd.evaluation.tokenization import TokenizedTask
from ctcd.parameters import ExecutionParameters

logger = logging.getLogger(__name__)

MEMORY = "most likely for want of memory"
# Imported once, in the server that workers are forked from.
PRELOADED = ("torch", "transformers.modeling_utils", "ctcd.evaluation.finetuning")


Finished = dict[str, Predictions]


@dataclass(frozen=True)
class Failed:
    """A job that came to nothing, and why, in one sentence."""

    reason: str


@dataclass(frozen=True, eq=False)
class Job:
    """One fine-tuning; the arguments of `finetune`."""

    model: EvaluatedModel
    tokenized: TokenizedTask
    training: TaskSettings
    seed: int
    execution: ExecutionParameters
    predicted: tuple[str, ...]

    @property
    def work(self) -> int:
        """Tokens to be learned from."""
        return len(self.tokenized.splits["train"].token_ids) * self.training.epochs

    def __str__(self) -> str:
        """Name the job in messages."""
        return f"the model in '{self.model.folder}' on task '{self.tokenized.task.name}' with seed {self.seed}"

    def run(self) -> Finished | Failed:
        """Fine-tune."""
        try:
            return finetune(self.model, self.tokenized, self.training, self.seed, self.execution, self.predicted)
        except InputError as error:
            return Failed(f"{error} (Fine-tuning {self}.)")
        except torch.OutOfMemoryError:
            return Failed(
                f"No GPU memory is left to fine-tune {self}: lower execution.workers or finetuning.batch_size."
            )
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().partition("\n")[0]
            return Failed(f"Fine-tuning {self} failed: {type(error).__name__}: {error} ({where})")


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """Run independent jobs; each is given back when it is done, with the same result in any number of workers.

    One that fails is given back with the reason; the others go on. Where the machine kills a worker, most likely for
    want of memory, they go on in half as many; a job that is killed in the only one has failed.

    Args:
        jobs: in any order; long ones are started first.
        workers: processes; 0 for what suits the machine, 1 for this process.
    """
    waiting = sorted(jobs, key=lambda job: -job.work)
    workers = min(len(jobs), workers or automatic_workers(jobs[0].execution)) if jobs else 1
    if workers <= 1:
        for job in waiting:
            yield job, job.run()
        return
    while waiting:
        try:
            for job, outcome in _in_processes(waiting[:] if workers > 1 else waiting[:1], workers):
                waiting.remove(job)
                yield job, outcome
        except BrokenProcessPool:
            if workers > 1:
                workers //= 2
                logger.warning("A fine-tuning process was killed, %s: going on with %d at once", MEMORY, workers)
            else:
                job = waiting.pop(0)
                yield job, Failed(f"Fine-tuning {job} was killed, {MEMORY}: lower finetuning.batch_size.")


def _in_processes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """Run jobs in so many processes, begun in their order.

    Raises:
        BrokenProcessPool: if one of the processes is killed. The jobs that are not finished are given up.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    others = multiprocessing.active_children()
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        with _without_main_module():
            futures = {executor.submit(Job.run, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()  # nobody wants what it computes
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def automatic_workers(execution: ExecutionParameters) -> int:
    """Count the processes that use a machine well: one a core; where a GPU does the work, this one.

    A GPU computes for one process at a time, and steps that it replays leave it no gaps for a second one to fill.
    """
    if execution.device != "cpu" and torch.cuda.is_available():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    """Die at once with Ctrl-C or with the process that wants the results."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep workers from importing the program that runs: they need nothing of it, and it may do work when imported."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
