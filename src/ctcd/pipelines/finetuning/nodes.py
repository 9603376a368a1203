"""Nodes of the fine-tuning pipeline."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ctcd.engine.settings import ExecutionParameters
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.pretraining.settings import VariantParameters

if TYPE_CHECKING:
    from ctcd.finetuning.classifiers import Classifiers
    from ctcd.lineage.array_store import ArrayStore
    from ctcd.modeling.trained_models import TrainedModels
    from ctcd.tasks.suite import Suite
else:  # Kedro reads the annotations of parameters when it starts, and must not load PyTorch for that
    ArrayStore = Classifiers = TrainedModels = Suite = Any


def chosen_suite(finetuning: FinetuningParameters, probes: Suite, glue: Suite, extra: Suite) -> Suite:
    """The suite that `finetuning.suite` names; of none of them nothing is read."""
    return {"probes": probes, "glue": glue, "extra": extra}.get(finetuning.suite, probes)


def finetune_models(
    models: TrainedModels,
    probes: Suite,
    glue: Suite,
    extra: Suite,
    tokens: ArrayStore,
    results: ArrayStore,
    finetuning: FinetuningParameters,
    variant: VariantParameters,
    execution: ExecutionParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Classifiers, pd.DataFrame]:
    """Fine-tune a variant's models on every task of the suite.

    Returns scores, predictions of the validation splits, predictions of further splits, the classifiers that are kept,
    and failures.

    Each table says in its first columns which model a row is about: run, pretraining_seed, role.
    """
    from ctcd.finetuning.classifiers import Classifier, Classifiers
    from ctcd.finetuning.scoring import Stores, score_models
    from ctcd.modeling.model_folder import ModelFolder
    from ctcd.tasks.tasks import chosen_tasks

    settings = finetuning.changed({**variant.finetuning, "submission": False})  # that is for the pipeline `evaluation`
    suite = chosen_suite(settings, probes, glue, extra)
    folders = [ModelFolder(model.folder) for model in models]
    scored = score_models(folders, suite, chosen_tasks(settings), settings, execution, Stores(tokens, results))

    def collected(table: str) -> pd.DataFrame:
        named = [getattr(each, table).copy() for each in scored]
        for model, rows in zip(models, named, strict=True):
            rows.insert(0, "role", model.role)
            rows.insert(0, "pretraining_seed", model.pretraining_seed)
            rows.insert(0, "run", model.run)
        return pd.concat(named, ignore_index=True)

    tables = ("scores", "predictions", "further_predictions", "failures")
    scores, predictions, further_predictions, failures = map(collected, tables)
    kept = [
        Classifier(task, folder, model.pretraining_seed, model.role, model.run)
        for model, each in zip(models, scored, strict=True)
        for task, folder in each.classifiers.items()
    ]
    return scores, predictions, further_predictions, Classifiers(tuple(kept)), failures


def measure_robustness(
    predictions: pd.DataFrame,
    further_predictions: pd.DataFrame,
    finetuning: FinetuningParameters,
    variant: VariantParameters,
) -> pd.DataFrame:
    """Score and calibration of every fine-tuned model on the validation splits and on the further ones."""
    from ctcd.tasks import robustness
    from ctcd.tasks.tasks import chosen_tasks

    tasks = chosen_tasks(finetuning.changed(variant.finetuning))
    return robustness.measure_robustness(predictions, further_predictions, tasks)


def score_majority(probes: Suite, glue: Suite, extra: Suite, finetuning: FinetuningParameters) -> pd.DataFrame:
    """What the most frequent class scores on every task: the floor of the report."""
    from ctcd.finetuning.scoring import score_majority_class
    from ctcd.tasks.tasks import chosen_tasks

    return score_majority_class(chosen_suite(finetuning, probes, glue, extra), chosen_tasks(finetuning))


def check_tasks(probes: Suite, glue: Suite, extra: Suite, finetuning: FinetuningParameters) -> pd.DataFrame:
    """What is wrong with the tasks' examples, counted."""
    from ctcd.finetuning.scoring import read_tasks
    from ctcd.tasks import checks
    from ctcd.tasks.tasks import chosen_tasks

    data, _ = read_tasks(chosen_suite(finetuning, probes, glue, extra), chosen_tasks(finetuning))
    return checks.check_tasks(data.values())


def find_hard_examples(
    predictions: pd.DataFrame,
    probes: Suite,
    glue: Suite,
    extra: Suite,
    finetuning: FinetuningParameters,
    variant: VariantParameters,
) -> pd.DataFrame:
    """Validation examples that both models of the first seed get wrong, or one of them alone, with their texts."""
    from ctcd.finetuning.scoring import read_tasks
    from ctcd.tasks.hard_examples import hardest_examples
    from ctcd.tasks.tasks import chosen_tasks

    first = predictions[predictions["pretraining_seed"] == predictions["pretraining_seed"].min()]
    teacher, student = (first[first["role"] == role] for role in ("teacher", "student"))
    settings = finetuning.changed(variant.finetuning)
    data, _ = read_tasks(chosen_suite(settings, probes, glue, extra), chosen_tasks(settings))
    return hardest_examples(teacher, student, data)
