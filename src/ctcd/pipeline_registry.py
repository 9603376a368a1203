"""The project's pipelines by name."""

from kedro.pipeline import Pipeline

from ctcd.pipelines import corpus, ctcd, evaluation, reporting
from ctcd.pipelines.ctcd.pipeline import VARIANTS, create_finetuning_pipeline, create_pretraining_pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines for `kedro run --pipelines=<name>`; a bare `kedro run` is the study `ctcd`."""
    study = ctcd.create_pipeline()
    return {
        "corpus": corpus.create_pipeline(),
        "pretraining": create_pretraining_pipeline(),
        "finetuning": create_finetuning_pipeline(),
        "reporting": reporting.create_pipeline(VARIANTS),
        "evaluation": evaluation.create_pipeline(),
        "ctcd": study,
        "__default__": study,
    }
