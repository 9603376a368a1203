"""A variant's models -> scores and predictions."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines import LONG
from ctcd.pipelines.finetuning.nodes import find_hard_examples, finetune_models, score_majority
from ctcd.studies.study import Variant

SUITES = ["probes", "glue", "extra"]
STORES = ["tokenized_tasks", "finetuning_results"]


def create_pipeline(variant: Variant) -> Pipeline:
    """Fine-tuning and scoring of one variant's models, in a namespace of its name.

    <variant>.models ──> <variant>.scores, .predictions, .failures
    <variant>.predictions ──> <variant>.hard_examples     (where both models are trained)
    """
    finetune = Node(
        finetune_models,
        ["models", *SUITES, *STORES, "params:finetuning", "params:execution"],
        ["scores", "predictions", "failures"],
        name="finetune",
        tags=LONG,
    )
    compare = Node(
        find_hard_examples,
        ["predictions", *SUITES, "params:finetuning"],
        "hard_examples",
        name="find_hard_examples",
    )
    return Pipeline(
        [finetune, compare] if len(variant.trained) == 2 else [finetune],
        namespace=variant.name,
        inputs={*SUITES, *STORES},
        parameters={"params:finetuning", "params:execution"},
        tags="finetuning",
    )


def create_majority_pipeline() -> Pipeline:
    """The score of the majority class, which needs no model.

    probes, glue, extra ──> majority_scores
    """
    return Pipeline(
        [Node(score_majority, [*SUITES, "params:finetuning"], "majority_scores", name="score_majority")],
        tags="finetuning",
    )
