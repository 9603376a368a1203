"""A study's way from text to report."""

from collections.abc import Iterable

from kedro.pipeline import Pipeline

from ctcd.pipelines import corpus, finetuning, minimal_pairs, pretraining, report
from ctcd.studies.study import Study, Variant


def create_pipeline(study: Study) -> Pipeline:
    """Text to report.

    corpus ──> pretraining of each variant ─┬─> finetuning of its models ────> report
                                            └─> minimal pairs of its models ─┘
    """
    variants = list(study.variants.values())
    return (
        sum(map(corpus.create_pipeline, study.corpora), Pipeline([]))
        + create_pretraining_pipeline(variants)
        + create_minimal_pairs_pipeline(variants)
        + create_finetuning_pipeline(variants)
        + report.create_pipeline(study)
    )


def create_pretraining_pipeline(variants: Iterable[Variant]) -> Pipeline:
    """The pre-training of some variants."""
    return sum(map(pretraining.create_pipeline, variants), Pipeline([]))


def create_minimal_pairs_pipeline(variants: Iterable[Variant]) -> Pipeline:
    """The scoring of some variants' models on minimal pairs."""
    return sum(map(minimal_pairs.create_pipeline, variants), Pipeline([]))


def create_finetuning_pipeline(variants: Iterable[Variant]) -> Pipeline:
    """The fine-tuning of some variants' models."""
    return sum(map(finetuning.create_pipeline, variants), Pipeline([]))
