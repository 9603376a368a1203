"""Records, scores and histories of a study's variants -> claims, tables, figures, page."""

from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from itertools import islice
from typing import Any

import pandas as pd
from kedro.pipeline import Node, Pipeline

from ctcd.finetuning.settings import FinetuningParameters
from ctcd.pipelines import of_corpus
from ctcd.pipelines.report import nodes
from ctcd.pretraining.settings import SharedPretraining
from ctcd.reporting.settings import ReportingParameters
from ctcd.studies.study import Study


def create_pipeline(study: Study) -> Pipeline:
    """The report of a study; its outputs begin with `report.<study>.`.

    <variant>.runs, .scores, .minimal_pairs ──> check_models ──> runs ──> provenance
    <corpus>.probes, glue, extra ──> majority_scores, task_checks
    <variant>.scores, majority_scores ──> scores ──> comparison ──> figures
    <variant>.predictions ──> paired_bootstrap, confusions
    <variant>.history ──> histories ──> heldout_losses
    <variant>.robustness ──> robustness
    <variant>.minimal_pairs ──> minimal_pairs
    scores, heldout_losses, robustness, minimal_pairs ──> measurements
    measurements, paired_bootstrap ──> claims ──> report, summary
    """
    variants = list(study.variants)

    def check_models(pretraining: SharedPretraining, every_variant: dict[str, Any], *inputs: Any) -> Any:
        corpora, records, scores, pairs = _cut(inputs, len(study.corpora), *[len(variants)] * 3)
        reports = _by_corpus(corpora)
        return nodes.check_models(
            study, reports, pretraining, every_variant, _named(records), _named(scores), _named(pairs)
        )

    def collect_minimal_pairs(given: Any, *tables: pd.DataFrame) -> pd.DataFrame:
        return nodes.collect_minimal_pairs(given, _named(tables))

    def score_majority(
        finetuning: FinetuningParameters, every_variant: dict[str, Any], glue: Any, extra: Any, *probes: Any
    ) -> pd.DataFrame:
        return nodes.score_majority(study, _by_corpus(probes), glue, extra, finetuning, every_variant)

    def check_tasks(
        finetuning: FinetuningParameters, every_variant: dict[str, Any], glue: Any, extra: Any, *probes: Any
    ) -> pd.DataFrame:
        return nodes.check_tasks(study, _by_corpus(probes), glue, extra, finetuning, every_variant)

    def measure_robustness(*tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.robustness import measure_robustness

        return measure_robustness(_named(tables))

    def collect_scores(majority: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import collect_scores

        return collect_scores(_named(tables), majority)

    def collect_histories(*tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import collect_histories

        return collect_histories(_named(tables))

    def bootstrap_scores(scores: pd.DataFrame, reporting: ReportingParameters, *tables: pd.DataFrame) -> pd.DataFrame:
        return nodes.bootstrap_scores(study, scores, _named(tables), reporting)

    def count_confusions(*tables: pd.DataFrame) -> pd.DataFrame:
        from ctcd.reporting.tables import confusions

        return confusions(_named(tables))

    def draw_figures(comparison: pd.DataFrame, histories: pd.DataFrame, *corpora: Any) -> Any:
        return nodes.draw_figures(comparison, histories, _by_corpus(corpora))

    def write_report(reporting: ReportingParameters, *inputs: Any) -> tuple[str, str]:
        corpora, made = _cut(inputs, len(study.corpora), len(inputs))
        return nodes.write_report(study, reporting, _by_corpus(corpora), *made)

    def _by_corpus(values: tuple[Any, ...]) -> Mapping[str | None, Any]:
        return dict(zip(study.corpora, values, strict=True))

    def _named(tables: tuple[Any, ...]) -> Mapping[str, Any]:
        return dict(zip(variants, tables, strict=True))

    def of_variants(kind: str) -> list[str]:
        return [f"{variant}.{kind}" for variant in variants]

    def own(*names: str) -> list[str]:
        return [f"report.{study.name}.{name}" for name in names]

    def node(function: Callable[..., Any], inputs: list[str], *outputs: str) -> Node:
        made = own(*outputs)
        return Node(function, inputs, made if len(made) > 1 else made[0], name=f"{function.__name__}.{study.name}")

    figures = own("score_differences", "score_bars", "loss_curves")
    tables = own("scores", "comparison", "claims", "measurements", "heldout_losses", "minimal_pairs")
    checked = [*of_variants("runs"), *of_variants("scores"), *of_variants("minimal_pairs")]
    settings = ["params:pretraining", "params:variants"]
    corpus_reports = [of_corpus(corpus, "corpus_report") for corpus in study.corpora]
    probes = [of_corpus(corpus, "probes") for corpus in study.corpora]
    tasks = ["params:finetuning", "params:variants", "glue", "extra"]
    return Pipeline(
        [
            node(check_models, [*settings, *corpus_reports, *checked], "runs"),
            node(nodes.describe_models, own("runs"), "provenance"),
            node(score_majority, [*tasks, *probes], "majority_scores"),
            node(check_tasks, [*tasks, *probes], "task_checks"),
            node(collect_scores, [*own("majority_scores"), *of_variants("scores")], "scores"),
            node(collect_histories, of_variants("history"), "histories"),
            node(_about(study, nodes.compare_scores), [*own("scores"), "params:reporting"], "comparison"),
            node(
                bootstrap_scores, [*own("scores"), "params:reporting", *of_variants("predictions")], "paired_bootstrap"
            ),
            node(count_confusions, of_variants("predictions"), "confusions"),
            node(nodes.measure_losses, own("histories"), "heldout_losses"),
            node(measure_robustness, of_variants("robustness"), "robustness"),
            node(collect_minimal_pairs, ["minimal_pair_files", *of_variants("minimal_pairs")], "minimal_pairs"),
            node(
                nodes.collect_measurements,
                own("scores", "heldout_losses", "robustness", "minimal_pairs"),
                "measurements",
            ),
            node(
                _about(study, nodes.decide_claims),
                [*own("measurements", "paired_bootstrap"), "params:reporting"],
                "claims",
            ),
            node(
                draw_figures,
                [*own("comparison", "histories"), *corpus_reports],
                "score_differences",
                "score_bars",
                "loss_curves",
            ),
            node(
                write_report,
                ["params:reporting", *corpus_reports, *tables, *figures, *own("provenance")],
                "report",
                "summary",
            ),
        ],
        tags="report",
    )


def _cut(values: tuple[Any, ...], *counts: int) -> list[tuple[Any, ...]]:
    """Cut values into groups of so many each."""
    rest = iter(values)
    return [tuple(islice(rest, count)) for count in counts]


def _about(study: Study, function: Callable[..., Any]) -> Callable[..., Any]:
    """A node function that knows its study."""
    return update_wrapper(partial(function, study), function)
