"""Float32 weights behind a model that computes in bfloat16."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class MasterWeights:
    """A model's weights in float32; in bfloat16 the model computes with a rounded copy of those of its layers.

    Nothing but the output layer's weights is cast in a step then, and what flows between layers takes half of the
    memory. Embeddings stay in float32, because the gradients of many tokens meet in one row: what is looked up is
    rounded. In float32 the weights are the model's own parameters.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Take a model in float32.

        Args:
            model: its parameters outside of embeddings are of `dtype` from now on.
            dtype: float32 or bfloat16.
        """
        self._model, self._hooks = model, []
        embeddings = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        own = {id(weight) for module in embeddings for weight in module.parameters()}
        # From the model's parameters, in their order.
        self.of: dict[nn.Parameter, nn.Parameter] = {}
        for weight in model.parameters():
            if dtype == weight.dtype or id(weight) in own:
                self.of[weight] = weight
            else:
                self.of[weight] = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
                weight.data = weight.detach().to(dtype)
        if dtype != torch.float32:
            self._hooks = [module.register_forward_hook(lambda *given: given[-1].to(dtype)) for module in embeddings]

    @property
    def weights(self) -> list[Tensor]:
        """In float32, in the order of the model's parameters."""
        return list(self.of.values())

    def gather_gradients(self) -> list[Tensor]:
        """Move the model's gradients to the weights, which lets go of them there; gives those that there are."""
        for rounded, weight in self.of.items():
            if rounded is not weight and rounded.grad is not None:
                weight.grad, rounded.grad = rounded.grad.to(weight.dtype), None
        return [weight.grad for weight in self.weights if weight.grad is not None]

    @torch.no_grad()
    def round(self) -> None:
        """Have the model compute with what the weights are now."""
        rounded: list[Tensor] = [each for each, weight in self.of.items() if each is not weight]
        if rounded:
            torch._foreach_copy_(rounded, [weight for each, weight in self.of.items() if each is not weight])

    def state(self) -> dict[str, Any]:
        """The model's state with weights in float32."""
        named = self._model.named_parameters(remove_duplicate=False)
        return self._model.state_dict() | {name: self.of[weight].detach() for name, weight in named}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self._model.load_state_dict(state)  # which rounds
        with torch.no_grad():
            for name, weight in self._model.named_parameters():
                self.of[weight].copy_(state[name])

    def give_back(self) -> None:
        """Leave the model as it was found, with the weights of now."""
        for hook in self._hooks:
            hook.remove()
        for rounded, weight in self.of.items():
            rounded.data = weight.detach()
