"""Several fine-tunings at once on one GPU, each in a thread and a stream of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# Not cuDNN's, which is planned anew for every shape, and fine-tuning has many.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
_ONE_AT_A_TIME = threading.Lock()


class GpuShare:
    """What one fine-tuning has of a GPU: random numbers of its own, and turns with what PyTorch has once a process.

    Graphs that are replayed need no turn and overlap on the device.
    """

    def __init__(self) -> None:
        """Take the current device."""
        self._random_numbers = torch.Generator("cuda")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have PyTorch's random numbers and its choice of attention kernels to oneself.

        What is drawn, and a seed that is set, are this share's alone; on the CPU they are forgotten afterwards.
        """
        default = torch.cuda.default_generators[torch.cuda.current_device()]
        with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]), sdpa_kernel(ATTENTION):
            of_others = default.graphsafe_get_state()
            default.graphsafe_set_state(self._random_numbers)
            try:
                yield
            finally:
                self._random_numbers = default.graphsafe_get_state()
                default.graphsafe_set_state(of_others)
