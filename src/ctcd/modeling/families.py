"""What the Hugging Face model families have in common, and where they differ.

A new family is one entry of `FAMILIES`. Settings are checked against their names, so PyTorch is not imported here.

Logits are computed at predicted positions only. That needs to know two things of a family: what stands between the
hidden states and the output layer, and from where on its last layer treats every position alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedModel

Objective = Literal["mlm", "clm"]
# What lies inside a model and can be learned from: `ctcd.modeling.signals` has it.
InnerSignal = Literal["hidden_states", "attention_relations"]
Transform = Callable[["PreTrainedModel", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class PositionWise:
    """The part of the last layer in which positions do not meet, so that only the predicted ones need it.

    Attributes:
        first: the module that it begins with; all of its inputs hold hidden states.
        last: the module that it ends with, where other positions must be put back because a residual follows; None
            if nothing but position-wise work follows.
    """

    first: Callable[["PreTrainedModel"], "nn.Module"]
    last: Callable[["PreTrainedModel"], "nn.Module"] | None = None


def _from_zero(padding_id: int) -> int:
    return 0


def _after_padding(padding_id: int) -> int:
    """RoBERTa's positions begin at `padding_id` + 1; published models leave two free."""
    return max(2, padding_id + 1)


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        objective: `mlm` (masked tokens) or `clm` (the next token).
        transform: hidden states (positions, width) to what the output layer reads.
        position_wise: None where every position is predicted, or the saving is not worth the code.
        feed_forward: what the configuration calls the width of the feed-forward part.
        dropouts: what it calls the dropout rates.
        projections: modules of an attention layer that compute queries, keys and values; empty where it is one module.
        joint_projection: that one module, which gives the three one after the other.
        unused_positions: how many positions no token has, by the id of the padding token.
    """

    objective: Objective = "mlm"
    transform: Transform = lambda model, hidden: hidden
    position_wise: PositionWise | None = None
    feed_forward: str = "intermediate_size"
    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    projections: tuple[str, ...] = ("query", "key", "value")
    joint_projection: str = ""
    unused_positions: Callable[[int], int] = _from_zero

    @property
    def model_class(self) -> "type[AutoModelForMaskedLM] | type[AutoModelForCausalLM]":
        """The class that builds and opens its models."""
        from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

        return AutoModelForMaskedLM if self.objective == "mlm" else AutoModelForCausalLM


def _bert_head(model: "PreTrainedModel", hidden: "Tensor") -> "Tensor":
    return model.cls.predictions.transform(hidden)


def _roberta_head(model: "PreTrainedModel", hidden: "Tensor") -> "Tensor":
    from torch.nn.functional import gelu

    head = model.lm_head
    return head.layer_norm(gelu(head.dense(hidden)))


def _distilbert_head(model: "PreTrainedModel", hidden: "Tensor") -> "Tensor":
    return model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))


_AFTER_ATTENTION = PositionWise(lambda model: model.base_model.encoder.layer[-1].attention.output)
_BERT = Family(transform=_bert_head, position_wise=_AFTER_ATTENTION)
_ROBERTA = Family(transform=_roberta_head, position_wise=_AFTER_ATTENTION, unused_positions=_after_padding)

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "megatron-bert": _BERT,
    "roberta": _ROBERTA,
    "roberta-prelayernorm": _ROBERTA,
    "electra": Family(
        transform=lambda model, hidden: model.generator_predictions(hidden), position_wise=_AFTER_ATTENTION
    ),
    "distilbert": Family(
        transform=_distilbert_head,
        position_wise=PositionWise(lambda model: model.distilbert.transformer.layer[-1].sa_layer_norm),
        feed_forward="hidden_dim",
        dropouts=("dropout", "attention_dropout"),
        projections=("q_lin", "k_lin", "v_lin"),
    ),
    "modernbert": Family(
        transform=lambda model, hidden: model.head(hidden),
        position_wise=PositionWise(
            lambda model: model.model.layers[-1].mlp_norm, lambda model: model.model.layers[-1].mlp
        ),
        dropouts=("attention_dropout", "embedding_dropout", "mlp_dropout"),
        projections=(),
        joint_projection="Wqkv",
    ),
    "gpt2": Family(
        objective="clm",
        feed_forward="n_inner",
        dropouts=("resid_pdrop", "embd_pdrop", "attn_pdrop"),
        projections=(),
        joint_projection="c_attn",
    ),
    "llama": Family(objective="clm", dropouts=("attention_dropout",), projections=("q_proj", "k_proj", "v_proj")),
}

# Families that are only fine-tuned, whose positions begin as RoBERTa's do.
_LIKE_ROBERTA = (
    "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mpnet",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip


def unused_positions(model_type: str, padding_id: int) -> int:
    """How many positions of a model no token has."""
    if model_type in FAMILIES:
        return FAMILIES[model_type].unused_positions(padding_id)
    return _after_padding(padding_id) if model_type in _LIKE_ROBERTA else 0
