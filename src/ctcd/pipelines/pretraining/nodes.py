"""Nodes of the pre-training pipeline."""

from typing import Any

import pandas as pd

from ctcd.parameters import ExecutionParameters, PretrainingParameters, VariantParameters


def pretrain_models(
    shards: Any,
    tokenizer: Any,
    pretraining: PretrainingParameters,
    variant: VariantParameters,
    execution: ExecutionParameters,
    training_state: Any,
) -> tuple[Any, Any, pd.DataFrame]:
    """Train a variant's teacher and student; returns both models and the history."""
    from ctcd.modeling.card import model_card
    from ctcd.modeling.pretrained import PretrainedModel
    from ctcd.training.loop import pretrain

    settings = variant.applied_to(pretraining)
    teacher, student, history = pretrain(shards, tokenizer, variant.method, settings, execution, training_state)
    table = history.table()

    def with_card(model: Any, role: str) -> PretrainedModel:
        card = model_card(training_state.label, role, variant.method, settings, shards.metadata, table)
        return PretrainedModel(model, tokenizer, card)

    return with_card(teacher, "teacher"), with_card(student, "student"), table


def clear_training_state(training_state: Any, history: pd.DataFrame) -> None:
    """Forget the unfinished state. The history is saved last, so both models are on disk by now."""
    training_state.clear()
