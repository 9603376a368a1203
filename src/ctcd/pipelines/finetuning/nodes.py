"""Nodes of the fine-tuning pipeline."""

from typing import Any

import pandas as pd

from ctcd.parameters import ExecutionParameters, FinetuningParameters


def finetune_model(
    model: Any, probes: Any, glue: Any, finetuning: FinetuningParameters, execution: ExecutionParameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fine-tune a pre-trained model on every task of the suite; returns scores and predictions."""
    from ctcd.evaluation.scoring import score_model
    from ctcd.evaluation.tasks import chosen_tasks

    suite = {"probes": probes, "glue": glue}[finetuning.suite]
    return score_model(model.folder, suite, chosen_tasks(finetuning), finetuning, execution)


def score_majority(probes: Any, glue: Any, finetuning: FinetuningParameters) -> pd.DataFrame:
    """What the most frequent class scores on every task: the floor of the report."""
    from ctcd.evaluation.scoring import score_majority_class
    from ctcd.evaluation.tasks import chosen_tasks

    suite = {"probes": probes, "glue": glue}[finetuning.suite]
    return score_majority_class(suite, chosen_tasks(finetuning))
