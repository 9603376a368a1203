from collections.abc import Callable

import pandas as pd
import pytest

from ctcd.reporting.statistics import compare
from ctcd.reporting.tables import heldout_losses
from ctcd.reporting.verdicts import CLAIM, verdicts

Make = Callable[..., pd.DataFrame]
NO_LOSSES = heldout_losses(pd.DataFrame(columns=["variant", "step", "tokens", "role", "metric", "value"]), 6.5)


def claim_for(make_scores: Make, teacher: list[float], student: list[float]) -> pd.Series:
    scores = make_scores({("standalone", "teacher"): {"topic": teacher}, ("ctcd", "student"): {"topic": student}})
    return verdicts(compare(scores, 0.95), NO_LOSSES).iloc[0]


def test_a_win_is_called_supported_with_its_number(make_scores: Make) -> None:
    found = claim_for(make_scores, [60, 61, 62], [62, 63.1, 63.9])
    assert (found["claim"], found["outcome"]) == (CLAIM, "supported")
    assert found["sentence"].startswith("The ctcd student beats the standalone teacher by 2.00 points on the one task")
    assert "95 % interval over 3 fine-tuning seeds: +1.75 to +2.25" in found["sentence"]


def test_a_loss_is_said_as_plainly_as_a_win(make_scores: Make) -> None:
    found = claim_for(make_scores, [62, 63.1, 63.9], [60, 61, 62])
    assert found["outcome"] == "contradicted"
    assert found["sentence"].startswith("The ctcd student loses to the standalone teacher by 2.00 points")
    assert "-2.25 to -1.75" in found["sentence"]


@pytest.mark.parametrize(("student", "words"), [([64, 60, 62], "is level with"), ([67, 60, 62], "ahead of")])
def test_an_interval_with_zero_inside_decides_nothing(make_scores: Make, student: list[float], words: str) -> None:
    found = claim_for(make_scores, [61, 62, 63.001], student)
    assert found["outcome"] == "undecided"
    assert words in found["sentence"]
    assert "the interval includes zero" in found["sentence"]


def test_equal_scores_are_level(make_scores: Make) -> None:
    assert "is level with the standalone teacher" in claim_for(make_scores, [61, 62], [61, 62])["sentence"]


def test_one_seed_decides_nothing_however_large_the_difference(make_scores: Make) -> None:
    found = claim_for(make_scores, [50], [90])
    assert found["outcome"] == "undecided"
    assert found["sentence"] == (
        "The ctcd student is 40.00 points ahead of the standalone teacher on the one task, "
        "but one fine-tuning seed has no interval and decides nothing."
    )


def test_without_a_standalone_teacher_the_claim_is_not_tested(make_scores: Make) -> None:
    scores = make_scores({("ctcd", "teacher"): {"topic": [60, 61]}, ("ctcd", "student"): {"topic": [60, 61]}})
    found = verdicts(compare(scores, 0.95), NO_LOSSES)
    assert found[["claim", "outcome"]].to_numpy().tolist() == [[CLAIM, "not tested"]]


def test_default_study_is_judged_claim_first(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    found = verdicts(compare(study_scores, 0.95), heldout_losses(study_history, 6.5))
    assert found["outcome"].tolist() == [
        "contradicted",
        "supported",
        "undecided",
        "one run",
        "supported",
        "supported",
    ]
    assert "on the mean over 2 tasks" in found["sentence"][0]


def test_the_papers_claim_stands_before_other_variants(make_scores: Make) -> None:
    points = {"topic": [60, 61, 63]}
    models = [("standalone", "teacher"), ("one_way", "student"), ("ctcd", "student")]
    found = verdicts(compare(make_scores(dict.fromkeys(models, points)), 0.95), NO_LOSSES)
    assert found["claim"].tolist() == [
        CLAIM,
        "The one_way student beats the standalone teacher",
        "The ctcd student beats the one_way student",
    ]


def test_held_out_losses_are_compared_in_nats_without_claiming_more(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    found = verdicts(compare(study_scores, 0.95), heldout_losses(study_history, 6.5))
    sentence = found[found["outcome"] == "one run"]["sentence"].item()
    assert "the ctcd student ends 0.200 nats above (worse than) the standalone teacher" in sentence
    assert "the ctcd student ends 0.200 nats below (better than) the standalone student" in sentence
    assert "the ctcd teacher ends 0.100 nats below (better than) the standalone teacher" in sentence
    assert "one pre-training run each and so no interval" in sentence


def test_a_loss_above_the_unigram_entropy_is_reported(study_scores: pd.DataFrame, study_history: pd.DataFrame) -> None:
    found = verdicts(compare(study_scores, 0.95), heldout_losses(study_history, 4.3)).iloc[-1]
    assert found["outcome"] == "contradicted"
    assert "the standalone student's, is 0.10 nats above the unigram entropy" in found["sentence"]


def test_tasks_that_need_no_pretraining_are_not_counted(make_scores: Make) -> None:
    scores = make_scores(
        {
            ("untrained", "student"): {"easy": [60, 61, 62], "hard_task": [50, 51, 52]},
            ("ctcd", "student"): {"easy": [62, 60, 61], "hard_task": [70, 71.5, 72]},
        }
    )
    found = verdicts(compare(scores, 0.95), NO_LOSSES).set_index("claim").loc["The tasks need pre-training"]
    assert "gains on 1 of 2 tasks (hard task)" in found["sentence"]


def test_untrained_models_are_not_blamed_for_their_loss(
    study_scores: pd.DataFrame, study_history: pd.DataFrame
) -> None:
    untrained = study_history[study_history["variant"] == "standalone"].assign(variant="untrained", step=0, tokens=0)
    untrained.loc[untrained["metric"] == "heldout_loss", "value"] = 9.0
    losses = heldout_losses(pd.concat([study_history, untrained]), 6.0)
    sentences = " ".join(verdicts(compare(study_scores, 0.95), losses)["sentence"])
    assert "untrained teacher's, is" not in sentences
