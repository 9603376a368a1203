from collections.abc import Callable
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ctcd.reporting.statistics import MEAN_OVER_TASKS, MEAN_WITHOUT_WNLI, compare, differences, outcome
from ctcd.reporting.tables import collect_scores

Make = Callable[..., pd.DataFrame]
TEACHER, STUDENT = ("standalone", "teacher"), ("ctcd", "student")
CLAIM = "ctcd student - standalone teacher"


def row(comparison: pd.DataFrame, task: str, quantity: str) -> pd.Series:
    found = comparison[(comparison["task"] == task) & (comparison["quantity"] == quantity)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_intervals_agree_with_scipy(make_scores: Make, confidence: float) -> None:
    values = np.random.default_rng(3).normal(60, 4, 7)
    found = row(compare(make_scores({STUDENT: {"topic": values}}), confidence), "topic", "ctcd student")
    low, high = stats.t.interval(confidence, len(values) - 1, values.mean(), stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["mean"] == pytest.approx(values.mean())
    assert found["standard_deviation"] == pytest.approx(values.std(ddof=1))
    assert found["seeds"] == 7
    assert found["confidence"] == confidence


def test_interval_of_two_seeds_by_hand(make_scores: Make) -> None:
    # With one degree of freedom Student's distribution is Cauchy's: the quantile is tan(pi * 0.475) = 12.706.
    found = row(compare(make_scores({STUDENT: {"topic": [60, 62]}}), 0.95), "topic", "ctcd student")
    assert found["high"] - found["mean"] == pytest.approx(np.tan(np.pi * 0.475) * np.sqrt(2) / np.sqrt(2))


def test_differences_are_paired_by_seed(make_scores: Make) -> None:
    teacher, student = [50.0, 60.0, 70.0, 80.0], [51.0, 61.2, 71.0, 80.9]
    found = row(compare(make_scores({TEACHER: {"topic": teacher}, STUDENT: {"topic": student}}), 0.95), "topic", CLAIM)
    paired = stats.ttest_rel(student, teacher).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((paired.low, paired.high))
    assert found["low"] > 0
    # Unpaired, the same numbers decide nothing.
    assert stats.ttest_ind(student, teacher).confidence_interval(0.95).low < 0


def test_pairs_follow_the_seeds_and_not_the_order_of_rows(make_scores: Make) -> None:
    scores = make_scores({TEACHER: {"topic": [50, 60, 70]}, STUDENT: {"topic": [51, 62, 70]}})
    expected = compare(scores, 0.95)
    shuffled = pd.concat([scores.iloc[:3], scores.iloc[3:].iloc[::-1]], ignore_index=True)
    pd.testing.assert_frame_equal(compare(shuffled, 0.95), expected)


def test_a_seed_that_one_model_lacks_is_left_out_of_the_difference_alone(make_scores: Make) -> None:
    comparison = compare(make_scores({TEACHER: {"topic": [50, 60]}, STUDENT: {"topic": [53, 65, 99]}}), 0.95)
    assert row(comparison, "topic", "ctcd student")["seeds"] == 3
    assert row(comparison, "topic", CLAIM)["seeds"] == 2
    assert row(comparison, "topic", CLAIM)["mean"] == pytest.approx(4)


def test_mean_over_tasks_is_taken_within_each_seed(make_scores: Make) -> None:
    # The tasks move in opposite directions: their mean does not move at all.
    found = row(
        compare(make_scores({STUDENT: {"a": [10, 20, 30], "b": [90, 80, 70]}}), 0.95), MEAN_OVER_TASKS, "ctcd student"
    )
    assert found["mean"] == pytest.approx(50)
    assert found["standard_deviation"] == pytest.approx(0, abs=1e-12)
    assert found["seeds"] == 3


def test_mean_over_tasks_needs_every_task_of_the_study(make_scores: Make) -> None:
    comparison = compare(make_scores({TEACHER: {"a": [10, 20], "b": [30, 40]}, STUDENT: {"a": [10, 20]}}), 0.95)
    means = comparison[comparison["task"] == MEAN_OVER_TASKS]
    assert means["quantity"].tolist() == ["standalone teacher"]
    assert "ctcd student" in set(comparison[comparison["task"] == "a"]["quantity"])


def test_a_task_is_the_mean_of_its_metrics_averaged_over_its_splits() -> None:
    table = pd.DataFrame(
        [
            ("pairs", "matched", 0, "accuracy", 0.8, 10),
            ("pairs", "matched", 0, "f1", 0.6, 10),
            ("pairs", "mismatched", 0, "accuracy", 0.5, 10),
        ],
        columns=["task", "split", "seed", "metric", "value", "examples"],
    ).assign(is_partial=False)
    found = row(compare(collect_scores([table], [STUDENT]), 0.95), "pairs", "ctcd student")
    assert found["mean"] == pytest.approx(100 * ((0.8 + 0.6) / 2 + 0.5) / 2)


def test_an_undefined_metric_makes_its_seed_missing() -> None:
    rows = [("topic", "validation", seed, metric, 0.5, 10) for seed in range(3) for metric in ("pearson", "spearman")]
    table = pd.DataFrame(rows, columns=["task", "split", "seed", "metric", "value", "examples"])
    table["is_partial"] = False
    table.loc[0, "value"] = np.nan
    assert row(compare(collect_scores([table], [STUDENT]), 0.95), "topic", "ctcd student")["seeds"] == 2


def test_one_seed_has_a_mean_and_no_interval(make_scores: Make) -> None:
    comparison = compare(make_scores({TEACHER: {"topic": [50]}, STUDENT: {"topic": [53]}}), 0.95)
    found = row(comparison, "topic", CLAIM)
    assert found["mean"] == pytest.approx(3)
    assert found[["standard_deviation", "low", "high"]].isna().all()
    assert found["seeds"] == 1


def test_majority_class_has_a_value_and_no_seeds(study_scores: pd.DataFrame) -> None:
    found = row(compare(study_scores, 0.95), MEAN_OVER_TASKS, "majority class")
    assert found["mean"] == pytest.approx(35)
    assert np.isnan(found["low"])
    assert found["seeds"] == 0


def test_default_study_has_the_differences_of_the_claim_and_of_the_controls(study_scores: pd.DataFrame) -> None:
    comparison = compare(study_scores, 0.95)
    assert comparison["task"].unique().tolist() == ["word_order", "topic", MEAN_OVER_TASKS]
    assert comparison[comparison["task"] == "topic"]["quantity"].tolist() == [
        "majority class",
        "untrained teacher",
        "untrained student",
        "standalone teacher",
        "standalone student",
        "ctcd teacher",
        "ctcd student",
        "ctcd student - standalone teacher",
        "ctcd student - standalone student",
        "ctcd teacher - standalone teacher",
        "standalone teacher - untrained teacher",
        "standalone student - untrained student",
        "ctcd teacher - untrained teacher",
        "ctcd student - untrained student",
    ]
    found = row(comparison, "topic", CLAIM)
    assert (found["model"], found["reference"]) == ("ctcd student", "standalone teacher")
    assert found["mean"] == pytest.approx(56 - 61)


def test_other_variants_get_the_differences_that_exist() -> None:
    assert list(differences(["one_way student", "reverse teacher", "standalone teacher"])) == [
        ("one_way student", "standalone teacher"),
        ("reverse teacher", "standalone teacher"),
    ]
    assert list(differences(["ctcd student", "ctcd teacher"])) == []


def test_students_are_compared_with_that_of_one_way_and_with_the_matched_teacher() -> None:
    assert list(differences(["one_way student", "ctcd student", "standalone_matched teacher"])) == [
        ("one_way student", "standalone_matched teacher"),
        ("ctcd student", "one_way student"),
        ("ctcd student", "standalone_matched teacher"),
    ]


def test_scores_read_from_a_csv_file_compare_the_same(study_scores: pd.DataFrame) -> None:
    read_again = pd.read_csv(StringIO(study_scores.to_csv(index=False)))
    pd.testing.assert_frame_equal(compare(read_again, 0.95), compare(study_scores, 0.95))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.2, "better"),
        (-0.2, -0.1, "worse"),
        (-0.1, 0.1, "undecided"),
        (0.0, 0.0, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_outcome_follows_the_side_of_zero(low: float, high: float, expected: str) -> None:
    assert outcome(low, high) == expected


def test_the_mean_is_also_given_without_wnli(make_scores):
    points = {("ctcd", "student"): {"rte": [60, 62], "wnli": [50, 50], "cola": [20, 22]}}
    comparison = compare(make_scores(points), 0.95).set_index("task")["mean"]
    assert list(comparison.index) == ["rte", "wnli", "cola", MEAN_OVER_TASKS, MEAN_WITHOUT_WNLI]
    assert comparison[MEAN_OVER_TASKS] == pytest.approx((61 + 50 + 21) / 3)
    assert comparison[MEAN_WITHOUT_WNLI] == pytest.approx((61 + 21) / 2)


def test_a_mean_over_a_partial_task_is_partial_too(make_scores):
    scores = make_scores({("ctcd", "student"): {"rte": [60, 62], "qqp": [50, 50]}})
    comparison = compare(scores.assign(is_partial=scores["task"] == "qqp"), 0.95).set_index("task")["is_partial"]
    assert comparison.to_dict() == {"rte": False, "qqp": True, MEAN_OVER_TASKS: True}


def test_a_model_without_a_role_is_compared_with_the_untrained_one(make_scores):
    scores = make_scores({("untrained", ""): {"rte": [50, 51]}, ("own", ""): {"rte": [60, 62]}})
    assert "own - untrained" in set(compare(scores, 0.95)["quantity"])
