from collections.abc import Callable

import pandas as pd
import pytest

from ctcd.reporting.findings import find_controls
from ctcd.reporting.statistics import compare, gains_over_random_weights, outcome
from ctcd.reporting.tables import final_losses, model_names, split_model_name

Make = Callable[..., pd.DataFrame]
NEED, WORDS = "Do the tasks need pre-training?", "Did every model learn more than word frequencies?"


def controls(scores: pd.DataFrame, losses: pd.DataFrame, entropy: float = 6.5) -> dict[str, dict[str, str]]:
    pairs = gains_over_random_weights(list(model_names(scores).unique()))
    comparison = compare(scores, pairs, 0.95, "pretraining_seed")
    entropies = {split_model_name(model)[0]: entropy for model in losses["model"]}
    return {found["question"]: found for found in find_controls(comparison, losses, entropies)}


def test_gains_and_losses_of_a_study_answer_both_questions(
    study_scores: pd.DataFrame, study_losses: pd.DataFrame
) -> None:
    found = controls(study_scores, study_losses)
    assert {question: each["outcome"] for question, each in found.items()} == {NEED: "yes", WORDS: "yes"}


def test_the_smallest_gain_speaks_for_all_models(study_scores: pd.DataFrame, study_losses: pd.DataFrame) -> None:
    sentence = controls(study_scores, study_losses)[NEED]["sentence"]
    # The standalone student: 61.03 and 51 points, against 50 and 40 from random weights.
    assert "The smallest gain over random weights is the standalone student's: +11.02 points" in sentence
    assert "95 % interval" in sentence
    assert "On 2 of 2 tasks (word order, topic)" in sentence


def test_tasks_that_need_no_pretraining_are_not_counted(make_scores: Make, study_losses: pd.DataFrame) -> None:
    scores = make_scores(
        {
            ("untrained", "student"): {"easy": [60, 61, 62], "hard_task": [50, 51, 52]},
            ("ctcd", "student"): {"easy": [62, 60, 61], "hard_task": [70, 71.5, 72]},
        }
    )
    assert "On 1 of 2 tasks (hard task) every interval" in controls(scores, study_losses)[NEED]["sentence"]


def test_every_model_must_gain_on_a_task_for_it_to_count(make_scores: Make, study_losses: pd.DataFrame) -> None:
    scores = make_scores(
        {
            ("untrained", "student"): {"topic": [50, 51, 52]},
            ("ctcd", "student"): {"topic": [70, 71.5, 72]},
            ("standalone", "student"): {"topic": [50, 52, 51]},
        }
    )
    found = controls(scores, study_losses)[NEED]
    assert found["outcome"] == "undecided"
    assert "the standalone student's: 0.00 points" in found["sentence"]
    assert "On 0 of 1 task every interval" in found["sentence"]


@pytest.mark.parametrize(
    ("points", "expected"), [([70, 71, 72.1], "yes"), ([50, 52, 51], "undecided"), ([40, 41, 42.1], "no")]
)
def test_the_answer_follows_the_interval(
    make_scores: Make, study_losses: pd.DataFrame, points: list[float], expected: str
) -> None:
    scores = make_scores({("untrained", "student"): {"topic": [50, 51, 52]}, ("ctcd", "student"): {"topic": points}})
    assert controls(scores, study_losses)[NEED]["outcome"] == expected


def test_one_seed_answers_nothing_about_the_tasks(make_scores: Make, study_losses: pd.DataFrame) -> None:
    scores = make_scores({("untrained", "student"): {"topic": [50]}, ("ctcd", "student"): {"topic": [90]}})
    found = controls(scores, study_losses)[NEED]
    assert found["outcome"] == "undecided"
    assert "+40.00 points on the mean over tasks (one seed, so no interval)" in found["sentence"]
    assert "On 0 of 1 task " in found["sentence"]


def test_without_random_weights_the_question_is_not_asked(make_scores: Make, study_losses: pd.DataFrame) -> None:
    assert list(controls(make_scores({("ctcd", "student"): {"topic": [60, 61]}}), study_losses)) == [WORDS]


def test_the_highest_loss_is_measured_by_the_unigram_entropy(
    study_scores: pd.DataFrame, study_losses: pd.DataFrame
) -> None:
    found = controls(study_scores, study_losses, 6.5)[WORDS]
    assert found["sentence"] == (
        "The highest held-out loss, the standalone student's, is 2.09 nats below the unigram entropy of the corpus "
        "(6.50 nats)."
    )


def test_a_loss_above_the_unigram_entropy_is_reported(study_scores: pd.DataFrame, study_losses: pd.DataFrame) -> None:
    found = controls(study_scores, study_losses, 4.3)[WORDS]
    assert found["outcome"] == "no"
    assert "the standalone student's, is 0.11 nats above the unigram entropy" in found["sentence"]


def test_one_seed_above_the_unigram_entropy_is_enough_for_a_no(study_scores: pd.DataFrame, make_losses: Make) -> None:
    losses = make_losses({"ctcd student": [4.0, 4.0, 6.6], "ctcd teacher": [3.9, 3.9, 3.9]})
    assert controls(study_scores, losses)[WORDS]["outcome"] == "no"


def test_untrained_models_are_not_blamed_for_their_loss(
    study_scores: pd.DataFrame, study_history: pd.DataFrame, study_losses: pd.DataFrame
) -> None:
    assert study_losses["heldout_loss"].max() > 8  # random weights
    assert controls(study_scores, study_losses)[WORDS]["outcome"] == "yes"
    only = final_losses(study_history[study_history["variant"] == "untrained"])
    assert WORDS not in controls(study_scores, only)


def test_outcomes_are_those_of_the_intervals() -> None:
    assert [outcome(low, high) for low, high in ((1, 2), (-2, -1), (-1, 1))] == ["better", "worse", "undecided"]
