"""The study of the paper's claim: the two models alone and together, beside untrained ones."""

from kedro.pipeline import Pipeline

from ctcd.pipelines import corpus, finetuning, pretraining, reporting
from ctcd.pipelines.finetuning.pipeline import create_majority_pipeline

VARIANTS = ("untrained", "standalone", "ctcd")


def create_pipeline() -> Pipeline:
    """Text to report.

    corpus ──> pretraining of each variant ──> finetuning of each model ──> reporting
    """
    return sum(
        [
            corpus.create_pipeline(),
            create_pretraining_pipeline(),
            create_finetuning_pipeline(),
            reporting.create_pipeline(VARIANTS),
        ],
        Pipeline([]),
    )


def create_pretraining_pipeline() -> Pipeline:
    """The pre-training of all variants."""
    return sum((pretraining.create_pipeline(variant) for variant in VARIANTS), Pipeline([]))


def create_finetuning_pipeline() -> Pipeline:
    """The fine-tuning of all variants' models, and the majority class."""
    return sum((finetuning.create_pipeline(variant) for variant in VARIANTS), create_majority_pipeline())
