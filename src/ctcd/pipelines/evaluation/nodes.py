"""Nodes of the evaluation pipeline."""

import logging
from typing import Any

import pandas as pd

from ctcd.engine.settings import ExecutionParameters
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.pipelines.finetuning.nodes import chosen_suite
from ctcd.reporting.settings import ReportingParameters
from ctcd.tasks.settings import HELDOUT_TEXT, MinimalPairsParameters

logger = logging.getLogger(__name__)


def evaluate_model(
    model: Any,
    probes: Any,
    glue: Any,
    extra: Any,
    tokens: Any,
    results: Any,
    finetuning: FinetuningParameters,
    execution: ExecutionParameters,
) -> tuple[Any, ...]:
    """Fine-tune a model on every task.

    Returns scores, predictions of the validation and of further splits, failures, predictions of hidden splits, the
    search for settings, and the classifiers that are kept.
    """
    from ctcd.finetuning.classifiers import Classifier, Classifiers
    from ctcd.finetuning.scoring import Stores, score_model
    from ctcd.tasks.tasks import chosen_tasks

    suite = chosen_suite(finetuning, probes, glue, extra)
    scored = score_model(model, suite, chosen_tasks(finetuning), finetuning, execution, Stores(tokens, results))
    predictions = scored.predictions, scored.further_predictions
    kept = Classifiers(tuple(Classifier(task, folder) for task, folder in scored.classifiers.items()))
    return scored.scores, *predictions, scored.failures, scored.test_predictions, scored.search, kept


def evaluate_random_weights(
    model: Any,
    probes: Any,
    glue: Any,
    extra: Any,
    tokens: Any,
    results: Any,
    finetuning: FinetuningParameters,
    execution: ExecutionParameters,
) -> tuple[pd.DataFrame, ...]:
    """The same from random weights: what needs no pre-training."""
    untrained = model.with_random_weights()
    plain = finetuning.model_copy(update={"submission": False, "keep_models": []})
    return evaluate_model(untrained, probes, glue, extra, tokens, results, plain, execution)[:4]


def measure_robustness(
    predictions: pd.DataFrame, further_predictions: pd.DataFrame, finetuning: FinetuningParameters
) -> pd.DataFrame:
    """Score and calibration on the validation splits and on the further ones."""
    from ctcd.tasks import robustness
    from ctcd.tasks.tasks import chosen_tasks

    return robustness.measure_robustness(predictions, further_predictions, chosen_tasks(finetuning))


def evaluate_minimal_pairs(
    model: Any,
    made: Any,
    given: Any,
    results: Any,
    minimal_pairs: MinimalPairsParameters,
    execution: ExecutionParameters,
) -> pd.DataFrame:
    """Accuracy of a model on minimal pairs, beside what others published of the same sets.

    Pairs from held-out text are left out where no corpus made them. An encoder that was saved without its output layer
    cannot be scored: that is said, and the table is empty.
    """
    from ctcd.pipelines.report.nodes import collect_minimal_pairs
    from ctcd.tasks.minimal_pairs import read_sets
    from ctcd.tasks.pair_scoring import NoLanguageModelError, score_pairs

    names = [name for name in minimal_pairs.sets if name != HELDOUT_TEXT or made.has(name)]
    sets = read_sets(minimal_pairs.model_copy(update={"sets": names}), made, given)
    try:
        accuracy = score_pairs(model, sets, execution, results)
    except NoLanguageModelError as error:
        logger.warning("%s", error)
        accuracy = score_pairs(model, {}, execution, results)
    return collect_minimal_pairs(given, {name_in_tables(model): accuracy})


def name_in_tables(model: Any) -> str:
    """The model's own name, unless a control has it."""
    from ctcd.reporting.tables import MAJORITY, UNTRAINED

    return f"model {model.name}" if model.name in (UNTRAINED, MAJORITY) else str(model.name)


def compare_with_controls(
    model: Any,
    majority: pd.DataFrame,
    random_scores: pd.DataFrame,
    scores: pd.DataFrame,
    minimal_pairs: pd.DataFrame,
    reporting: ReportingParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Scores of the model beside its controls; returns the long table, means with intervals, and text.

    There is one pre-training of the model: intervals are over its fine-tuning seeds.
    """
    from ctcd.reporting.minimal_pairs import summarise_minimal_pairs
    from ctcd.reporting.statistics import compare
    from ctcd.reporting.tables import UNTRAINED, collect_scores
    from ctcd.reporting.terminal import pairs_text, scores_text

    name = name_in_tables(model)
    collected = collect_scores({UNTRAINED: random_scores, name: scores}, majority)
    comparison = compare(collected, [(name, UNTRAINED)], reporting.confidence, "seed")
    texts = [scores_text(comparison, "seed"), pairs_text(summarise_minimal_pairs(minimal_pairs))]
    return collected, comparison, "\n\n".join(filter(None, texts))


def bootstrap_scores(
    model: Any,
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    random_predictions: pd.DataFrame,
    reporting: ReportingParameters,
) -> pd.DataFrame:
    """The gain over random weights, resampled over examples and fine-tuning seeds."""
    from ctcd.pipelines.report.nodes import metrics_by_task
    from ctcd.reporting.bootstrap import bootstrap_differences
    from ctcd.reporting.tables import UNTRAINED

    name = name_in_tables(model)
    tables = {UNTRAINED: random_predictions, name: predictions}
    return bootstrap_differences(tables, metrics_by_task(scores), [(name, UNTRAINED)], reporting.confidence, "seed")


def count_confusions(model: Any, predictions: pd.DataFrame) -> pd.DataFrame:
    """How often each class is taken for each other one."""
    from ctcd.reporting.tables import confusions

    return confusions({name_in_tables(model): predictions})


def make_submission(test_predictions: pd.DataFrame, finetuning: FinetuningParameters) -> dict[str, str]:
    """Files in the format of the GLUE leaderboard; none for another suite."""
    from ctcd.tasks.submission import submission_files

    if finetuning.suite != "glue" or not finetuning.submission:
        return {}
    return submission_files(test_predictions)
