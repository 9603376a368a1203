"""A variant's models -> scores and predictions."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines import LONG, of_corpus
from ctcd.pipelines.finetuning.nodes import find_hard_examples, finetune_models, measure_robustness
from ctcd.studies.study import Variant

SUITES = ["probes", "glue", "extra"]
STORES = ["tokenized_tasks", "finetuning_results"]


def create_pipeline(variant: Variant) -> Pipeline:
    """Fine-tuning and scoring of one variant's models, in a namespace of its name.

    <variant>.models ──> <variant>.scores, .predictions, .further_predictions, .classifiers, .failures
    <variant>.predictions, .further_predictions ──> <variant>.robustness
    <variant>.predictions ──> <variant>.hard_examples     (where both models are trained)
    """
    finetune = Node(
        finetune_models,
        ["models", *SUITES, *STORES, "params:finetuning", "params:variant", "params:execution"],
        ["scores", "predictions", "further_predictions", "classifiers", "failures"],
        name="finetune",
        tags=LONG,
    )
    measure = Node(
        measure_robustness,
        ["predictions", "further_predictions", "params:finetuning", "params:variant"],
        "robustness",
        name="measure_robustness",
    )
    compare = Node(
        find_hard_examples,
        ["predictions", *SUITES, "params:finetuning", "params:variant"],
        "hard_examples",
        name="find_hard_examples",
    )
    return Pipeline(
        [finetune, measure, compare] if len(variant.trained) == 2 else [finetune, measure],
        namespace=variant.name,
        inputs={name: name for name in [*SUITES, *STORES]} | {"probes": of_corpus(variant.corpus, "probes")},
        parameters={
            "params:finetuning": "params:finetuning",
            "params:variant": f"params:variants.{variant.name}",
            "params:execution": "params:execution",
        },
        tags="finetuning",
    )
