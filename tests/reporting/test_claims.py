import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ctcd.reporting.bootstrap import COLUMNS as BOOTSTRAP_COLUMNS
from ctcd.reporting.claims import NOT_MEASURED, ONE_SEED, check_claims, claimed_pairs
from ctcd.reporting.measurements import collect_measurements
from ctcd.reporting.statistics import MEAN_OVER_TASKS
from ctcd.studies.study import Claim

Make = Callable[..., pd.DataFrame]
STUDENT, TEACHER = ("ctcd", "student"), ("standalone", "teacher")
CLAIM = Claim(better="ctcd student", than="standalone teacher")
LOSS_CLAIM = Claim(better="ctcd student", than="standalone teacher", on="heldout_loss")
NO_BOOTSTRAP = pd.DataFrame(columns=BOOTSTRAP_COLUMNS)


@pytest.fixture
def check(make_scores: Make, make_losses: Make) -> Callable[..., pd.DataFrame]:
    """Check claims about the points and the losses of the student and the teacher, by pre-training seed."""

    def check(
        *claims: Claim,
        student=(60.0,),
        teacher=(60.0,),
        losses=((4.0,), (4.0,)),
        confidence=0.95,
        bootstrap=NO_BOOTSTRAP,
    ) -> pd.DataFrame:
        scores = make_scores({STUDENT: {"topic": student}, TEACHER: {"topic": teacher}})
        nats = make_losses(dict(zip(("ctcd student", "standalone teacher"), losses, strict=True)))
        return check_claims(claims, collect_measurements(scores, nats), bootstrap, confidence)

    return check


def test_a_higher_score_of_the_claimed_model_is_a_positive_difference(check) -> None:
    found = check(CLAIM, student=[62, 63.1, 63.9], teacher=[60, 61, 62]).iloc[0]
    assert found["difference"] == pytest.approx(2)
    assert (found["model"], found["reference"], found["on"]) == ("ctcd student", "standalone teacher", "scores")
    assert found["verdict"] == "better"
    assert found["claim"] == "The ctcd student is better than the standalone teacher on the mean over tasks"
    assert found["sentence"] == (
        "The ctcd student is better than the standalone teacher by 2.00 points on the mean over tasks "
        "(95 % interval +1.75 to +2.25, 3 pre-training seeds)."
    )


def test_a_lower_loss_of_the_claimed_model_is_a_positive_difference(check) -> None:
    found = check(LOSS_CLAIM, losses=([3.9, 3.901, 3.899], [4.1, 4.1, 4.1])).iloc[0]
    assert found["difference"] == pytest.approx(0.2)
    assert 0.19 < found["low"] < 0.2 < found["high"] < 0.21
    assert found["verdict"] == "better"
    assert "is better than the standalone teacher by 0.200 nats of held-out loss" in found["sentence"]
    assert found["claim"].endswith("by held-out loss")


@pytest.mark.parametrize("claim", [CLAIM, LOSS_CLAIM])
def test_a_loss_is_said_as_plainly_as_a_win(check, claim: Claim) -> None:
    scores = {"student": [60, 61, 62], "teacher": [62, 63.1, 63.9]}
    found = check(claim, **scores, losses=([4.1, 4.1, 4.1], [3.9, 3.901, 3.899])).iloc[0]
    assert found["difference"] < 0
    assert found["high"] < 0
    assert found["verdict"] == "worse"
    size = "2.00 points" if claim is CLAIM else "0.200 nats"
    assert f"The ctcd student is worse than the standalone teacher by {size}" in found["sentence"]


