"""Teacher and student at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import torch

Result = TypeVar("Result")


class SideBySide:
    """Calls two functions, the teacher's and the student's, and gives both results.

    On a CPU they run in two threads with half of the cores each: for small models that is faster than all cores on one
    operation after the other, and it does not collapse when another program uses a core. The models never touch the
    same tensors, so the results are the same as in turn. On a GPU, and where dropout draws from the one generator that
    all threads share, they run in turn.
    """

    def __init__(self, device: torch.device, has_dropout: bool) -> None:
        """Decide how; the threads start with the `with` block."""
        self._in_threads = device.type == "cpu" and not has_dropout
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Start the threads, and leave this thread half of the cores too: it works while they wait."""
        self._cores = torch.get_num_threads()
        if self._in_threads:
            half = max(1, self._cores // 2)
            torch.set_num_threads(half)
            self._threads = ThreadPoolExecutor(2, "model", initializer=torch.set_num_threads, initargs=(half,))
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads and give the cores back."""
        torch.set_num_threads(self._cores)
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def __call__(self, teacher: Callable[[], Result], student: Callable[[], Result]) -> tuple[Result, Result]:
        """Call both functions; an error in one of them is raised once both have ended."""
        if self._threads is None:
            return teacher(), student()
        of_teacher, of_student = self._threads.submit(teacher), self._threads.submit(student)
        of_student.exception()
        return of_teacher.result(), of_student.result()
