"""A model's weights in a few large tensors: float32 behind a model that may compute in bfloat16."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

# Weights begin at multiples of this many elements, as matrix products on a GPU want them.
ALIGNMENT = 64

Keep = type[nn.Module] | tuple[type[nn.Module], ...]


class Block:
    """Some weights of a model, one after the other in one tensor.

    Attributes:
        weights: (elements,) float32.
        rounded: (elements,) in the type that the model computes in. The model's parameters are views of it. In float32
            it is `weights` itself.
        gradients: (elements,) filled by `gather_gradients`; between the weights it is zero.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], dtype: torch.dtype, gradient_dtype: torch.dtype | None
    ) -> None:
        """Move parameters here, by name; without a type of gradients the block has none."""
        self.parameters = dict(parameters)
        sizes = [_aligned(each.numel()) for each in self.parameters.values()]
        self._starts = [0, *accumulate(sizes)]
        device = next(iter(self.parameters.values())).device
        self.weights = torch.zeros(self._starts[-1], device=device)
        torch._foreach_copy_(
            list(self.views(self.weights).values()), [each.detach() for each in self.parameters.values()]
        )
        self.rounded = self.weights.to(dtype)
        for parameter, view in zip(self.parameters.values(), self.views(self.rounded).values(), strict=True):
            parameter.data = view
        self.gradients = torch.zeros_like(self.weights if gradient_dtype else self.weights[:0], dtype=gradient_dtype)
        self._gradient_views = list(self.views(self.gradients).values()) if gradient_dtype else []

    def views(self, values: Tensor) -> dict[str, Tensor]:
        """Parts of an (elements,) tensor by the name of the parameter, each in the parameter's shape."""
        return {
            name: values[start : start + parameter.numel()].view(parameter.shape)
            for (name, parameter), start in zip(self.parameters.items(), self._starts, strict=False)
        }

    def matrices(self, values: Tensor) -> Tensor:
        """An (elements,) tensor as (count, rows, columns); all parameters must be matrices of one shape."""
        shape = next(iter(self.parameters.values())).shape
        return values.view(len(self.parameters), -1)[:, : shape.numel()].view(-1, *shape)

    def gather_gradients(self) -> None:
        """Move the parameters' gradients here; that of a parameter that nothing depends on is zero."""
        views, gradients = [], []
        for view, parameter in zip(self._gradient_views, self.parameters.values(), strict=True):
            if parameter.grad is None:
                view.zero_()
                continue
            views.append(view)
            gradients.append(parameter.grad)
            parameter.grad = None
        if gradients:
            torch._foreach_copy_(views, gradients)

    def round(self) -> None:
        """Have the model compute with what the weights are now."""
        if self.rounded is not self.weights:
            self.rounded.copy_(self.weights)


class ParameterBlocks:
    """All weights of a model, in blocks.

    In bfloat16 the model computes with a rounded copy, so that nothing is cast in a step and small updates are not
    lost. Modules of the types in `keep` stay in float32; what they give is rounded. Embeddings want that: the gradients
    of many tokens meet in one row.
    """

    def __init__(
        self,
        model: nn.Module,
        dtype: torch.dtype,
        groups: Sequence[Sequence[nn.Parameter]] | None = None,
        keep: Keep = (),
        gradient_dtype: torch.dtype | None = None,
    ) -> None:
        """Take a model in float32, on its device.

        Args:
            model: its parameters are views of the blocks from now on.
            dtype: float32 or bfloat16.
            groups: parameters that share blocks; by default all of them.
            keep: types of modules that stay in float32.
            gradient_dtype: of the gradients of what does not stay in float32; None for a model that is not trained.
        """
        self._model = model
        names = {parameter: name for name, parameter in model.named_parameters()}
        kept_modules = [module for module in model.modules() if isinstance(module, keep)]
        kept = {parameter for module in kept_modules for parameter in module.parameters()}
        self.groups: list[list[Block]] = []
        exact = None if gradient_dtype is None else torch.float32
        for group in [list(names)] if groups is None else groups:
            parts = [each for each in group if each not in kept], [each for each in group if each in kept]
            types = (dtype, gradient_dtype), (torch.float32, exact)
            self.groups.append(
                [
                    Block({names[each]: each for each in part}, *part_types)
                    for part, part_types in zip(parts, types, strict=True)
                    if part
                ]
            )
        self._hooks: list[RemovableHandle] = []
        if dtype != torch.float32:
            self._hooks = [module.register_forward_hook(lambda *given: given[-1].to(dtype)) for module in kept_modules]

    @property
    def blocks(self) -> list[Block]:
        """All blocks, group by group."""
        return [block for group in self.groups for block in group]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The float32 weights by name, in the order of the model's parameters."""
        found = named(self.blocks, [block.weights for block in self.blocks])
        return {name: found[name] for name, _ in self._model.named_parameters()}

    def gather_gradients(self) -> None:
        """Move the model's gradients to the gradient blocks."""
        for block in self.blocks:
            block.gather_gradients()

    def forget_gradients(self) -> None:
        """Let go of the gradients that the model has gathered."""
        for block in self.blocks:
            for parameter in block.parameters.values():
                parameter.grad = None

    def round(self) -> None:
        """Have the model compute with what the weights are now."""
        for block in self.blocks:
            block.round()

    def state(self) -> dict[str, Any]:
        """The model's state with weights in float32, by name."""
        found = self.weights
        weights = {id(parameter): found[name] for name, parameter in self._model.named_parameters()}
        everywhere = self._model.named_parameters(remove_duplicate=False)
        return self._model.state_dict() | {name: weights[id(parameter)] for name, parameter in everywhere}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo `state`."""
        self._model.load_state_dict(state)  # rounds, and restores buffers
        fill(self.blocks, [block.weights for block in self.blocks], state)

    def give_back(self) -> None:
        """Leave the model with float32 weights of its own and without hooks."""
        for hook in self._hooks:
            hook.remove()
        weights = self.weights
        for name, parameter in self._model.named_parameters():
            parameter.data = weights[name].clone()


def named(blocks: Iterable[Block], values: Iterable[Tensor]) -> dict[str, Tensor]:
    """The parts of one (elements,) tensor for each block, by the name of the parameter."""
    return {name: view for block, each in zip(blocks, values, strict=True) for name, view in block.views(each).items()}


def fill(blocks: Iterable[Block], values: Iterable[Tensor], state: Mapping[str, Tensor]) -> None:
    """Undo `named`: copy tensors by name into one (elements,) tensor for each block."""
    for name, view in named(blocks, values).items():
        view.copy_(state[name])


def _aligned(elements: int) -> int:
    return -(-elements // ALIGNMENT) * ALIGNMENT
