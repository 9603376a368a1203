"""Several fine-tunings at once on one GPU, each in a thread and a stream of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# Not cuDNN's, which is planned anew for every shape, and fine-tuning has many.
ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
_ONE_AT_A_TIME = threading.Lock()


class DeviceShare:
    """One job's share of a GPU: its own random state, and exclusive access to PyTorch's process-wide state.

    Replayed graphs need no exclusive access and overlap on the device.
    """

    def __init__(self) -> None:
        """Take the current device."""
        self._random_state = torch.Generator("cuda")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold PyTorch's random generators and its choice of attention kernels.

        Inside, drawing numbers and setting a seed affect this share only. The CPU generator is restored on exit.
        """
        default = torch.cuda.default_generators[torch.cuda.current_device()]
        with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]), sdpa_kernel(ATTENTION):
            previous_state = default.graphsafe_get_state()
            default.graphsafe_set_state(self._random_state)
            try:
                yield
            finally:
                self._random_state = default.graphsafe_get_state()
                default.graphsafe_set_state(previous_state)
