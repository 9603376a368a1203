"""Steps captured as CUDA graphs: launching kernels one by one can take longer than what they compute."""

import logging
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, TypeVar

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Exclusive = Callable[[], AbstractContextManager[None]]


class CapturedStep(Generic[Result]):
    """A function whose kernels are captured once for each key and then replayed.

    The first call with a key runs normally, so that libraries and optimisers can initialise. The second call is
    captured, later ones replay it. The caller guarantees: tensors that the function reads or writes keep their
    addresses, and inputs with one key keep their shapes. The next call overwrites the result. A function that waits for
    the device cannot be captured and keeps running normally.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        warm_up_once: bool = False,
        exclusive: Exclusive = nullcontext,
    ) -> None:
        """Take a function of a key, which says what kernels it launches, and of tensors.

        Args:
            function: to be captured.
            warm_up_once: skip the warm-up of further keys. Set it only if nothing is compiled per key.
            exclusive: context of every call and capture; replays need none.
        """
        self._function, self._warm_up_once, self._exclusive = function, warm_up_once, exclusive
        self._pool = torch.cuda.graph_pool_handle()
        # The default stream cannot be captured.
        is_default = torch.cuda.current_stream() == torch.cuda.default_stream()
        self._stream = torch.cuda.Stream() if is_default else torch.cuda.current_stream()
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[Tensor], Result]] = {}
        self._seen: set[Hashable] = set()
        self._can_capture = True

    def __call__(self, key: Hashable, *inputs: Tensor) -> Result:
        """Call the function, or replay what it did."""
        is_warm = bool(self._seen) if self._warm_up_once else key in self._seen
        if is_warm and key not in self._captured and self._can_capture:
            with self._exclusive():
                self._capture(key, inputs)
        self._seen.add(key)
        if key not in self._captured:
            with self._exclusive():
                return self._function(key, *inputs)
        graph, static_inputs, result = self._captured[key]
        for static_input, given in zip(static_inputs, inputs, strict=True):
            static_input.copy_(given)
        graph.replay()
        return result

    def _capture(self, key: Hashable, inputs: tuple[Tensor, ...]) -> None:
        """Record what the function does, without doing it."""
        graph, static_inputs = torch.cuda.CUDAGraph(), [each.clone() for each in inputs]
        if not self._captured:
            torch.cuda.empty_cache()  # graphs have memory of their own
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self._stream):
                # Other threads of this process may use the device meanwhile.
                graph.capture_begin(self._pool, capture_error_mode="thread_local")
                try:
                    result = self._function(key, *static_inputs)
                finally:
                    graph.capture_end()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.info("Steps of this model cannot be captured and are launched one by one: %s", error)
            self._can_capture = False
            _end_capture_of_random_numbers()
        else:
            self._captured[key] = graph, static_inputs, result
        torch.cuda.current_stream().wait_stream(self._stream)


def _end_capture_of_random_numbers() -> None:
    """Give PyTorch's generator a new state: after a failed capture the old one refuses to draw."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    fresh = torch.Generator("cuda").manual_seed(generator.initial_seed())
    generator.graphsafe_set_state(fresh.graphsafe_get_state())
