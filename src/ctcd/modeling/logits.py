"""Logits at predicted positions only.

Hugging Face models compute logits at every position; with 15 % of the positions predicted that is most of a small
model's work. Here the last layer's feed-forward part, too, sees the predicted positions alone: nothing else reads it.
"""

import threading
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from ctcd.modeling.families import FAMILIES, PositionWise

# Matrix products on a GPU want sizes that are multiples of this; on a CPU they do not care.
VOCABULARY_MULTIPLE = {"cuda": 64}


class PredictedLogits:
    """A model as a function from tokens and predicted positions to logits there."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Wrap a model of a family in `FAMILIES`; called in any other way, the model works as before."""
        self._model = model
        self._family = FAMILIES[model.config.model_type]
        self._narrowing = _Narrowing()
        part = self._family.position_wise
        self._hooks: list[RemovableHandle] = []
        if part is not None:
            self._hooks = self._narrowing.attach(part, model)
        self._selects = part is not None and part.last is None

    def __call__(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """Compute the logits.

        Args:
            input_ids: (sequences, length), without padding.
            positions: (positions,) indices into the flattened batch, ascending.

        Returns:
            (positions, vocabulary)
        """
        self._narrowing.positions = positions
        # The key-value cache of causal models serves generation only.
        options = {} if self._family.objective == "mlm" else {"use_cache": False}
        hidden = self._model.base_model(input_ids=input_ids, **options).last_hidden_state.flatten(0, 1)
        self._narrowing.positions = None
        if not self._selects:
            hidden = hidden.index_select(0, positions)
        output_layer = self._model.get_output_embeddings()
        return _padded_linear(
            self._family.transform(self._model, hidden), output_layer, VOCABULARY_MULTIPLE.get(hidden.device.type, 1)
        )

    def detach(self) -> None:
        """Leave the model without hooks."""
        for hook in self._hooks:
            hook.remove()


class _Narrowing(threading.local):
    """Has a model's last layer select positions on the way; each thread that calls the model has positions of its own.

    Held by the model's hooks; it must not reference the model, or the cycle would keep the weights alive.
    """

    positions: Tensor | None = None

    def attach(self, part: PositionWise, model: PreTrainedModel) -> list[RemovableHandle]:
        hooks = [part.first(model).register_forward_pre_hook(self._select)]
        if part.last is not None:
            hooks.append(part.last(model).register_forward_hook(self._put_back))
        return hooks

    def _select(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.positions is None:
            return inputs
        self._shape = inputs[0].shape
        return tuple(hidden.flatten(0, 1).index_select(0, self.positions).unsqueeze(0) for hidden in inputs)

    def _put_back(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if self.positions is None:
            return output
        whole = output.new_zeros(self._shape).flatten(0, 1)
        return whole.index_copy(0, self.positions, output[0]).view(self._shape)


def _padded_linear(hidden: Tensor, layer: nn.Linear, multiple: int) -> Tensor:
    """The output layer, its vocabulary rounded up to a multiple for the matrix product and cut again."""
    vocabulary = layer.weight.shape[0]
    # Where an embedding shares the weights they are float32, whatever the model computes in.
    weight = layer.weight.to(hidden.dtype)
    bias: Tensor | None = layer.bias
    missing = -vocabulary % multiple
    if missing:
        weight = nn.functional.pad(weight, (0, 0, 0, missing))
        bias = None if bias is None else nn.functional.pad(bias, (0, missing))
    return nn.functional.linear(hidden, weight, bias)[:, :vocabulary]
