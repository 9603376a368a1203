"""A variant's teacher and student -> scores and predictions."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from ctcd.distillation.methods import ROLES
from ctcd.pipelines.finetuning.nodes import finetune_model, score_majority

SHARED_INPUTS = ["probes", "glue", "params:finetuning", "params:execution"]


def create_pipeline(variant: str, roles: Sequence[str] = ROLES) -> Pipeline:
    """Fine-tuning and scoring of one variant, in a namespace of its name.

    <variant>.teacher ──> <variant>.teacher.scores, <variant>.teacher.predictions     (and the student)
    """
    return Pipeline(
        [
            Node(
                finetune_model,
                [role, *SHARED_INPUTS],
                [f"{role}.scores", f"{role}.predictions"],
                name=f"finetune_{role}",
            )
            for role in roles
        ],
        namespace=variant,
        inputs={"probes", "glue"},
        parameters={"params:finetuning", "params:execution"},
        tags="finetuning",
    )


def create_majority_pipeline() -> Pipeline:
    """The score of the majority class, which needs no model.

    probes, glue ──> majority_scores
    """
    return Pipeline(
        [Node(score_majority, ["probes", "glue", "params:finetuning"], "majority_scores", name="score_majority")],
        tags="finetuning",
    )
