"""What a forward pass gives to learn from: logits at predicted positions, and where wanted what lies inside a model."""

import threading
from collections.abc import Collection
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PretrainedConfig, PreTrainedModel

from ctcd.modeling.architecture import path_of_layers
from ctcd.modeling.families import FAMILIES, InnerSignal
from ctcd.modeling.logits import PredictedLogits


class Signals(NamedTuple):
    """What a model gives for a batch; what is not wanted is empty."""

    logits: Tensor | None  # (positions, vocabulary); None without a model
    hidden_states: tuple[Tensor, ...] = ()  # what each layer gives, the lowest first: (positions, width)
    projected: tuple[Tensor, ...] = ()  # queries, keys and values of the last layer: (sequences, length, width)


class PredictedSignals:
    """A model as a function from tokens and predicted positions to `Signals`."""

    def __init__(self, model: PreTrainedModel, wanted: Collection[InnerSignal] = ()) -> None:
        """Wrap a model of a family in `FAMILIES`; called in any other way, the model works as before."""
        self.logits = PredictedLogits(model)
        self._inside = _Inside()
        self._hooks = self._inside.attach(model, wanted)
        self._looks_inside = bool(wanted)  # compiled code cannot ask the hooks

    def __call__(self, input_ids: Tensor, positions: Tensor) -> Signals:
        """Compute the signals.

        Args:
            input_ids: (sequences, length), without padding.
            positions: (positions,) indices into the flattened batch, ascending.
        """
        if not self._looks_inside:
            return Signals(self.logits(input_ids, positions))
        self._inside.begin(positions)
        logits = self.logits(input_ids, positions)
        return Signals(logits, *self._inside.end())

    def detach(self) -> None:
        """Leave the model without hooks."""
        self.logits.detach()
        for hook in self._hooks:
            hook.remove()


class _Inside(threading.local):
    """Keeps what modules give on the way; each thread that calls the model keeps its own.

    Held by the model's hooks; it must not reference the model, or the cycle would keep the weights alive.
    """

    positions: Tensor | None = None

    def attach(self, model: PreTrainedModel, wanted: Collection[InnerSignal]) -> list[RemovableHandle]:
        layers = list(model.get_submodule(path_of_layers(model)))
        family = FAMILIES[model.config.model_type]
        hooks: list[RemovableHandle] = []
        if "hidden_states" in wanted:
            # The last layer of some families gives the predicted positions alone: see `PositionWise`.
            is_narrowed = family.position_wise is not None and family.position_wise.last is None
            for layer in layers:
                keep = self._keep_narrowed if is_narrowed and layer is layers[-1] else self._keep_hidden
                hooks.append(layer.register_forward_hook(keep))
        if "attention_relations" in wanted:
            modules = {name.rpartition(".")[2]: module for name, module in layers[-1].named_modules()}
            for name in family.projections or (family.joint_projection,):
                hooks.append(modules[name].register_forward_hook(self._keep_projected))
        return hooks

    def begin(self, positions: Tensor) -> None:
        self.positions = positions
        self.hidden: list[Tensor] = []
        self.projected: list[Tensor] = []

    def end(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        self.positions = None
        projected = self.projected
        if len(projected) == 1:
            projected = list(projected[0].chunk(3, dim=-1))
        return tuple(self.hidden), tuple(projected)

    def _keep_hidden(self, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self.positions is not None:
            self.hidden.append(_first(output).flatten(0, 1).index_select(0, self.positions))

    def _keep_narrowed(self, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self.positions is not None:
            self.hidden.append(_first(output).flatten(0, 1))

    def _keep_projected(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if self.positions is not None:
            self.projected.append(output)


def _first(output: Any) -> Tensor:
    """The hidden states of what a layer gives: some families give more beside them."""
    return output[0] if isinstance(output, tuple) else output


def projected_widths(configuration: PretrainedConfig) -> set[int]:
    """Widths of queries, and of keys and values, over all heads."""
    heads, width = configuration.num_attention_heads, configuration.hidden_size
    key_value_heads = getattr(configuration, "num_key_value_heads", None) or heads
    head_width = getattr(configuration, "head_dim", None) or width // heads
    return {heads * head_width, key_value_heads * head_width}
