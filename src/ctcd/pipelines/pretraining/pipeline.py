"""Shards -> models, histories and records of one variant."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines import LONG, of_corpus
from ctcd.pipelines.pretraining.nodes import pretrain_models
from ctcd.pretraining.settings import GIVEN
from ctcd.studies.study import Variant


def create_pipeline(variant: Variant) -> Pipeline:
    """The pre-training of one variant with all seeds, in a namespace of its name.

    shards, tokenizer, run_store (, models that it learns or starts from) ──> <variant>.models, .history, .runs
    """
    shards, tokenizer = (of_corpus(variant.corpus, kind) for kind in ("shards", "tokenizer"))
    shared = [shards, tokenizer, "run_store"]
    inputs = {
        "shards": shards,
        "tokenizer": tokenizer,
        "pretraining": "params:pretraining",
        "variant": "params:variant",
        "execution": "params:execution",
        "run_store": "run_store",
    }
    if variant.source is not None:
        inputs["source"] = "given_teacher" if variant.source == GIVEN else f"{variant.source}.models"
        shared.append(inputs["source"])
    for role, (started_from, _) in variant.started_from.items():
        inputs[f"initial_{role}"] = f"{started_from}.models"
        shared.append(inputs[f"initial_{role}"])
    return Pipeline(
        [Node(pretrain_models, inputs, ["models", "history", "runs"], name="pretrain", tags=LONG)],
        namespace=variant.name,
        inputs=set(shared),
        parameters={
            "params:variant": f"params:variants.{variant.name}",
            "params:pretraining": "params:pretraining",
            "params:execution": "params:execution",
        },
        tags="pretraining",
    )
