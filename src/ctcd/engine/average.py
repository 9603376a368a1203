"""The moving average of a model's weights: often better than the last weights, and cheaper than a second model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ctcd.engine.blocks import ParameterBlocks, fill, named


class AverageOfWeights:
    """The exponential moving average of a model in training; no second model is needed.

    It begins as a short memory that grows up to the decay, so that random weights are soon forgotten: after update t,
    counted from 0, the average keeps min(decay, (1 + t) / (10 + t)) of itself (as in TensorFlow's).
    """

    def __init__(self, followed: ParameterBlocks, decay: float) -> None:
        """Start from the weights as they are."""
        self._followed, self._decay = followed, decay
        self._averages = [block.weights.clone() for block in followed.blocks]

    @torch.no_grad()
    def update(self, number: int) -> None:
        """Go a step towards the model's weights; `number` counts the updates before this one."""
        kept = min(self._decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(self._averages, [block.weights for block in self._followed.blocks], 1 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the model compute with the average; afterwards its weights are the very same as before."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Give the model the average, and keep the model's weights in its place."""
        for block, average in zip(self._followed.blocks, self._averages, strict=True):
            weights = block.weights.clone()
            block.weights.copy_(average)
            average.copy_(weights)
            block.round()

    def state(self) -> dict[str, Tensor]:
        """The average by the names of the parameters."""
        return named(self._followed.blocks, self._averages)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Undo `state`."""
        fill(self._followed.blocks, self._averages, state)
