"""The models of a step: trained, frozen, or following a trained one."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn, optim
from transformers import PreTrainedModel

from ctcd.engine.hardware import Hardware
from ctcd.engine.master_weights import MasterWeights
from ctcd.engine.optimiser import build_optimisers, set_learning_rate
from ctcd.engine.settings import OptimiserParameters
from ctcd.modeling.attention import restore_attention
from ctcd.modeling.logits import PredictedLogits
from ctcd.pretraining.masking import PredictionBatch


@dataclass
class Trainee:
    """A model in training with its own optimisers."""

    model: PreTrainedModel
    hardware: Hardware
    weights: MasterWeights
    optimisers: list[optim.Optimizer]
    maximum_norm: float

    def __post_init__(self) -> None:
        """Put the model where it is trained."""
        self.hardware.place(self.model.train(), is_padded=False)
        if self.hardware.device.type == "cpu" and not self.hardware.compiles:
            _look_up_sparsely(self.model)
        self.logits = PredictedLogits(self.model)
        self._fast_logits = self.hardware.compiled(self.logits.__call__)

    @classmethod
    def start(cls, model: PreTrainedModel, settings: OptimiserParameters, hardware: Hardware) -> "Trainee":
        """Begin to train a model."""
        weights = MasterWeights(model.to(hardware.device), hardware.dtype)
        optimisers = build_optimisers(model, weights.of, settings)
        return cls(model, hardware, weights, optimisers, settings.maximum_gradient_norm)

    def predict(self, batch: PredictionBatch) -> Tensor:
        """Logits at the predicted positions: (positions, vocabulary)."""
        return self._fast_logits(batch.input_ids, batch.positions)

    def learn(self, is_finite: Tensor, rate_factor: Tensor | float) -> Tensor:
        """Clip the gradient that has gathered, and make a step against it.

        Args:
            is_finite: scalar; where it is not true nothing is updated. No one waits for it.
            rate_factor: share of the peak learning rate; a scalar on the device where the step is to be captured.

        Returns:
            The gradient's norm before clipping.
        """
        norm = nn.utils.get_total_norm(self.weights.gather_gradients())
        set_learning_rate(self.optimisers, rate_factor)
        for optimiser in self.optimisers:
            # The update divides by the scale on the way: clipping costs no pass over the gradients of its own.
            optimiser.grad_scale = (norm / self.maximum_norm).clamp(min=1.0)  # type: ignore[attr-defined]
            optimiser.found_inf = (~(is_finite & norm.isfinite())).to(norm.dtype)  # type: ignore[attr-defined]
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.weights.round()
        return norm

    def state(self) -> dict[str, Any]:
        """Everything that training changes."""
        return {"model": self.weights.state(), "optimisers": [each.state_dict() for each in self.optimisers]}

    def finished_model(self) -> PreTrainedModel:
        """The model as others use it: in float32, on the CPU, with the attention that heeds masks."""
        self.weights.give_back()
        restore_attention(self.model)
        return self.model.cpu().eval()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.weights.restore(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
            for group in optimiser.param_groups:
                if "capturable" in group:  # the state may have been saved on another device
                    group["capturable"] = self.hardware.device.type == "cuda"


def _look_up_sparsely(model: PreTrainedModel) -> None:
    """Have the input embedding give the gradient of the rows that it looked up, not one of all of its rows.

    It is added to the output layer's, which shares the weights and needs all rows; without such a layer the optimisers
    would be handed a sparse gradient, which they do not take.
    """
    embedding, output_layer = model.get_input_embeddings(), model.get_output_embeddings()
    embedding.sparse = output_layer is not None and output_layer.weight is embedding.weight


@dataclass
class FrozenModel:
    """A model that others learn from."""

    model: PreTrainedModel
    hardware: Hardware

    def __post_init__(self) -> None:
        """Put the model where it is used."""
        self.hardware.place(self.model.eval().requires_grad_(False), is_padded=False)
        self.weights = MasterWeights(self.model, self.hardware.dtype)
        self._logits = self.hardware.compiled(PredictedLogits(self.model).__call__)

    def give_back(self) -> None:
        """Leave the model as it was found."""
        self.weights.give_back()
        restore_attention(self.model)

    @torch.no_grad()
    def predict(self, batch: PredictionBatch) -> Tensor:
        """Logits at the predicted positions: (positions, vocabulary), without gradient."""
        return self._logits(batch.input_ids, batch.positions)

    def learn(self, is_finite: Tensor, rate_factor: Tensor | float) -> None:
        """Learn nothing."""


class NoModel:
    """The place of a model that a method does without."""

    def predict(self, batch: PredictionBatch) -> None:
        """Predict nothing."""

    def learn(self, is_finite: Tensor, rate_factor: Tensor | float) -> None:
        """Learn nothing."""


class MovingAverage(FrozenModel):
    """The exponential moving average of a trained model's weights."""

    def __init__(self, followed: PreTrainedModel, hardware: Hardware, decay: float) -> None:
        """Start from a copy; call it before the model is wrapped otherwise."""
        super().__init__(copy.deepcopy(followed), hardware)
        self._decay = decay

    @torch.no_grad()
    def update(self, followed: MasterWeights) -> None:
        """Go a step towards the weights of the followed model."""
        torch._foreach_lerp_(self.weights.weights, followed.weights, 1 - self._decay)
        self.weights.round()
