"""A variant's models -> accuracy on minimal pairs. Nothing is trained."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines import LONG, of_corpus
from ctcd.pipelines.minimal_pairs.nodes import score_minimal_pairs
from ctcd.studies.study import Variant

# Beside the models, and the pairs from the held-out text of their corpus.
INPUTS = ["minimal_pair_files", "minimal_pair_results", "params:minimal_pairs", "params:execution"]


def create_pipeline(variant: Variant) -> Pipeline:
    """Scoring of one variant's models, in a namespace of its name.

    <variant>.models, heldout_pairs, minimal_pair_files ──> <variant>.minimal_pairs
    """
    return Pipeline(
        [
            Node(
                score_minimal_pairs,
                [f"{variant.name}.models", of_corpus(variant.corpus, "heldout_pairs"), *INPUTS],
                f"{variant.name}.minimal_pairs",
                name="score_minimal_pairs",
                namespace=variant.name,
                tags=LONG,
            )
        ],
        tags="minimal_pairs",
    )
