"""Steps that a GPU repeats by itself: launching kernels one by one takes longer than a small model's arithmetic."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ctcd.evaluation.buckets import BatchShape

logger = logging.getLogger(__name__)

ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
Step = Callable[[Tensor, BatchShape], None]


class ReplayedByShape:
    """A step whose kernels are captured once for each shape of batches and then replayed.

    A shape's first step runs as it is, in which libraries and the optimiser set themselves up; its second is captured.
    Whatever the step reads and changes besides the examples must stay where it is on the device. A model that waits for
    the device in its forward pass cannot be captured: its steps go on as they are.
    """

    def __init__(self, step: Step) -> None:
        """Take a step from (batch,) examples in a shape; call it within `prepared_for_graphs`."""
        self._step = step
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs: dict[BatchShape, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._seen: set[BatchShape] = set()
        self._can_capture = True

    def __call__(self, examples: Tensor, shape: BatchShape) -> None:
        """Make one step."""
        if shape in self._seen and shape not in self._graphs and self._can_capture:
            self._capture(examples, shape)
        self._seen.add(shape)
        if shape not in self._graphs:
            self._step(examples, shape)
            return
        graph, its_examples = self._graphs[shape]
        its_examples.copy_(examples)
        graph.replay()

    def _capture(self, examples: Tensor, shape: BatchShape) -> None:
        """Record what the step does, without doing it."""
        graph, its_examples = torch.cuda.CUDAGraph(), examples.clone()
        try:
            # Other threads of this process may use the device meanwhile.
            with torch.cuda.graph(graph, self._pool, torch.cuda.current_stream(), capture_error_mode="thread_local"):
                self._step(its_examples, shape)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.info("This model's steps cannot be captured and are launched one by one: %s", error)
            self._can_capture = False
        else:
            self._graphs[shape] = graph, its_examples


@contextmanager
def prepared_for_graphs(device: torch.device) -> Iterator[None]:
    """Work on a stream that can be captured, which the default one cannot. On a CPU, do nothing.

    Without cuDNN's attention, which is planned anew for every shape, and fine-tuning has many.
    """
    if device.type != "cuda":
        yield
        return
    stream, usual = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(usual)
    try:
        with torch.cuda.stream(stream), sdpa_kernel(ATTENTION):
            yield
    finally:
        usual.wait_stream(stream)