@pytest.mark.parametrize(("student", "side"), [([64, 60, 62.5], "ahead of"), ([63, 60, 62], "behind")])
def test_an_interval_with_zero_inside_is_undecided(check, student: list[float], side: str) -> None:
    found = check(CLAIM, student=student, teacher=[61, 62, 63]).iloc[0]
    assert found["low"] < 0 < found["high"]
    assert found["verdict"] == "undecided"
    assert f"points on the mean over tasks {side} the standalone teacher, which is undecided" in found["sentence"]


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_p_and_interval_are_those_of_the_paired_test(check, seeds: int, confidence: float) -> None:
    random = np.random.default_rng(seeds)
    teacher = random.normal(60, 5, seeds)
    student = teacher + random.normal(1, 1, seeds)
    found = check(CLAIM, student=student, teacher=teacher, confidence=confidence).iloc[0]
    expected = stats.ttest_rel(student, teacher)
    assert found["p"] == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(confidence)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["seeds"] == seeds
    assert found["confidence"] == confidence


def test_seeds_are_paired_by_their_number_and_not_by_their_place(check, make_scores: Make, make_losses: Make) -> None:
    scores = make_scores({STUDENT: {"topic": [51, 62, 70.5]}, TEACHER: {"topic": [50, 60, 70]}})
    losses = make_losses({"ctcd student": [4.0, 3.0, 2.0], "standalone teacher": [4.1, 3.2, 2.05]})
    expected = check_claims([CLAIM, LOSS_CLAIM], collect_measurements(scores, losses), NO_BOOTSTRAP, 0.95)
    mixed = check_claims(
        [CLAIM, LOSS_CLAIM],
        collect_measurements(scores[::-1], losses.sample(frac=1, random_state=3)),
        NO_BOOTSTRAP,
        0.95,
    )
    assert mixed["difference"].tolist() == pytest.approx([3.5 / 3, 0.35 / 3])
    assert mixed["p"].tolist() == pytest.approx(expected["p"].tolist())


def test_a_seed_that_one_model_lacks_does_not_count(check) -> None:
    found = check(CLAIM, LOSS_CLAIM, student=[61, 63, 99], teacher=[60, 60], losses=([4.0, 4.1], [4.1, 4.3, 1.0]))
    assert found["seeds"].tolist() == [2, 2]
    assert found["difference"].tolist() == pytest.approx([2, 0.15])


def test_a_value_under_a_pretraining_seed_is_the_mean_over_its_fine_tunings(check) -> None:
    found = check(CLAIM, student=[[60, 62, 64], [71, 71.5, 75]], teacher=[[60, 60, 60], [69, 70, 71]]).iloc[0]
    expected = stats.ttest_rel([62, 72.5], [60, 70])
    assert found["seeds"] == 2  # and not six pairs
    assert found["difference"] == pytest.approx(2.25)
    assert found["p"] == pytest.approx(expected.pvalue)


def test_many_fine_tunings_of_one_pretraining_decide_nothing(check) -> None:
    random = np.random.default_rng(0)
    found = check(CLAIM, student=[random.normal(90, 1, 10)], teacher=[random.normal(50, 1, 10)]).iloc[0]
    assert found["verdict"] == ONE_SEED
    assert found["seeds"] == 1
    assert found[["low", "high", "bootstrap_low", "bootstrap_high", "p", "p_holm"]].isna().all()


@pytest.mark.parametrize("claim", [CLAIM, LOSS_CLAIM])
def test_with_one_seed_no_sentence_says_better_or_worse(check, claim: Claim) -> None:
    found = check(claim, student=[90], teacher=[50], losses=([1.0], [5.0])).iloc[0]
    assert found["verdict"] == "one pre-training: decides nothing"
    assert found["difference"] == pytest.approx(40 if claim is CLAIM else 4)
    assert found["sentence"].endswith("in one pre-training, which decides nothing.")
    assert not re.search("better|worse", found["sentence"])


@pytest.mark.parametrize("claim", [CLAIM, LOSS_CLAIM])
def test_what_no_common_seed_has_measured_is_said(check, claim: Claim) -> None:
    other = claim.model_copy(update={"than": "one_way student"})
    found = check(other, student=[60, 61], losses=([4.0, 4.1], [4.0, 4.0])).iloc[0]
    assert found["verdict"] == NOT_MEASURED == "not measured"
    assert found["seeds"] == 0
    assert found[["difference", "low", "high", "p", "p_holm"]].isna().all()
    assert "No pre-training seed has measured both the ctcd student and the one_way student" in found["sentence"]


