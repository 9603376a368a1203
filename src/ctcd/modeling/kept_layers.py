"""A model with some of another one's layers, to start a training from (Sanh et al. 2019, DistilBERT)."""

import copy
from collections.abc import Sequence

import torch
from transformers import PretrainedConfig, PreTrainedModel

from ctcd.modeling.architecture import path_of_layers
from ctcd.modeling.families import FAMILIES


def even_layers(count: int, wanted: int) -> list[int]:
    """Numbers of `wanted` layers out of `count`, the first and the last among them, as evenly spread as may be.

    Six of twelve are 0, 2, 4, 7, 9, 11, as in DistilBERT.
    """
    if wanted == 1:
        return [0]
    return [int(place * (count - 1) / (wanted - 1) + 0.5) for place in range(wanted)]


def keep_layers(model: PreTrainedModel, layers: Sequence[int], dropout: float) -> PreTrainedModel:
    """Copy a model of a family in `FAMILIES` with some of its layers, in training as one built anew.

    Embeddings, output layer and what is special to a layer (ModernBERT's local or global attention) come along. What a
    family has at its first layer alone is not copied to another one: ModernBERT's first layer has no norm before
    attention, because the embeddings end with one.

    Args:
        model: is not changed.
        layers: numbers from 0, ascending.
        dropout: all of its rates.
    """
    family, path = FAMILIES[model.config.model_type], path_of_layers(model)
    with torch.random.fork_rng(devices=[]):
        kept = family.model_class.from_config(_configuration(model.config, layers, dropout))
    new_number = {f"{path}.{old}.": f"{path}.{new}." for new, old in enumerate(layers)}
    weights = {}
    for name, weight in model.state_dict().items():
        old = name[: name.find(".", len(path) + 1) + 1] if name.startswith(f"{path}.") else ""
        if not old:
            weights[name] = weight
        elif old in new_number:
            weights[new_number[old] + name.removeprefix(old)] = weight
    wanted = kept.state_dict().keys()
    kept.load_state_dict({name: weight for name, weight in weights.items() if name in wanted})
    return kept


def _configuration(configuration: PretrainedConfig, layers: Sequence[int], dropout: float) -> PretrainedConfig:
    family = FAMILIES[configuration.model_type]
    kept = copy.deepcopy(configuration)
    if types := getattr(configuration, "layer_types", None):
        kept.layer_types = [types[layer] for layer in layers]
    kept.num_hidden_layers = len(layers)
    for name in family.dropouts:
        setattr(kept, name, dropout)
    return kept
