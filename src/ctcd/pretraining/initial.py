"""What a model starts from, if not from random weights: a given model or one of another variant, whole or in part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.errors import InputError
from ctcd.lineage.digest import weights_fingerprint
from ctcd.lineage.settings import HUB
from ctcd.modeling.architecture import shape_of
from ctcd.modeling.kept_layers import even_layers, keep_layers
from ctcd.modeling.model_folder import find_model
from ctcd.modeling.pretrained import PretrainedModel, check_given_model, load_given_model
from ctcd.modeling.settings import EVEN, InitialLayers, ModelParameters
from ctcd.pretraining.settings import GIVEN

# What a model has from the one that it starts from.
INHERITED = ("architecture", "layers", "width", "heads", "feed_forward", "width_share")


@dataclass(frozen=True)
class InitialModel:
    """A model that a training starts from.

    Attributes:
        id: identity of its weights: `given/<fingerprint>` or `<run>/<role>`.
        shape: of all of it.
    """

    id: str
    shape: ModelParameters


def find_given_model(source: str) -> ModelParameters:
    """The shape of the model in a folder or, after `hub:` or without it, on the hub; its weights are not fetched.

    Raises:
        InputError: as `load_given_model`.
    """
    return shape_of(check_given_model(_name(source)))


def given_model(source: str) -> InitialModel:
    """The same with the identity of the weights, which are fetched.

    Raises:
        InputError: as `load_given_model`.
    """
    shape = find_given_model(source)
    return InitialModel(f"given/{weights_fingerprint(find_model(_name(source)).folder)}", shape)


def given_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Its tokenizer.

    Raises:
        InputError: as `ModelFolder.tokenizer`.
    """
    return find_model(_name(source)).tokenizer()


def open_given_model(source: str) -> PretrainedModel:
    """The model itself.

    Raises:
        InputError: as `load_given_model`.
    """
    return load_given_model(_name(source))


def _name(source: str) -> str:
    return "none" if source == GIVEN else source.removeprefix(HUB)


def started_shape(shape: ModelParameters, model: InitialModel, own: Mapping[str, Any]) -> ModelParameters:
    """What a model is like that starts from another one; its `initial` has the numbers of the layers.

    Args:
        shape: as the settings have it.
        model: that it starts from.
        own: what the variant itself says of the shape; what all variants share gives way without a word.

    Raises:
        InputError: if the model lacks a layer, or the variant wants another shape than it has.
    """
    layers = _chosen_layers(shape, model.shape.layers)
    started = model.shape.model_copy(update={"layers": len(layers), "dropout": shape.dropout, "options": {}})
    for name in INHERITED:
        if name in own and own[name] != getattr(started, name):
            raise InputError(
                f"A model that starts from '{shape.starts_from}' has {name} {getattr(started, name)}, not {own[name]}: "
                f"remove `{name}` beside `initial`."
            )
    if own.get("options"):
        raise InputError(
            f"A model that starts from '{shape.starts_from}' has its options from there: remove `options` beside "
            "`initial`."
        )
    initial = shape.initial
    if isinstance(initial, InitialLayers):
        initial = initial.model_copy(update={"layers": layers})
    return started.model_copy(update={"initial": initial})


def _chosen_layers(shape: ModelParameters, count: int) -> list[int]:
    if not isinstance(shape.initial, InitialLayers):
        return list(range(count))
    if shape.initial.layers == EVEN:
        if shape.layers > count:
            raise InputError(
                f"'{shape.starts_from}' has {count} layers, and {shape.layers} are wanted of it: lower `layers`."
            )
        return even_layers(count, shape.layers)
    layers = cast(list[int], shape.initial.layers)
    if layers[-1] >= count:
        raise InputError(
            f"'{shape.starts_from}' has {count} layers, from 0 to {count - 1}, and no layer {layers[-1]}: correct "
            "`initial.layers`."
        )
    return layers


def build_initial(shape: ModelParameters, model: PreTrainedModel) -> PreTrainedModel:
    """A model in its state before the first step, with the weights that it starts from.

    Args:
        shape: as `started_shape` makes it.
        model: that it starts from.
    """
    return keep_layers(model, _chosen_layers(shape, model.config.num_hidden_layers), shape.dropout)
