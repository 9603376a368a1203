"""A variant's teacher and student -> scores and predictions."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from ctcd.distillation.methods import ROLES
from ctcd.pipelines.finetuning.nodes import find_hardest_examples, finetune_model, score_majority

SUITES = ["probes", "glue", "extra"]
STORES = ["tokenized_tasks", "finetuning_results"]


def create_pipeline(variant: str, roles: Sequence[str] = ROLES) -> Pipeline:
    """Fine-tuning and scoring of one variant, in a namespace of its name.

    <variant>.teacher ──> <variant>.teacher.scores, .predictions, .failures     (and the student)
    predictions of both ──> <variant>.hardest_examples
    """
    hardest = Node(
        find_hardest_examples,
        ["teacher.predictions", "student.predictions", *SUITES, "params:finetuning"],
        "hardest_examples",
        name="find_hardest_examples",
    )
    return Pipeline(
        [
            *(
                Node(
                    finetune_model,
                    [role, *SUITES, *STORES, "params:finetuning", "params:execution"],
                    [f"{role}.scores", f"{role}.predictions", f"{role}.failures"],
                    name=f"finetune_{role}",
                )
                for role in roles
            ),
            *([hardest] if len(roles) == 2 else []),
        ],
        namespace=variant,
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
