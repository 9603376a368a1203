"""Nodes of the pre-training pipeline."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ctcd.distillation.methods import Role
from ctcd.engine.settings import ExecutionParameters
from ctcd.pretraining.settings import SharedPretraining, VariantParameters

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ctcd.corpus.shards import Shards
    from ctcd.lineage.run_store import RunStore
    from ctcd.modeling.trained_models import TrainedModels
    from ctcd.pretraining.variant import Source
else:  # Kedro reads the annotations of parameters when it starts, and must not load PyTorch for that
    PreTrainedTokenizerBase = Shards = RunStore = TrainedModels = Source = Any

Trained = tuple["TrainedModels", pd.DataFrame, list[dict[str, Any]]]


def pretrain_models(
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    pretraining: SharedPretraining,
    variant: VariantParameters,
    execution: ExecutionParameters,
    run_store: RunStore,
    source: Source | None = None,
    initial_teacher: TrainedModels | None = None,
    initial_student: TrainedModels | None = None,
) -> Trained:
    """Train what is missing of a variant, for every seed; returns models, histories and records of the runs.

    `source` and `initial_...` are models that it learns from and starts from.
    """
    from ctcd.pretraining.variant import train_variant

    by_role: dict[Role, TrainedModels | None] = {"teacher": initial_teacher, "student": initial_student}
    initial = {role: models for role, models in by_role.items() if models is not None}
    return train_variant(variant, pretraining, shards, tokenizer, execution, run_store, source, initial)
