"""Nodes of the report pipeline."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ctcd.finetuning.settings import FinetuningParameters
from ctcd.pretraining.settings import SharedPretraining, VariantParameters
from ctcd.reporting.settings import ReportingParameters
from ctcd.studies.study import Study

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ctcd.tasks.minimal_pairs import PairFolder
    from ctcd.tasks.suite import Suite
else:  # Kedro reads the annotations of parameters when it starts, and must not load plotly for that
    Figure = PairFolder = Suite = Any

Record = Mapping[str, Any]


def check_models(
    study: Study,
    corpora: Mapping[str | None, Mapping[str, Any]],
    pretraining: SharedPretraining,
    variants: Mapping[str, Any],
    records: Mapping[str, Sequence[Record]],
    scores: Mapping[str, pd.DataFrame],
    minimal_pairs: Mapping[str, pd.DataFrame],
) -> list[Record]:
    """Refuse models that the present settings would not train; returns the records of all trainings.

    Raises:
        InputError: naming the variant and the first difference.
    """
    from ctcd.pretraining.check import check_records, check_scores
    from ctcd.pretraining.plan import plan_variants

    for corpus, corpus_report in corpora.items():
        ordered = [variant for variant in study.in_order() if variant.corpus == corpus]
        settings = {variant.name: VariantParameters.model_validate(variants[variant.name]) for variant in ordered}
        sources = {variant.name: variant.source for variant in ordered}
        planned = plan_variants(settings, sources, pretraining, corpus_report)
        for variant in ordered:
            check_records(variant.name, records[variant.name], planned[variant.name])
            for kind, tables in (("scores", scores), ("minimal pairs", minimal_pairs)):
                if len(table := tables[variant.name]):
                    check_scores(variant.name, records[variant.name], list(table["run"].unique()), kind)
    return [record for variant in study.variants for record in records[variant]]


def score_majority(
    study: Study,
    probes: Mapping[str | None, Suite],
    glue: Suite,
    extra: Suite,
    finetuning: FinetuningParameters,
    variants: Mapping[str, Any],
) -> pd.DataFrame:
    """What the most frequent class scores on every task of the study: the floor of the report."""
    from ctcd.pipelines.finetuning.nodes import score_majority

    table = _of_every_task(score_majority, study, probes, (glue, extra), finetuning, variants)
    return table.drop_duplicates(["task", "split", "metric"])


def check_tasks(
    study: Study,
    probes: Mapping[str | None, Suite],
    glue: Suite,
    extra: Suite,
    finetuning: FinetuningParameters,
    variants: Mapping[str, Any],
) -> pd.DataFrame:
    """What is wrong with the examples of the study's tasks, counted."""
    from ctcd.pipelines.finetuning.nodes import check_tasks

    return _of_every_task(check_tasks, study, probes, (glue, extra), finetuning, variants).drop_duplicates()


def _of_every_task(
    function: Callable[..., pd.DataFrame],
    study: Study,
    probes: Mapping[str | None, Suite],
    others: tuple[Suite, Suite],
    finetuning: FinetuningParameters,
    variants: Mapping[str, Any],
) -> pd.DataFrame:
    """What a function says of the tasks of every corpus and setting of fine-tuning that the study's variants have."""
    chosen: list[tuple[str | None, FinetuningParameters]] = []
    for name, variant in study.variants.items():
        differences = VariantParameters.model_validate(variants[name]).finetuning
        if (each := (variant.corpus, finetuning.changed(differences))) not in chosen:
            chosen.append(each)
    tables = [function(probes[corpus], *others, settings) for corpus, settings in chosen]
    return pd.concat(tables, ignore_index=True)


def compare_scores(study: Study, scores: pd.DataFrame, reporting: ReportingParameters) -> pd.DataFrame:
    """Per task and on the mean: every model, the differences that are claimed, and the gains over random weights."""
    from ctcd.reporting.statistics import compare

    return compare(scores, _pairs(study), reporting.confidence, "pretraining_seed")


def bootstrap_scores(
    study: Study, scores: pd.DataFrame, predictions: Mapping[str, pd.DataFrame], reporting: ReportingParameters
) -> pd.DataFrame:
    """The same differences, resampled over pre-training seeds and examples; `predictions` are by variant."""
    from ctcd.reporting.bootstrap import bootstrap_differences
    from ctcd.reporting.tables import model_name

    by_model = {
        model_name(variant, str(role)): rows
        for variant, table in predictions.items()
        for role, rows in table.groupby("role", sort=False)
    }
    return bootstrap_differences(
        by_model, metrics_by_task(scores), _pairs(study), reporting.confidence, "pretraining_seed"
    )


