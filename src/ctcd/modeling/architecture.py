"""Models from scratch, by Hugging Face model type and shape."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ctcd.engine.randomness import seed_from
from ctcd.errors import InputError
from ctcd.modeling.families import FAMILIES, unused_positions
from ctcd.modeling.settings import ModelParameters


class Vocabulary(Hashable, Protocol):
    """What a model needs to know of its tokenizer."""

    pad_token_id: int
    cls_token_id: int
    sep_token_id: int

    def __len__(self) -> int: ...


def build_model(
    shape: ModelParameters, tokenizer: Vocabulary, sequence_length: int, seed: int, role: str
) -> PreTrainedModel:
    """A randomly initialised language model: the same weights for the same shape, seed and role.

    Raises:
        InputError: if the architecture cannot be built in that shape or has no such option.
    """
    configuration = build_configuration(shape, tokenizer, sequence_length)
    with torch.random.fork_rng(devices=[]), _refusing(shape.architecture):
        torch.manual_seed(seed_from(seed, role))
        return FAMILIES[shape.architecture].model_class.from_config(configuration)


def build_outline(shape: ModelParameters, tokenizer: Vocabulary, sequence_length: int) -> PreTrainedModel:
    """A model without weights, whose size does not matter: to count on."""
    with torch.device("meta"):
        return build_model(shape, tokenizer, sequence_length, seed=0, role="outline")


def build_configuration(shape: ModelParameters, tokenizer: Vocabulary, sequence_length: int) -> PretrainedConfig:
    """The Hugging Face configuration of a shape over a tokenizer's vocabulary."""
    family = FAMILIES[shape.architecture]
    defaults = AutoConfig.for_model(shape.architecture)
    options = shape.own_options
    unknown = [name for name in options if not hasattr(defaults, name)]
    if unknown:
        raise InputError(
            f"The configuration of '{shape.architecture}' has no option '{unknown[0]}': correct "
            f"pretraining.teacher.options.{shape.architecture} or pretraining.student.options.{shape.architecture}."
        )
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": sequence_length + unused_positions(shape.architecture, tokenizer.pad_token_id),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    settings |= {family.feed_forward: shape.feed_forward, **dict.fromkeys(family.dropouts, shape.dropout)}
    if hasattr(defaults, "num_key_value_heads"):
        settings["num_key_value_heads"] = shape.heads
    with _refusing(shape.architecture):
        return AutoConfig.for_model(shape.architecture, **(settings | options))


def shape_of(configuration: PretrainedConfig) -> ModelParameters:
    """The shape of a model of a family in `FAMILIES`, without dropout and options."""
    # GPT-2 says nothing of the usual width.
    feed_forward = getattr(configuration, FAMILIES[configuration.model_type].feed_forward)
    return ModelParameters(
        architecture=configuration.model_type,
        layers=configuration.num_hidden_layers,
        width=configuration.hidden_size,
        heads=configuration.num_attention_heads,
        feed_forward=feed_forward or 4 * configuration.hidden_size,
    )


def path_of_layers(model: PreTrainedModel) -> str:
    """The name of a model's list of repeated layers, which no other list is as long as."""
    lists = [name for name, module in model.named_modules() if isinstance(module, torch.nn.ModuleList)]
    return next(name for name in lists if len(model.get_submodule(name)) == model.config.num_hidden_layers)


@contextmanager
def _refusing(architecture: str) -> Iterator[None]:
    """Say in a sentence that a family cannot be built as wished: each has rules and errors of its own."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"No '{architecture}' can be built as pretraining.teacher or pretraining.student says ({reason}): correct "
            "its width, heads or options."
        ) from error


def readable_length(configuration: PretrainedConfig) -> int | None:
    """Tokens that a model can read; None if there is no limit."""
    positions = getattr(configuration, "max_position_embeddings", None)
    if not positions or positions < 0:
        return None
    return int(positions) - unused_positions(configuration.model_type, configuration.pad_token_id or 0)


def has_dropout(model: torch.nn.Module) -> bool:
    """Whether anything in a model in training is dropped at random."""
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    # Some families hand this rate to the attention function.
    rates += [getattr(module, "attention_dropout", 0.0) for module in model.modules()]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def parameter_count(model: torch.nn.Module) -> int:
    """Number of weights; tied weights count once."""
    return sum(weight.numel() for weight in model.parameters())
