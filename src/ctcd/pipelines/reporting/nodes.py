"""Nodes of the reporting pipeline."""

from typing import Any

import pandas as pd

from ctcd.parameters import Parameters
from ctcd.reporting.settings import ReportingParameters


def compare_scores(scores: pd.DataFrame, reporting: ReportingParameters) -> pd.DataFrame:
    """Per task and on the mean: every model, and the differences that answer the study's questions."""
    from ctcd.reporting.statistics import compare

    return compare(scores, reporting.confidence)


def bootstrap_scores(
    scores: pd.DataFrame, predictions: dict[str, pd.DataFrame], reporting: ReportingParameters
) -> pd.DataFrame:
    """The same differences, resampled over examples and seeds; `predictions` are by the model's name."""
    from ctcd.reporting.bootstrap import bootstrap_differences
    from ctcd.reporting.statistics import differences

    metrics = {str(task): list(rows.unique()) for task, rows in scores.groupby("task", sort=False)["metric"]}
    return bootstrap_differences(predictions, metrics, differences(list(predictions)), reporting.confidence)


def measure_losses(histories: pd.DataFrame, corpus_report: dict[str, Any]) -> pd.DataFrame:
    """Final held-out loss of every model beside the unigram entropy of the corpus."""
    from ctcd.reporting.tables import heldout_losses, model_names

    counts = histories[histories["metric"] == "parameters"]
    parameters = dict(zip(model_names(counts), counts["value"].astype(int), strict=True))
    return heldout_losses(histories, corpus_report["unigram_entropy"], parameters)


def draw_figures(comparison: pd.DataFrame, histories: pd.DataFrame, corpus_report: dict[str, Any]) -> tuple[Any, ...]:
    """Score differences, score bars and loss curves."""
    from ctcd.reporting.figures import loss_curves, score_bars, score_differences

    return (
        score_differences(comparison),
        score_bars(comparison),
        loss_curves(histories, corpus_report["unigram_entropy"]),
    )


def describe(parameters: dict[str, Any], corpus_report: dict[str, Any]) -> dict[str, Any]:
    """What produced the numbers: commit, versions, machine, parameters, data."""
    from ctcd.reporting.provenance import describe_run

    plain = Parameters.model_validate(parameters).model_dump(mode="json", exclude_none=True)
    return describe_run(plain) | {"data_fingerprint": corpus_report["fingerprint"]}


def write_report(
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    bootstrap: pd.DataFrame,
    losses: pd.DataFrame,
    score_differences: Any,
    score_bars: Any,
    loss_curves: Any,
    corpus_report: dict[str, Any],
    provenance: dict[str, Any],
) -> tuple[str, str]:
    """The page, and the summary for the terminal."""
    from ctcd.reporting.page import render_report
    from ctcd.reporting.terminal import comparison_text
    from ctcd.reporting.verdicts import verdicts

    page = render_report(
        scores=scores,
        comparison=comparison,
        bootstrap=bootstrap,
        losses=losses,
        verdicts=verdicts(comparison, losses),
        differences_figure=score_differences,
        scores_figure=score_bars,
        losses_figure=loss_curves,
        corpus=corpus_report,
        provenance=provenance,
    )
    return page, comparison_text(comparison, losses)
