"""Nodes of the fine-tuning pipeline."""

from typing import Any

import pandas as pd

from ctcd.engine.settings import ExecutionParameters
from ctcd.finetuning.settings import FinetuningParameters


def chosen_suite(finetuning: FinetuningParameters, probes: Any, glue: Any, extra: Any) -> Any:
    """The suite that `finetuning.suite` names."""
    return {"probes": probes, "glue": glue, "extra": extra}[finetuning.suite]


def finetune_model(
    model: Any,
    probes: Any,
    glue: Any,
    extra: Any,
    tokens: Any,
    results: Any,
    finetuning: FinetuningParameters,
    execution: ExecutionParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Fine-tune a pre-trained model on every task of the suite; returns scores, predictions and failures."""
    from ctcd.finetuning.scoring import Stores, score_model
    from ctcd.modeling.model_folder import ModelFolder
    from ctcd.tasks.tasks import chosen_tasks

    suite = chosen_suite(finetuning, probes, glue, extra)
    settings = finetuning.model_copy(update={"submission": False})  # that is for the pipeline `evaluation`
    scored = score_model(
        ModelFolder(model.folder), suite, chosen_tasks(settings), settings, execution, Stores(tokens, results)
    )
    return scored.scores, scored.predictions, scored.failures


def score_majority(probes: Any, glue: Any, extra: Any, finetuning: FinetuningParameters) -> pd.DataFrame:
    """What the most frequent class scores on every task: the floor of the report."""
    from ctcd.finetuning.scoring import score_majority_class
    from ctcd.tasks.tasks import chosen_tasks

    return score_majority_class(chosen_suite(finetuning, probes, glue, extra), chosen_tasks(finetuning))


def find_hardest_examples(
    teacher: pd.DataFrame,
    student: pd.DataFrame,
    probes: Any,
    glue: Any,
    extra: Any,
    finetuning: FinetuningParameters,
) -> pd.DataFrame:
    """Validation examples that both models get wrong, or one of them alone, with their texts."""
    from ctcd.finetuning.scoring import read_tasks
    from ctcd.tasks.hard_examples import hardest_examples
    from ctcd.tasks.tasks import chosen_tasks

    data, _ = read_tasks(chosen_suite(finetuning, probes, glue, extra), chosen_tasks(finetuning))
    return hardest_examples(teacher, student, data)
