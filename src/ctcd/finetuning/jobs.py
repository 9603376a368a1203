"""Many independent fine-tunings, on all cores or several at once on a GPU."""

import logging
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ctcd.engine.hardware import usable_cores
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.finetuning.encoding import TokenizedTask
from ctcd.finetuning.finetune import Predictions, TaskSettings, finetune
from ctcd.modeling.model_folder import ModelFolder

logger = logging.getLogger(__name__)

MEMORY = "most likely for want of memory"
# Imported once, in the server that workers are forked from.
PRELOADED = ("torch", "transformers.modeling_utils", "ctcd.finetuning.finetune")
# More than that fill a GPU no better, and more than PyTorch has streams would have to share one.
AT_ONCE_ON_GPU, STREAMS = 4, 32

Finished = dict[str, Predictions]


@dataclass(frozen=True)
class Failed:
    """A job that came to nothing, and why, in one sentence; for want of GPU memory it may do better alone."""

    reason: str
    wants_memory: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """One fine-tuning; the arguments of `finetune`.

    Attributes:
        keeps_model: whether the fine-tuned model is wanted besides its predictions.
        model_folder: where it is kept; the store of fine-tunings says so.
    """

    model: ModelFolder
    tokenized: TokenizedTask
    training: TaskSettings
    seed: int
    execution: ExecutionParameters
    predicted: tuple[str, ...]
    keeps_model: bool = False
    model_folder: Path | None = None

    @property
    def work(self) -> int:
        """Tokens to be learned from."""
        return len(self.tokenized.splits["train"].token_ids) * self.training.epochs

    def __str__(self) -> str:
        """Name the job in messages."""
        return f"the model in '{self.model.folder}' on task '{self.tokenized.task.name}' with seed {self.seed}"

    def run(self, is_stopped: Callable[[], bool] = lambda: False) -> Finished | Failed:
        """Fine-tune."""
        try:
            return finetune(
                self.model,
                self.tokenized,
                self.training,
                self.seed,
                self.execution,
                self.predicted,
                is_stopped,
                self.model_folder,
            )
        except InputError as error:
            return Failed(f"{error} (Fine-tuning {self}.)")
        except torch.OutOfMemoryError:
            return Failed(f"No GPU memory is left to fine-tune {self}: lower finetuning.batch_size.", wants_memory=True)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().partition("\n")[0]
            return Failed(f"Fine-tuning {self} failed: {type(error).__name__}: {error} ({where})")


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """Run independent jobs; each is given back when it is done, with the same result in any number of workers.

    One that fails is given back with the reason; the others go on. A job that finds no memory beside the others is run
    again when they are done. Where the machine kills a process, most likely for want of memory, they go on in half as
    many; a job that is killed in the only one has failed.

    Args:
        jobs: in any order; long ones are started first.
        workers: processes, or threads where a GPU does the work; 0 for what suits the machine, 1 for this thread.
    """
    if not jobs:
        return
    waiting = sorted(jobs, key=lambda job: -job.work)
    on_gpu = jobs[0].execution.device != "cpu" and torch.cuda.is_available()
    workers = min(len(jobs), workers or (AT_ONCE_ON_GPU if on_gpu else usable_cores()))
    if workers == 1:
        for job in waiting:
            yield job, job.run()
    elif on_gpu:
        yield from _on_gpu(waiting, workers)
    else:
        yield from _on_cores(waiting, workers)


def _on_gpu(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """In threads of this process: a GPU gives its time to one process after the other, but to threads at once."""
    again = []
    for job, outcome in _in_threads(jobs, min(workers, STREAMS)):
        if isinstance(outcome, Failed) and outcome.wants_memory:
            again.append(job)
        else:
            yield job, outcome
    if again:
        logger.warning("GPU memory was left for %d fine-tunings only one after the other", len(again))
    for job in again:
        yield job, job.run()


def _in_threads(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """Run jobs in so many threads, begun in their order."""
    waiting, done = list(jobs)[::-1], queue.SimpleQueue[tuple[Job, Finished | Failed]]()
    stopped = threading.Event()

    def work(stream: torch.cuda.Stream) -> None:
        with torch.cuda.stream(stream):
            while not stopped.is_set():
                try:
                    job = waiting.pop()
                except IndexError:
                    return
                done.put((job, job.run(stopped.is_set)))

    streams = [torch.cuda.Stream() for _ in range(workers)]
    threads = [threading.Thread(target=work, args=(stream,), daemon=True) for stream in streams]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            yield done.get()
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _on_cores(waiting: list[Job], workers: int) -> Iterator[tuple[Job, Finished | Failed]]:
    """In processes, fewer where the machine kills one."""
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