def test_undefined_scores_of_all_seeds_are_not_measured(check) -> None:
    found = check(CLAIM, student=[np.nan, np.nan], teacher=[60, 61]).iloc[0]
    assert found["verdict"] == NOT_MEASURED


def five_claims(make_scores: Make, make_losses: Make, primary: str = "") -> pd.DataFrame:
    """Claims about five models against one, on differences whose p values are known from SciPy."""
    reference = [50.0, 52.0, 55.0, 51.0]
    gains = {
        "undecided": [2.0, -1.0, 0.5, -1.2],
        "clear": [5.0, 5.1, 4.9, 5.02],
        "nearly": [2.0, 1.0, 3.5, 1.7],
        "lower": [-4.0, -4.2, -3.9, -4.1],
    }
    points = {("standalone", "student"): {"topic": reference}} | {
        (name, "student"): {"topic": np.add(reference, gain)} for name, gain in gains.items()
    }
    claims = [Claim(better=f"{name} student", than="standalone student", primary=name == primary) for name in gains]
    missing = Claim(better="missing student", than="standalone student")
    losses = make_losses({"standalone student": [4.0]})
    table = check_claims([*claims, missing], collect_measurements(make_scores(points), losses), NO_BOOTSTRAP, 0.95)
    expected = {f"{name} student": stats.ttest_1samp(gain, 0).pvalue for name, gain in gains.items()}
    return table.assign(expected=table["model"].map(expected))


def test_verdicts_are_by_holms_correction_for_the_number_of_claims(make_scores: Make, make_losses: Make) -> None:
    table = five_claims(make_scores, make_losses).set_index("model")
    assert table["p"].dropna().tolist() == pytest.approx(table["expected"].dropna().tolist())
    # Four were tested, and one could not be: the smallest p counts four times, the next three times, and so on.
    p = table["p"]
    assert table.at["clear student", "p_holm"] == pytest.approx(4 * p["clear student"])
    assert table.at["lower student", "p_holm"] == pytest.approx(3 * p["lower student"])
    assert table.at["nearly student", "p_holm"] == pytest.approx(2 * p["nearly student"])
    assert table.at["undecided student", "p_holm"] == pytest.approx(p["undecided student"])
    # Alone it would have been decided, and its interval excludes zero.
    assert p["nearly student"] < 0.05 < table.at["nearly student", "p_holm"]
    assert table.at["nearly student", "low"] > 0
    assert table["verdict"].to_dict() == {
        "clear student": "better",
        "lower student": "worse",
        "undecided student": "undecided",
        "nearly student": "undecided",
        "missing student": NOT_MEASURED,
    }


def test_a_sentence_of_an_undecided_claim_says_so_also_where_the_interval_excludes_zero(
    make_scores: Make, make_losses: Make
) -> None:
    sentence = five_claims(make_scores, make_losses).set_index("model").at["nearly student", "sentence"]
    assert "undecided" in sentence
    assert not re.search("better|worse", sentence)


def test_the_primary_claim_comes_first_and_then_what_is_decided(make_scores: Make, make_losses: Make) -> None:
    table = five_claims(make_scores, make_losses, primary="nearly")
    assert table["model"].str.removesuffix(" student").tolist() == ["nearly", "clear", "lower", "undecided", "missing"]
    assert table["primary"].tolist() == [True, False, False, False, False]


def test_scores_and_losses_are_one_family_of_claims(check) -> None:
    table = check(
        CLAIM, LOSS_CLAIM, student=[61, 62.5, 63], teacher=[60, 61, 62.2], losses=([3.9, 3.8, 3.85], [4.0, 4.0, 4.0])
    ).sort_values("p")
    smallest, largest = table["p"]
    assert table["p_holm"].tolist() == pytest.approx([2 * smallest, max(2 * smallest, largest)])


