"""The project's pipelines by name."""

from kedro.pipeline import Pipeline

from ctcd.pipelines import corpus, evaluation, report, study
from ctcd.pipelines.study.pipeline import (
    create_finetuning_pipeline,
    create_minimal_pairs_pipeline,
    create_pretraining_pipeline,
)
from ctcd.studies.loading import all_studies

DEFAULT = "ctcd"


def register_pipelines() -> dict[str, Pipeline]:
    """Pipelines for `kedro run --pipelines=<name>`: the studies, and the stages of the study `ctcd`.

    A bare `kedro run` is the study `ctcd`; `all_studies` is every study that needs no model and no data of the user's.

    Raises:
        InputError: if a study file is wrong.
    """
    declared = all_studies()
    studies = {name: study.create_pipeline(each) for name, each in declared.items()}
    variants = declared[DEFAULT].variants.values()
    complete = [studies[name] for name, each in declared.items() if each.is_self_contained]
    return {
        "corpus": corpus.create_pipeline(),
        "pretraining": create_pretraining_pipeline(variants),
        "minimal_pairs": create_minimal_pairs_pipeline(variants),
        "finetuning": create_finetuning_pipeline(variants),
        "report": report.create_pipeline(declared[DEFAULT]),
        "evaluation": evaluation.create_pipeline(),
        **studies,
        "all_studies": sum(complete, Pipeline([])),
        "__default__": studies[DEFAULT],
    }
