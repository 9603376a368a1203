"""What the Hugging Face model families have in common, and where they differ.

Logits are computed at predicted positions only. That needs to know two things of a family: what stands between the
hidden states and the output layer, and from where on its last layer treats every position alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

Objective = Literal["mlm", "clm"]
Transform = Callable[[PreTrainedModel, Tensor], Tensor]


@dataclass(frozen=True)
class PositionWise:
    """The part of the last layer in which positions do not meet, so that only the predicted ones need it.

    Attributes:
        first: the module that it begins with; all of its inputs hold hidden states.
        last: the module that it ends with, where other positions must be put back because a residual follows; None
            if nothing but position-wise work follows.
    """

    first: Callable[[PreTrainedModel], nn.Module]
    last: Callable[[PreTrainedModel], nn.Module] | None = None


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        objective: `mlm` (masked tokens) or `clm` (the next token).
        transform: hidden states (positions, width) to what the output layer reads.
        position_wise: None where every position is predicted, or the saving is not worth the code.
    """

    objective: Objective = "mlm"
    transform: Transform = lambda model, hidden: hidden
    position_wise: PositionWise | None = None

    @property
    def model_class(self) -> type[AutoModelForMaskedLM] | type[AutoModelForCausalLM]:
        """The class that builds and opens its models."""
        return AutoModelForMaskedLM if self.objective == "mlm" else AutoModelForCausalLM


def _bert_head(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    return model.cls.predictions.transform(hidden)


def _roberta_head(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    head = model.lm_head
    return head.layer_norm(nn.functional.gelu(head.dense(hidden)))


def _distilbert_head(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    return model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))


_AFTER_ATTENTION = PositionWise(lambda model: model.base_model.encoder.layer[-1].attention.output)

FAMILIES: dict[str, Family] = {
    "bert": Family(transform=_bert_head, position_wise=_AFTER_ATTENTION),
    "megatron-bert": Family(transform=_bert_head, position_wise=_AFTER_ATTENTION),
    "roberta": Family(transform=_roberta_head, position_wise=_AFTER_ATTENTION),
    "roberta-prelayernorm": Family(transform=_roberta_head, position_wise=_AFTER_ATTENTION),
    "electra": Family(
        transform=lambda model, hidden: model.generator_predictions(hidden), position_wise=_AFTER_ATTENTION
    ),
    "distilbert": Family(
        transform=_distilbert_head,
        position_wise=PositionWise(lambda model: model.distilbert.transformer.layer[-1].sa_layer_norm),
    ),
    "modernbert": Family(
        transform=lambda model, hidden: model.head(hidden),
        position_wise=PositionWise(
            lambda model: model.model.layers[-1].mlp_norm, lambda model: model.model.layers[-1].mlp
        ),
    ),
    "gpt2": Family(objective="clm"),
    "llama": Family(objective="clm"),
}