def test_differences_that_are_all_alike_are_decided(check) -> None:
    found = check(CLAIM, LOSS_CLAIM, student=[64, 64], teacher=[60, 60], losses=([4.0, 4.0], [4.0, 4.0]))
    assert found.set_index("on")["verdict"].to_dict() == {"scores": "better", "heldout_loss": "undecided"}


def test_what_the_paper_reports_stands_beside_the_claim(check) -> None:
    found = check(CLAIM.model_copy(update={"paper": 1.66}), LOSS_CLAIM, student=[61, 62], teacher=[60, 60])
    assert found["paper"].tolist() == pytest.approx([1.66, np.nan], nan_ok=True)


def test_the_interval_of_resampled_seeds_is_that_of_a_plain_loop(check) -> None:
    gains = [0.1, 0.35, -0.05, 0.2, 0.6]
    found = check(LOSS_CLAIM, losses=([4.0 - gain for gain in gains], [4.0] * 5)).iloc[0]
    random = np.random.default_rng(11)
    drawn = sorted(np.mean([gains[random.integers(5)] for _ in range(5)]) for _ in range(10_000))
    assert (found["bootstrap_low"], found["bootstrap_high"]) == pytest.approx((drawn[250], drawn[9750]), abs=0.02)


def test_scores_have_the_bootstrap_over_seeds_and_examples_of_the_mean_over_tasks(check) -> None:
    pair = ("ctcd student", "standalone teacher")
    rows = [
        ("topic", *pair, 1.0, 0.1, 1.9, 0.9, 2, 400, 0.95),
        (MEAN_OVER_TASKS, *pair, 1, 0.2, 1.8, 0.9, 2, 400, 0.95),
    ]
    bootstrap = pd.DataFrame(rows, columns=BOOTSTRAP_COLUMNS)
    losses = ([4.0, 4.0], [4.1, 4.1])
    found = check(CLAIM, LOSS_CLAIM, student=[61, 62], teacher=[60, 60], losses=losses, bootstrap=bootstrap)
    found = found.set_index("on")
    assert found.loc["scores", ["bootstrap_low", "bootstrap_high"]].tolist() == [0.2, 1.8]
    assert found.loc["heldout_loss", ["bootstrap_low", "bootstrap_high"]].tolist() == pytest.approx([0.1, 0.1])


def test_the_same_data_give_the_same_table(check) -> None:
    data = {"student": [61, 62.5, 63], "teacher": [60, 61, 62.2], "losses": ([3.9, 3.8, 3.85], [4.0, 4.0, 4.0])}
    pd.testing.assert_frame_equal(check(CLAIM, LOSS_CLAIM, **data), check(CLAIM, LOSS_CLAIM, **data))


def test_a_study_without_claims_has_an_empty_table(check) -> None:
    found = check()
    assert found.empty
    assert {"claim", "verdict", "sentence"} <= set(found.columns)


def test_claimed_pairs_are_named_once() -> None:
    other = Claim(better="ctcd teacher", than="standalone teacher")
    assert claimed_pairs([CLAIM, LOSS_CLAIM, other]) == [
        ("ctcd student", "standalone teacher"),
        ("ctcd teacher", "standalone teacher"),
    ]


def test_a_claim_may_be_about_one_part_of_a_measure(make_scores: Make, make_losses: Make) -> None:
    scores = make_scores({STUDENT: {"a": [60, 61], "b": [50, 51]}, TEACHER: {"a": [50, 51.5], "b": [50, 51]}})
    measurements = collect_measurements(scores, make_losses({"ctcd student": [4.0, 4.1]}))
    claim = CLAIM.model_copy(update={"part": "a"})
    found = check_claims([claim], measurements, NO_BOOTSTRAP, 0.95).iloc[0]
    assert found["difference"] == pytest.approx((10 + 9.5) / 2)
    assert found["claim"] == "The ctcd student is better than the standalone teacher on a"
