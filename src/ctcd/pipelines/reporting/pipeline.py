"""Scores and histories of a study's variants -> tables, figures, page."""

from collections.abc import Mapping, Sequence

import pandas as pd
from kedro.pipeline import Node, Pipeline

from ctcd.pipelines.reporting import nodes
from ctcd.reporting.settings import ReportingParameters
from ctcd.reporting.tables import model_name


def create_pipeline(variants: Mapping[str, Sequence[str]]) -> Pipeline:
    """The report over some variants and their trained roles.

    <variant>.<role>.scores, majority_scores ──> scores ──> comparison ──> figures, report, summary
    scores, <variant>.<role>.predictions ──> paired_bootstrap, confusions
    <variant>.history, corpus_report ──> histories ──> heldout_losses
    """
    models = [(variant, role) for variant, roles in variants.items() for role in roles]

    def collect_scores(majority: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import collect_scores as collect

        return collect(tables, models, majority)

    def collect_histories(*tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import collect_histories as collect

        return collect(tables, list(variants))

    def bootstrap_scores(scores: pd.DataFrame, reporting: ReportingParameters, *tables: pd.DataFrame) -> pd.DataFrame:
        names = [model_name(variant, role) for variant, role in models]
        return nodes.bootstrap_scores(scores, dict(zip(names, tables, strict=True)), reporting)

    def count_confusions(*tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import confusions

        return confusions(dict(zip(models, tables, strict=True)))

    predictions = [f"{variant}.{role}.predictions" for variant, role in models]
    model_scores = [f"{variant}.{role}.scores" for variant, role in models]
    figures = ["score_differences", "score_bars", "loss_curves"]
    return Pipeline(
        [
            Node(collect_scores, ["majority_scores", *model_scores], "scores", name="collect_scores"),
            Node(
                collect_histories, [f"{variant}.history" for variant in variants], "histories", name="collect_histories"
            ),
            Node(nodes.compare_scores, ["scores", "params:reporting"], "comparison", name="compare_scores"),
            Node(
                bootstrap_scores,
                ["scores", "params:reporting", *predictions],
                "paired_bootstrap",
                name="bootstrap_scores",
            ),
            Node(count_confusions, predictions, "confusions", name="count_confusions"),
            Node(nodes.measure_losses, ["histories", "corpus_report"], "heldout_losses", name="measure_losses"),
            Node(nodes.draw_figures, ["comparison", "histories", "corpus_report"], figures, name="draw_figures"),
            Node(nodes.describe, ["parameters", "corpus_report"], "provenance", name="describe_run"),
            Node(
                nodes.write_report,
                ["scores", "comparison", "paired_bootstrap", "heldout_losses", *figures, "corpus_report", "provenance"],
                ["report", "summary"],
                name="write_report",
            ),
        ],
        tags="reporting",
    )
