"""Logits at predicted positions only.

Hugging Face models compute logits at every position; with 15 % of the positions predicted that is most of a small
model's work. Here the hidden states are selected first.
"""

from collections.abc import Callable

from torch import Tensor
from transformers import PreTrainedModel

# How each family turns hidden states (positions, width) into logits (positions, vocabulary).
PREDICTION_HEADS: dict[str, Callable[[PreTrainedModel, Tensor], Tensor]] = {
    "bert": lambda model, hidden: model.cls(hidden),
    "megatron-bert": lambda model, hidden: model.cls(hidden),
    "roberta": lambda model, hidden: model.lm_head(hidden),
    "roberta-prelayernorm": lambda model, hidden: model.lm_head(hidden),
    "distilbert": lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    "electra": lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
}


def predicted_logits(model: PreTrainedModel, input_ids: Tensor, positions: Tensor) -> Tensor:
    """Logits where tokens are to be predicted.

    Args:
        model: a masked language model of a family in `PREDICTION_HEADS`.
        input_ids: (sequences, length), without padding.
        positions: (positions,) indices into the flattened batch.

    Returns:
        (positions, vocabulary)
    """
    hidden = model.base_model(input_ids=input_ids).last_hidden_state
    selected = hidden.flatten(0, 1).index_select(0, positions)
    return PREDICTION_HEADS[model.config.model_type](model, selected)