def metrics_by_task(scores: pd.DataFrame) -> dict[str, list[str]]:
    """The names of the metrics that a table of scores has for each task."""
    return {str(task): list(rows.unique()) for task, rows in scores.groupby("task", sort=False)["metric"]}


def measure_losses(histories: pd.DataFrame) -> pd.DataFrame:
    """The held-out loss at the end of every training."""
    from ctcd.reporting.tables import final_losses

    return final_losses(histories)


def collect_minimal_pairs(given: PairFolder, minimal_pairs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The accuracies of all models, and what others published of the same sets; `minimal_pairs` are by variant."""
    from ctcd.reporting import minimal_pairs as reporting

    sets = {str(name) for table in minimal_pairs.values() for name in table["set"].unique()}
    published = {name: given.published_accuracy(name) for name in sorted(sets)}
    return reporting.collect_minimal_pairs(
        minimal_pairs, {name: table for name, table in published.items() if table is not None}
    )


def collect_measurements(
    scores: pd.DataFrame, losses: pd.DataFrame, robustness: pd.DataFrame, minimal_pairs: pd.DataFrame
) -> pd.DataFrame:
    """Everything that models are compared by, seed by seed."""
    from ctcd.reporting import measurements
    from ctcd.reporting.minimal_pairs import measure_minimal_pairs

    return measurements.collect_measurements(scores, losses, robustness, measure_minimal_pairs(minimal_pairs))


def decide_claims(
    study: Study, measurements: pd.DataFrame, bootstrap: pd.DataFrame, reporting: ReportingParameters
) -> pd.DataFrame:
    """The study's claims with their verdicts."""
    from ctcd.reporting.claims import check_claims

    return check_claims(study.claims, measurements, bootstrap, reporting.confidence)


def draw_figures(
    comparison: pd.DataFrame, histories: pd.DataFrame, corpora: Mapping[str | None, Mapping[str, Any]]
) -> tuple[Figure, ...]:
    """Score differences, score bars and loss curves."""
    from ctcd.reporting.figures import loss_curves, score_bars, score_differences

    return (
        score_differences(comparison),
        score_bars(comparison),
        loss_curves(histories, {corpus: report["unigram_entropy"] for corpus, report in corpora.items()}),
    )


def describe_models(records: Sequence[Record]) -> dict[str, Any]:
    """What the models were made by, from the records of their trainings."""
    from ctcd.reporting.provenance import describe_runs

    return describe_runs(records)


def write_report(
    study: Study,
    reporting: ReportingParameters,
    corpora: Mapping[str | None, Mapping[str, Any]],
    scores: pd.DataFrame,
    comparison: pd.DataFrame,
    claims: pd.DataFrame,
    measurements: pd.DataFrame,
    losses: pd.DataFrame,
    minimal_pairs: pd.DataFrame,
    score_differences: Figure,
    score_bars: Figure,
    loss_curves: Figure,
    provenance: Mapping[str, Any],
) -> tuple[str, str]:
    """The page, and the summary for the terminal."""
    from ctcd.reporting.findings import find_controls
    from ctcd.reporting.minimal_pairs import summarise_minimal_pairs
    from ctcd.reporting.page import render_report
    from ctcd.reporting.robustness import tabulate_robustness
    from ctcd.reporting.terminal import study_text

    entropies = {name: corpora[variant.corpus]["unigram_entropy"] for name, variant in study.variants.items()}
    pairs = summarise_minimal_pairs(minimal_pairs)
    page = render_report(
        question=study.question,
        claims=claims,
        controls=find_controls(comparison, losses, entropies),
        scores=scores,
        comparison=comparison,
        losses=losses,
        minimal_pairs=pairs,
        measurements=measurements,
        figures={"differences": score_differences, "scores": score_bars, "losses": loss_curves},
        corpora=corpora,
        provenance=provenance,
        confidence=reporting.confidence,
    )
    robustness = tabulate_robustness(measurements, reporting.confidence)
    return page, study_text(claims, comparison, losses, robustness, pairs)


def _pairs(study: Study) -> list[tuple[str, str]]:
    """The differences of a study: what it claims, and each pre-trained model against random weights."""
    from ctcd.reporting.claims import claimed_pairs
    from ctcd.reporting.statistics import gains_over_random_weights
    from ctcd.reporting.tables import model_name

    models = [model_name(variant.name, role) for variant in study.variants.values() for role in variant.trained]
    return [*claimed_pairs(study.claims), *gains_over_random_weights(models)]
