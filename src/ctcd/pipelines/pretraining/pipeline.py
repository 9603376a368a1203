"""Shards -> teacher, student and history of one variant."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines.pretraining.nodes import clear_training_state, pretrain_models


def create_pipeline(variant: str) -> Pipeline:
    """The pre-training of one variant, in a namespace of its name.

    shards, tokenizer ──> <variant>.teacher, <variant>.student, <variant>.history
    """
    return Pipeline(
        [
            Node(
                pretrain_models,
                {
                    "shards": "shards",
                    "tokenizer": "tokenizer",
                    "pretraining": "params:pretraining",
                    "variant": "params:variant",
                    "execution": "params:execution",
                    "training_state": "training_state",
                },
                ["teacher", "student", "history"],
                name="pretrain",
            ),
            Node(clear_training_state, ["training_state", "history"], None, name="clear_training_state"),
        ],
        namespace=variant,
        inputs={"shards", "tokenizer"},
        parameters={
            "params:variant": f"params:variants.{variant}",
            "params:pretraining": "params:pretraining",
            "params:execution": "params:execution",
        },
        tags="pretraining",
    )
