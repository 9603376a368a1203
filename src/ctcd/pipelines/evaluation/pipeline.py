"""A model by folder or hub name -> scores, beside the majority class and the same model with random weights."""

from kedro.pipeline import Node, Pipeline

from ctcd.pipelines import LONG
from ctcd.pipelines.evaluation import nodes
from ctcd.pipelines.finetuning.nodes import check_tasks, score_majority
from ctcd.pipelines.finetuning.pipeline import STORES, SUITES
from ctcd.pipelines.minimal_pairs.pipeline import INPUTS as PAIR_INPUTS

INPUTS = ["evaluated_model", *SUITES, *STORES, "params:finetuning", "params:execution"]


def create_pipeline() -> Pipeline:
    """Scoring of one model.

    probes, glue, extra ──> evaluation.task_checks
    evaluated_model, probes, glue, extra ──> evaluation.model.scores, .predictions, .test_predictions, .search
                                         ──> evaluation.classifiers
                                         ──> evaluation.random_weights.scores, .predictions
    predictions ──> evaluation.model.robustness, evaluation.random_weights.robustness
    evaluated_model, heldout_pairs, minimal_pair_files ──> evaluation.minimal_pairs
    scores, minimal_pairs ──> evaluation.scores, evaluation.comparison, evaluation.summary
    predictions ──> evaluation.paired_bootstrap, evaluation.confusions, evaluation.submission
    """
    tables = ("scores", "predictions", "further_predictions", "failures")
    of_model = [f"evaluation.model.{name}" for name in tables]
    of_random_weights = [f"evaluation.random_weights.{name}" for name in tables]
    robustness = [
        Node(
            nodes.measure_robustness,
            [f"evaluation.{model}.predictions", f"evaluation.{model}.further_predictions", "params:finetuning"],
            f"evaluation.{model}.robustness",
            name=f"measure_robustness_of_{model}",
        )
        for model in ("model", "random_weights")
    ]
    return Pipeline(
        [
            Node(
                nodes.evaluate_model,
                INPUTS,
                [*of_model, "evaluation.test_predictions", "evaluation.search", "evaluation.classifiers"],
                name="evaluate_model",
                tags=LONG,
            ),
            Node(nodes.evaluate_random_weights, INPUTS, of_random_weights, name="evaluate_random_weights", tags=LONG),
            Node(
                nodes.evaluate_minimal_pairs,
                ["evaluated_model", "heldout_pairs", *PAIR_INPUTS],
                "evaluation.minimal_pairs",
                name="evaluate_minimal_pairs",
                tags=LONG,
            ),
            Node(
                score_majority,
                [*SUITES, "params:finetuning"],
                "evaluation.majority.scores",
                name="evaluate_majority_class",
            ),
            *robustness,
            Node(
                check_tasks,
                [*SUITES, "params:finetuning"],
                "evaluation.task_checks",
                name="check_evaluated_tasks",
            ),
            Node(
                nodes.compare_with_controls,
                [
                    "evaluated_model",
                    "evaluation.majority.scores",
                    "evaluation.random_weights.scores",
                    "evaluation.model.scores",
                    "evaluation.minimal_pairs",
                    "params:reporting",
                ],
                ["evaluation.scores", "evaluation.comparison", "evaluation.summary"],
                name="compare_with_controls",
            ),
            Node(
                nodes.bootstrap_scores,
                [
                    "evaluated_model",
                    "evaluation.scores",
                    "evaluation.model.predictions",
                    "evaluation.random_weights.predictions",
                    "params:reporting",
                ],
                "evaluation.paired_bootstrap",
                name="bootstrap_model",
            ),
            Node(
                nodes.count_confusions,
                ["evaluated_model", "evaluation.model.predictions"],
                "evaluation.confusions",
                name="count_confusions_of_model",
            ),
            Node(
                nodes.make_submission,
                ["evaluation.test_predictions", "params:finetuning"],
                "evaluation.submission",
                name="make_submission",
            ),
        ],
        tags="evaluation",
    )
