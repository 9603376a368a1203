"""Steps that a GPU repeats by itself: launching kernels one by one can take longer than what they compute."""

import logging
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Turn = Callable[[], AbstractContextManager[None]]


class Replayed(Generic[Result]):
    """A function whose kernels are captured once for each key and then replayed.

    The first call with a key runs as it is, in which libraries, compilers and optimisers set themselves up; the second
    is captured. Whatever the function reads and changes besides its inputs must stay where it is on the device, and
    with one key all inputs keep their shapes. What it returns is overwritten by the next call. A function that waits
    for the device cannot be captured: it goes on as it is.
    """

    def __init__(self, function: Callable[..., Result], sets_up_once: bool = False, turn: Turn = nullcontext) -> None:
        """Take a function of a key, which says what kernels it launches, and of tensors.

        Args:
            function: to be captured.
            sets_up_once: whether the first call with any key sets up what all need, and the others can be captured at
                once: not where anything is compiled.
            turn: what the function itself is called in; replays need none.
        """
        self._function, self._sets_up_once, self._turn = function, sets_up_once, turn
        self._pool = torch.cuda.graph_pool_handle()
        # The default stream cannot be captured.
        is_default = torch.cuda.current_stream() == torch.cuda.default_stream()
        self._stream = torch.cuda.Stream() if is_default else torch.cuda.current_stream()
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[Tensor], Result]] = {}
        self._seen: set[Hashable] = set()
        self._can_capture = True

    def __call__(self, key: Hashable, *inputs: Tensor) -> Result:
        """Call the function, or do what it did."""
        is_set_up = bool(self._seen) if self._sets_up_once else key in self._seen
        if is_set_up and key not in self._captured and self._can_capture:
            with self._turn():
                self._capture(key, inputs)
        self._seen.add(key)
        if key not in self._captured:
            with self._turn():
                return self._function(key, *inputs)
        graph, its_inputs, result = self._captured[key]
        for its_input, given in zip(its_inputs, inputs, strict=True):
            its_input.copy_(given)
        graph.replay()
        return result

    def _capture(self, key: Hashable, inputs: tuple[Tensor, ...]) -> None:
        """Record what the function does, without doing it."""
        graph, its_inputs = torch.cuda.CUDAGraph(), [each.clone() for each in inputs]
        if not self._captured:
            torch.cuda.empty_cache()  # graphs have memory of their own
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self._stream):
                # Other threads of this process may use the device meanwhile.
                graph.capture_begin(self._pool, capture_error_mode="thread_local")
                try:
                    result = self._function(key, *its_inputs)
                finally:
                    graph.capture_end()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.info("Steps of this model cannot be captured and are launched one by one: %s", error)
            self._can_capture = False
            _end_capture_of_random_numbers()
        else:
            self._captured[key] = graph, its_inputs, result
        torch.cuda.current_stream().wait_stream(self._stream)


def _end_capture_of_random_numbers() -> None:
    """Give PyTorch's generator a new state: after a capture that failed, the old one refuses to draw."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    fresh = torch.Generator("cuda").manual_seed(generator.initial_seed())
    generator.graphsafe_set_state(fresh.graphsafe_get_state())
