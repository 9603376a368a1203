"""Nodes of the pre-training pipeline."""

from typing import Any

import pandas as pd

from ctcd.engine.settings import ExecutionParameters
from ctcd.pretraining.settings import PretrainingParameters, VariantParameters


def pretrain_models(
    shards: Any,
    tokenizer: Any,
    pretraining: PretrainingParameters,
    variant: VariantParameters,
    execution: ExecutionParameters,
    training_state: Any,
    ready: Any = None,
) -> tuple[Any, ...]:
    """Train a variant's models beside a ready one, if its method has one; returns the models and the history."""
    from ctcd.distillation.methods import find_method
    from ctcd.modeling.card import model_card
    from ctcd.modeling.pretrained import PretrainedModel
    from ctcd.pretraining.loop import pretrain

    settings = variant.applied_to(pretraining)
    method = find_method(variant.method, variant.weights)
    models, history = pretrain(shards, tokenizer, method, settings, execution, training_state, ready)
    table = history.table()
    cards = {
        role: model_card(training_state.label, role, variant.method, settings, shards.metadata, table)
        for role in models
    }
    return *(PretrainedModel(model, tokenizer, cards[role]) for role, model in models.items()), table


def clear_training_state(training_state: Any, history: pd.DataFrame) -> None:
    """Forget the state of a training that is finished: the history is saved last, so all models are on disk by now.

    Kedro runs this node also where it skips the training because older outputs exist: a state that is not the
    history's end is one of another training, which is to be gone on with.
    """
    if training_state.newest_step() == int(history["step"].max()):
        training_state.clear()
