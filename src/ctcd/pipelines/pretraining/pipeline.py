"""Shards -> models and history of one variant."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from ctcd.distillation.methods import ROLES
from ctcd.pipelines.pretraining.nodes import clear_training_state, pretrain_models


def create_pipeline(variant: str, trained: Sequence[str] = ROLES, ready: str | None = None) -> Pipeline:
    """The pre-training of one variant, in a namespace of its name.

    shards, tokenizer (, ready model) ──> <variant>.teacher, <variant>.student, <variant>.history

    Args:
        variant: its name.
        trained: the roles whose models come out.
        ready: the catalog entry of the model in the other role.
    """
    inputs = {
        "shards": "shards",
        "tokenizer": "tokenizer",
        "pretraining": "params:pretraining",
        "variant": "params:variant",
        "execution": "params:execution",
        "training_state": "training_state",
    }
    shared = {"shards", "tokenizer"}
    if ready is not None:
        inputs["ready"] = ready
        shared.add(ready)
    return Pipeline(
        [
            Node(pretrain_models, inputs, [*trained, "history"], name="pretrain"),
            Node(clear_training_state, ["training_state", "history"], None, name="clear_training_state"),
        ],
        namespace=variant,
        inputs=shared,
        parameters={
            "params:variant": f"params:variants.{variant}",
            "params:pretraining": "params:pretraining",
            "params:execution": "params:execution",
        },
        tags="pretraining",
    )
