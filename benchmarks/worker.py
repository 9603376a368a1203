"""A process that holds one contender: only one works at a time, and each one's memory is its own."""

import gc
import importlib
import multiprocessing
import os
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, Self

import torch
from contenders import Training, all_contenders
from machine import MEGABYTE, forget_peak_memory, measure_matrix_peak, peak_memory, resident_memory, synchronize
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from workload import Shape, all_token_ids

from engine import Compile, Terms, make_tokenizer


class ContenderError(Exception):
    """A contender that cannot be run, with the reason in one line."""


@dataclass(frozen=True)
class Assignment:
    """What a process needs to know to find its contender."""

    contender: str
    shape: Shape
    device: str
    threads: int
    compile: Compile = "auto"  # of the contenders that are ctcd as it runs by itself
    huge_pages: bool = False  # as ctcd asks for; here it must be decided before the process begins


class Worker:
    """The parent's end of a process."""

    def __init__(self, assignment: Assignment) -> None:
        """Start the process."""
        # Read by OpenMP when the process loads it; a library's own threads then have the same number.
        os.environ["OMP_NUM_THREADS"] = str(assignment.threads)
        os.environ["THP_MEM_ALLOC_ENABLE"] = str(int(assignment.huge_pages))
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(other_end, assignment), daemon=True)
        self._process.start()
        other_end.close()

    def __call__(self, request: str, *arguments: Any) -> Any:
        """Have a method of `Host` called.

        Raises:
            ContenderError: if that fails, or the process is gone.
        """
        try:
            self._connection.send((request, arguments))
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise ContenderError(f"the process ended with code {self._process.exitcode}") from None
        if not succeeded:
            raise ContenderError(answer)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


class Host:
    """The process's own end: answers requests about its contender."""

    def __init__(self, assignment: Assignment) -> None:
        """Load everything but the models."""
        torch.set_num_threads(assignment.threads)
        self._shape, self._device = assignment.shape, assignment.device
        contenders = all_contenders(self._shape, self._device, assignment.compile)
        self._contender = next(contender for contender in contenders if contender.name == assignment.contender)
        self._training: Training | None = None
        make_tokenizer(self._shape.vocabulary)
        all_token_ids(self._shape)

    def matrix_peak(self, largest_side: int) -> dict[str, float]:
        """See `measure_matrix_peak`."""
        return measure_matrix_peak(self._device, largest_side)

    def start(self, warm_up_steps: int) -> float:
        """Build the models and train for some steps; returns the seconds of the last one."""
        for module in self._contender.modules:
            importlib.import_module(module)
        forget_peak_memory()
        self._memory_before = resident_memory()
        self._training = self._contender.start()
        self.advance(warm_up_steps - 1)
        return self.advance(1)

    def advance(self, steps: int) -> float:
        """Train for some steps; returns the seconds."""
        assert self._training is not None, "start comes first"
        synchronize(self._device)
        started = perf_counter()
        self._training.advance(steps)
        synchronize(self._device)
        return perf_counter() - started

    def memory(self) -> dict[str, float]:
        """Megabytes: the rise over what the process had before the models were built, its peak, and its present."""
        peak = peak_memory()
        figures = {"rise": peak - self._memory_before, "process_peak": peak, "resident": resident_memory()}
        if self._device == "cuda":
            figures["rise"] = torch.cuda.max_memory_allocated()
        return {name: value / MEGABYTE for name, value in figures.items()}

    def losses(self, steps: int) -> list[Terms]:
        """The four losses of the first steps from the common initial weights, without dropout."""
        assert self._contender.start_check is not None
        self._end_training()
        training = self._contender.start_check()
        try:
            return [training.next_losses() for _ in range(steps)]
        finally:
            training.close()

    def count_operations(self) -> int:
        """Floating-point operations of the matrix products of one step."""
        assert self._contender.start_count is not None
        self._end_training()
        training = self._contender.start_count()
        # The CPU's fused attention is unknown to the counter; the plain one consists of products that it knows.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            training.advance(1)
        training.close()
        del training
        gc.collect()
        return counter.get_total_flops()

    def close(self) -> None:
        """Remove what the contender put on disk."""
        self._end_training()

    def _end_training(self) -> None:
        if self._training is not None:
            self._training.close()
        self._training = None
        gc.collect()  # what hangs together in circles would stand in the way of the next models


def _serve(connection: Connection, assignment: Assignment) -> None:
    """Answer requests until the parent closes the connection, or is gone."""
    host: Host | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            request, arguments = connection.recv()
            try:
                host = host or Host(assignment)
                answer = True, getattr(host, request)(*arguments)
            except Exception as error:
                if os.environ.get("BENCHMARK_TRACEBACKS"):
                    traceback.print_exc()
                reason = str(error).strip().partition("\n")[0]
                answer = False, f"{type(error).__name__}: {reason}"
            connection.send(answer)
    if host:
        host.close()
