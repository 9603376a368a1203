"""The project's pipelines by name."""

from kedro.pipeline import Pipeline

from ctcd.pipelines import corpus, evaluation, reporting, study
from ctcd.pipelines.study.pipeline import (
    STUDIES,
    create_finetuning_pipeline,
    create_pretraining_pipeline,
    trained_roles,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines for `kedro run --pipelines=<name>`: the studies, and the stages of the study `ctcd`.

    A bare `kedro run` is the study `ctcd`.
    """
    studies = {name: study.create_pipeline(variants) for name, variants in STUDIES.items()}
    variants = STUDIES["ctcd"]
    return {
        "corpus": corpus.create_pipeline(),
        "pretraining": create_pretraining_pipeline(variants),
        "finetuning": create_finetuning_pipeline(variants),
        "reporting": reporting.create_pipeline(trained_roles(variants)),
        "evaluation": evaluation.create_pipeline(),
        **studies,
        "__default__": studies["ctcd"],
    }
