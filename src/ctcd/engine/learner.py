"""One step of learning, for pre-training and fine-tuning alike."""

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ctcd.engine.cuda_graphs import CapturedStep, Exclusive
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.side_by_side import SideBySide

Tensors = tuple[Tensor, ...]
# From a key and the inputs to the loss, a scalar, and figures to be reported, (figures,) without gradient.
Compute = Callable[..., tuple[Tensor, Tensor]]
# Cuts inputs into parts, each with its share of the loss.
Cut = Callable[[Tensors], list[tuple[float, Tensors]]]


class Learned(NamedTuple):
    """What a step gives, on its device.

    No model is updated if the loss is not finite, and a model is not updated if its own gradient is not.
    """

    figures: Tensor  # (figures,) float32
    norms: list[Tensor]  # of the models' gradients, before clipping
    is_finite: Tensor  # true if the loss and all gradients were finite


class Learner:
    """Trains models on one loss: forward, backward, clipping, update, rounding.

    On a GPU the step is captured for each key and replayed. Everything that it reads must keep its address then, and
    the next step overwrites what it gives.
    """

    def __init__(
        self,
        compute: Compute,
        optimisers: Sequence[Optimiser],
        device: torch.device,
        side_by_side: SideBySide | None = None,
        cut: Cut = lambda tensors: [(1.0, tensors)],
        warm_up_once: bool = False,
        exclusive: Exclusive = nullcontext,
    ) -> None:
        """Take what is computed and what is trained.

        Args:
            compute: called with a key and tensors. The key says which kernels are launched.
            optimisers: one for each model.
            device: where the models are.
            side_by_side: computes parts of the inputs, and updates models, at the same time.
            cut: into those parts.
            warm_up_once: see `CapturedStep`.
            exclusive: see `CapturedStep`.
        """
        self._compute, self._optimisers, self._cut = compute, list(optimisers), cut
        self._side_by_side = side_by_side or SideBySide(in_threads=False)
        self._captured: CapturedStep[Learned] | None = None
        if device.type == "cuda":
            self._rate_factor = torch.zeros((), device=device)
            self._captured = CapturedStep(self._step_at_rate, warm_up_once, exclusive)

    def learn(self, key: Hashable, rate_factor: float, *tensors: Tensor) -> Learned:
        """Train on one batch.

        Args:
            key: for `compute`.
            rate_factor: share of the peak learning rate.
            tensors: for `compute`, on the device.
        """
        if self._captured is None:
            return self._step(key, rate_factor, *tensors)
        self._rate_factor.fill_(rate_factor)
        return self._captured(key, *tensors)

    def _step_at_rate(self, key: Hashable, *tensors: Tensor) -> Learned:
        return self._step(key, self._rate_factor, *tensors)

    def _step(self, key: Hashable, rate_factor: Tensor | float, *tensors: Tensor) -> Learned:
        for optimiser in self._optimisers:
            optimiser.weights.forget_gradients()  # a capture that failed half-way left some behind

        def forward_and_backward(share: float, part: Tensors) -> Tensor:
            loss, figures = self._compute(key, *part)
            (loss * share).backward()
            return torch.cat([loss.detach().reshape(1), figures]) * share

        parts = [partial(forward_and_backward, *part) for part in self._cut(tensors)]
        found = torch.stack(self._side_by_side(*parts)).sum(0)
        is_finite = found[0].isfinite()
        norms = self._side_by_side(*(partial(each.step, is_finite, rate_factor) for each in self._optimisers))
        return Learned(found[1:], norms, torch.stack([is_finite, *(norm.isfinite() for norm in norms)]).all())
