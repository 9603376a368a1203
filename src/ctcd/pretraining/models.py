"""The models of a step: trained, frozen, or following a trained one."""

import copy
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from ctcd.engine.average import AverageOfWeights
from ctcd.engine.blocks import ParameterBlocks
from ctcd.engine.hardware import Hardware
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.settings import OptimiserParameters
from ctcd.modeling.architecture import parameter_count
from ctcd.modeling.attention import restore_attention
from ctcd.modeling.families import InnerSignal
from ctcd.modeling.signals import PredictedSignals, Signals
from ctcd.pretraining.masking import PredictionBatch

PROJECTION = "hidden_states_projection"  # its name in a model in training


@dataclass
class Trainee:
    """A model in training with its own optimiser.

    Attributes:
        average: of its weights, where that is what is evaluated and kept; None where the last weights are.
        wanted: what inside of it is learned from, or learns.
        projection: of its hidden states, where they learn; in training a part of the model.
    """

    model: PreTrainedModel
    hardware: Hardware
    optimiser: Optimiser
    average: AverageOfWeights | None = None
    wanted: Collection[InnerSignal] = ()
    projection: nn.Module | None = None

    def __post_init__(self) -> None:
        """Put the model where it is trained."""
        self._attention = self.model.config._attn_implementation
        self.hardware.move(self.model.train(), is_padded=False)
        if self.hardware.device.type == "cpu" and not self.hardware.compiles:
            _look_up_sparsely(self.model)
        self._signals = PredictedSignals(self.model, self.wanted)
        self.logits = self._signals.logits
        self._fast_signals = self.hardware.compiled(self._signals.__call__)

    @classmethod
    def start(
        cls,
        model: PreTrainedModel,
        settings: OptimiserParameters,
        hardware: Hardware,
        average_decay: float | None = None,
        wanted: Collection[InnerSignal] = (),
        projection: nn.Module | None = None,
    ) -> "Trainee":
        """Begin to train a model; its embeddings stay in float32. With a decay, the average of its weights is kept."""
        if projection is not None:
            model.add_module(PROJECTION, projection)  # so that its optimiser trains it and its state has it
        optimiser = Optimiser(model.to(hardware.device), settings, hardware, keep=nn.Embedding)
        average = None if average_decay is None else AverageOfWeights(optimiser.weights, average_decay)
        return cls(model, hardware, optimiser, average, wanted, projection)

    @property
    def weights(self) -> ParameterBlocks:
        """The model's weights."""
        return self.optimiser.weights

    @property
    def parameters(self) -> int:
        """Number of the model's weights."""
        return parameter_count(self.model) - (0 if self.projection is None else parameter_count(self.projection))

    def predict(self, batch: PredictionBatch) -> Signals:
        """Logits at the predicted positions, and what else is wanted."""
        return self._fast_signals(batch.input_ids, batch.positions)

    def follow(self, step: int) -> None:
        """Have the average, if there is one, follow the weights after a step, counted from 0."""
        if self.average is not None:
            self.average.update(step)

    def kept_weights(self) -> AbstractContextManager[None]:
        """A context in which the model has the weights that are evaluated and kept."""
        return nullcontext() if self.average is None else self.average.in_place()

    def state(self) -> dict[str, Any]:
        """Everything that training changes."""
        return self.optimiser.state() | ({} if self.average is None else {"average": self.average.state()})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self.optimiser.restore(state)
        if self.average is not None:
            self.average.restore(state["average"])

    def finished_model(self) -> PreTrainedModel:
        """The model as others use it: in float32, on the CPU, as if it had never been in training."""
        if self.average is not None:
            self.average.exchange()
        self.model.get_input_embeddings().sparse = False
        self._signals.detach()
        _give_back(self.model, self.weights, self._attention)
        if self.projection is not None:
            delattr(self.model, PROJECTION)
        return self.model.cpu().eval()


def _look_up_sparsely(model: PreTrainedModel) -> None:
    """Use a sparse gradient for the input embedding: that of the rows that were looked up.

    Only where the embedding is tied to the output layer: the sum of both gradients is dense, which is cheap to gather.
    """
    embedding, output_layer = model.get_input_embeddings(), model.get_output_embeddings()
    embedding.sparse = output_layer is not None and output_layer.weight is embedding.weight


def _give_back(model: PreTrainedModel, weights: ParameterBlocks, attention: str) -> None:
    """Leave a model with float32 weights of its own and the attention that it had."""
    weights.give_back()
    restore_attention(model)
    model.set_attn_implementation(attention)


@dataclass
class FrozenModel:
    """A model that others learn from."""

    model: PreTrainedModel
    hardware: Hardware
    wanted: Collection[InnerSignal] = ()

    def __post_init__(self) -> None:
        """Put the model where it is used."""
        self._attention = self.model.config._attn_implementation
        self.hardware.move(self.model.eval().requires_grad_(False), is_padded=False)
        self.weights = ParameterBlocks(self.model, self.hardware.dtype, keep=nn.Embedding)
        self._signals = PredictedSignals(self.model, self.wanted)
        self._fast_signals = self.hardware.compiled(self._signals.__call__)

    def give_back(self) -> None:
        """Leave the model as it was found."""
        self._signals.detach()
        _give_back(self.model, self.weights, self._attention)

    @torch.no_grad()
    def predict(self, batch: PredictionBatch) -> Signals:
        """Logits at the predicted positions, and what else is wanted, without gradient."""
        return self._fast_signals(batch.input_ids, batch.positions)


class NoModel:
    """The place of a model that a method does without."""

    def predict(self, batch: PredictionBatch) -> Signals:
        """Predict nothing."""
        return Signals(None)


class MovingAverage(FrozenModel):
    """The exponential moving average of a trained model's weights."""

    def __init__(
        self, followed: PreTrainedModel, hardware: Hardware, decay: float, wanted: Collection[InnerSignal] = ()
    ) -> None:
        """Start from a copy; call it before the model is wrapped otherwise."""
        super().__init__(copy.deepcopy(followed), hardware, wanted)
        self._decay = decay

    @torch.no_grad()
    def update(self, followed: ParameterBlocks) -> None:
        """Go a step towards the weights of the followed model."""
        own, wanted = self.weights.weights, followed.weights
        torch._foreach_lerp_(list(own.values()), [wanted[name] for name in own], 1 - self._decay)
        self.weights.round()


Model = Trainee | FrozenModel | NoModel
