"""Nodes of the minimal-pairs pipeline."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ctcd.engine.settings import ExecutionParameters
from ctcd.tasks.settings import MinimalPairsParameters

if TYPE_CHECKING:
    from ctcd.lineage.array_store import ArrayStore
    from ctcd.modeling.trained_models import TrainedModels
    from ctcd.tasks.minimal_pairs import PairFolder
else:  # Kedro reads the annotations of parameters when it starts, and must not load PyTorch for that
    ArrayStore = TrainedModels = PairFolder = Any


def score_minimal_pairs(
    models: TrainedModels,
    made: PairFolder,
    given: PairFolder,
    results: ArrayStore,
    minimal_pairs: MinimalPairsParameters,
    execution: ExecutionParameters,
) -> pd.DataFrame:
    """Accuracy of a variant's models on every paradigm of the chosen sets.

    Returns:
        run, pretraining_seed, role, and the columns of `ctcd.tasks.pair_scoring.score_pairs`.
    """
    from ctcd.modeling.model_folder import ModelFolder
    from ctcd.tasks.minimal_pairs import read_sets
    from ctcd.tasks.pair_scoring import ACCURACY_COLUMNS, score_pairs
    from ctcd.tasks.suite import joined

    sets = read_sets(minimal_pairs, made, given)
    columns = ["run", "pretraining_seed", "role", *ACCURACY_COLUMNS]
    tables = [
        score_pairs(ModelFolder(model.folder), sets, execution, results).assign(
            run=model.run, pretraining_seed=model.pretraining_seed, role=model.role
        )
        for model in models
    ]
    return joined(tables, columns)
