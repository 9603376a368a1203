"""How a step uses the cores: in halves, side by side, or at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Self, TypeVar

import torch

Result = TypeVar("Result")


class SideBySide:
    """Calls functions at the same time and gives their results.

    On a CPU two threads, with half of the cores each, take half of every batch: for small models that is faster than
    all cores on one operation after the other, and it does not collapse when another program uses a core. The two
    halves' gradients meet as two summands, whose order does not matter, so the result is always the same.
    """

    def __init__(self, in_threads: bool) -> None:
        """Take two threads, or none; they start with the `with` block."""
        self.in_threads = in_threads
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Start the threads, and leave this thread half of the cores too: it works while they wait."""
        self._cores = torch.get_num_threads()
        if self.in_threads:
            half = max(1, self._cores // 2)
            torch.set_num_threads(half)
            self._threads = ThreadPoolExecutor(2, "half", initializer=torch.set_num_threads, initargs=(half,))
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads and give the cores back."""
        torch.set_num_threads(self._cores)
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None

    def __call__(self, *functions: Callable[[], Result]) -> list[Result]:
        """Call all functions; an error in one of them is raised once all have ended."""
        if self._threads is None or len(functions) == 1:
            return [function() for function in functions]
        calls = [self._threads.submit(function) for function in functions]
        wait(calls)
        return [call.result() for call in calls]
