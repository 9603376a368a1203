from collections.abc import Callable
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ctcd.reporting.statistics import (
    MEAN_OVER_TASKS,
    MEAN_WITHOUT_WNLI,
    compare,
    difference_rows,
    gain_rows,
    gains_over_random_weights,
    holm,
    model_rows,
    outcome,
    p_value,
    seed_tables,
    summary,
)
from ctcd.reporting.tables import collect_scores

Make = Callable[..., pd.DataFrame]
TEACHER, STUDENT = ("standalone", "teacher"), ("ctcd", "student")
PAIR = ("ctcd student", "standalone teacher")
CLAIM = "ctcd student - standalone teacher"
SIMULATIONS = 2000


def by_pretraining(scores: pd.DataFrame, pairs=(PAIR,), confidence: float = 0.95) -> pd.DataFrame:
    return compare(scores, pairs, confidence, "pretraining_seed")


def row(comparison: pd.DataFrame, task: str, quantity: str) -> pd.Series:
    found = comparison[(comparison["task"] == task) & (comparison["quantity"] == quantity)]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_intervals_agree_with_scipy(make_scores: Make, confidence: float) -> None:
    values = np.random.default_rng(3).normal(60, 4, 7)
    comparison = by_pretraining(make_scores({STUDENT: {"topic": values}}), confidence=confidence)
    found = row(comparison, "topic", "ctcd student")
    low, high = stats.t.interval(confidence, len(values) - 1, values.mean(), stats.sem(values))
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert found["mean"] == pytest.approx(values.mean())
    assert found["standard_deviation"] == pytest.approx(values.std(ddof=1))
    assert found["seeds"] == 7
    assert found["confidence"] == confidence


def test_interval_of_two_seeds_by_hand(make_scores: Make) -> None:
    # With one degree of freedom Student's distribution is Cauchy's: the quantile is tan(pi * 0.475) = 12.706.
    found = row(by_pretraining(make_scores({STUDENT: {"topic": [60, 62]}})), "topic", "ctcd student")
    assert found["high"] - found["mean"] == pytest.approx(np.tan(np.pi * 0.475) * np.sqrt(2) / np.sqrt(2))


def test_differences_are_paired_by_pretraining_seed(make_scores: Make) -> None:
    teacher, student = [50.0, 60.0, 70.0, 80.0], [51.0, 61.2, 71.0, 80.9]
    found = row(by_pretraining(make_scores({TEACHER: {"topic": teacher}, STUDENT: {"topic": student}})), "topic", CLAIM)
    paired = stats.ttest_rel(student, teacher).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((paired.low, paired.high))
    assert found["low"] > 0
    # Unpaired, the same numbers decide nothing.
    assert stats.ttest_ind(student, teacher).confidence_interval(0.95).low < 0


def test_pairs_follow_the_seeds_and_not_the_order_of_rows(make_scores: Make) -> None:
    scores = make_scores({TEACHER: {"topic": [50, 60, 70]}, STUDENT: {"topic": [51, 62, 70]}})
    expected = by_pretraining(scores)
    shuffled = pd.concat([scores.iloc[:3], scores.iloc[3:].iloc[::-1]], ignore_index=True)
    pd.testing.assert_frame_equal(by_pretraining(shuffled), expected)


def test_a_seed_that_one_model_lacks_is_left_out_of_the_difference_alone(make_scores: Make) -> None:
    comparison = by_pretraining(make_scores({TEACHER: {"topic": [50, 60]}, STUDENT: {"topic": [53, 65, 99]}}))
    assert row(comparison, "topic", "ctcd student")["seeds"] == 3
    assert row(comparison, "topic", CLAIM)["seeds"] == 2
    assert row(comparison, "topic", CLAIM)["mean"] == pytest.approx(4)


def test_fine_tuning_seeds_are_averaged_and_not_counted(make_scores: Make) -> None:
    scores = make_scores({STUDENT: {"topic": [[60, 62, 64], [70, 70, 73]]}})
    found = row(by_pretraining(scores), "topic", "ctcd student")
    assert found["seeds"] == 2
    assert found["mean"] == pytest.approx((62 + 71) / 2)
    assert found["standard_deviation"] == pytest.approx(np.std([62, 71], ddof=1))


def test_more_fine_tunings_do_not_weigh_more(make_scores: Make) -> None:
    scores = make_scores({STUDENT: {"topic": [[60], [70, 70, 73]]}})
    assert row(by_pretraining(scores), "topic", "ctcd student")["mean"] == pytest.approx((60 + 71) / 2)


def test_a_given_model_is_compared_by_fine_tuning_seed(make_scores: Make) -> None:
    scores = make_scores({("untrained", ""): {"rte": [50, 51, 53]}, ("own", ""): {"rte": [60, 62, 62]}})
    comparison = compare(scores, [("own", "untrained")], 0.95, "seed")
    found = row(comparison, "rte", "own - untrained")
    paired = stats.ttest_rel([60, 62, 62], [50, 51, 53]).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((paired.low, paired.high))
    assert found["seeds"] == 3


def test_mean_over_tasks_is_taken_within_each_seed(make_scores: Make) -> None:
    # The tasks move in opposite directions: their mean does not move at all.
    scores = make_scores({STUDENT: {"a": [10, 20, 30], "b": [90, 80, 70]}})
    found = row(by_pretraining(scores), MEAN_OVER_TASKS, "ctcd student")
    assert found["mean"] == pytest.approx(50)
    assert found["standard_deviation"] == pytest.approx(0, abs=1e-12)
    assert found["seeds"] == 3


def test_mean_over_tasks_needs_every_task_of_the_study(make_scores: Make) -> None:
    comparison = by_pretraining(make_scores({TEACHER: {"a": [10, 20], "b": [30, 40]}, STUDENT: {"a": [10, 20]}}))
    means = comparison[comparison["task"] == MEAN_OVER_TASKS]
    assert means["quantity"].tolist() == ["standalone teacher"]
    assert "ctcd student" in set(comparison[comparison["task"] == "a"]["quantity"])


def table_of(rows: list[tuple[int, str, str, int, str, float]]) -> pd.DataFrame:
    names = ["pretraining_seed", "task", "split", "seed", "metric", "value"]
    table = pd.DataFrame(rows, columns=names).assign(role="student", examples=10, is_partial=False)
    return collect_scores({"ctcd": table})


def test_a_task_is_the_mean_of_its_metrics_averaged_over_its_splits() -> None:
    scores = table_of(
        [
            (1, "pairs", "matched", 0, "accuracy", 0.8),
            (1, "pairs", "matched", 0, "f1", 0.6),
            (1, "pairs", "mismatched", 0, "accuracy", 0.5),
        ]
    )
    found = row(by_pretraining(scores), "pairs", "ctcd student")
    assert found["mean"] == pytest.approx(100 * ((0.8 + 0.6) / 2 + 0.5) / 2)


def test_an_undefined_metric_makes_its_seed_missing() -> None:
    names = ("pearson", "spearman")
    rows = [(seed, "topic", "validation", 0, metric, 0.5) for seed in range(3) for metric in names]
    rows[0] = (*rows[0][:-1], np.nan)
    assert row(by_pretraining(table_of(rows)), "topic", "ctcd student")["seeds"] == 2


def test_one_seed_has_a_mean_and_no_interval(make_scores: Make) -> None:
    # Many fine-tunings of one pre-training are still one pre-training.
    scores = make_scores({TEACHER: {"topic": [[50, 51, 49]]}, STUDENT: {"topic": [[53, 52, 54]]}})
    found = row(by_pretraining(scores), "topic", CLAIM)
    assert found["mean"] == pytest.approx(3)
    assert found[["standard_deviation", "low", "high"]].isna().all()
    assert found["seeds"] == 1


def test_majority_class_has_a_value_and_no_seeds(study_scores: pd.DataFrame) -> None:
    found = row(by_pretraining(study_scores), MEAN_OVER_TASKS, "majority class")
    assert found["mean"] == pytest.approx(35)
    assert np.isnan(found["low"])
    assert found["seeds"] == 0


def test_a_study_has_its_models_and_then_the_pairs_in_the_order_given(study_scores: pd.DataFrame) -> None:
    pairs = [PAIR, ("ctcd teacher", "standalone teacher"), ("ctcd student", "untrained student"), PAIR]
    comparison = by_pretraining(study_scores, pairs)
    assert comparison["task"].unique().tolist() == ["word_order", "topic", MEAN_OVER_TASKS]
    of_task = comparison[comparison["task"] == "topic"]
    assert model_rows(of_task)["quantity"].tolist() == [
        "majority class",
        "untrained teacher",
        "untrained student",
        "standalone teacher",
        "standalone student",
        "ctcd teacher",
        "ctcd student",
    ]
    assert difference_rows(of_task)["quantity"].tolist() == [CLAIM, "ctcd teacher - standalone teacher"]
    assert gain_rows(of_task)["quantity"].tolist() == ["ctcd student - untrained student"]
    found = row(comparison, "topic", CLAIM)
    assert (found["model"], found["reference"]) == PAIR
    assert found["mean"] == pytest.approx(56 - 61)


def test_pairs_of_models_that_are_not_there_are_left_out(study_scores: pd.DataFrame) -> None:
    comparison = by_pretraining(study_scores, [("ctcd student", "one_way student")])
    assert comparison["reference"].isna().all()


def test_gains_are_those_over_random_weights_of_the_same_role() -> None:
    models = ["untrained teacher", "untrained student", "ctcd student", "standalone teacher", "majority class"]
    assert gains_over_random_weights(models) == [
        ("ctcd student", "untrained student"),
        ("standalone teacher", "untrained teacher"),
    ]
    assert gains_over_random_weights(["untrained", "own"]) == [("own", "untrained")]
    assert gains_over_random_weights(["ctcd student"]) == []


def test_a_study_may_give_its_untrained_variant_a_name_of_its_own() -> None:
    models = ["untrained_domains student", "ctcd_domains student", "ctcd_domains teacher"]
    assert gains_over_random_weights(models) == [("ctcd_domains student", "untrained_domains student")]
    assert gains_over_random_weights(["perturbed_untrained student", "ctcd student"])
    rows = pd.DataFrame({"reference": ["untrained_domains student", "ctcd student", None]})
    assert gain_rows(rows).index.tolist() == [0]


def test_scores_read_from_a_csv_file_compare_the_same(study_scores: pd.DataFrame) -> None:
    read_again = pd.read_csv(StringIO(study_scores.to_csv(index=False)))
    pd.testing.assert_frame_equal(by_pretraining(read_again), by_pretraining(study_scores))


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


def test_the_mean_is_also_given_without_wnli(make_scores: Make) -> None:
    points = {("ctcd", "student"): {"rte": [60, 62], "wnli": [50, 50], "cola": [20, 22]}}
    comparison = by_pretraining(make_scores(points)).set_index("task")["mean"]
    assert list(comparison.index) == ["rte", "wnli", "cola", MEAN_OVER_TASKS, MEAN_WITHOUT_WNLI]
    assert comparison[MEAN_OVER_TASKS] == pytest.approx((61 + 50 + 21) / 3)
    assert comparison[MEAN_WITHOUT_WNLI] == pytest.approx((61 + 21) / 2)


@pytest.mark.parametrize("tasks", [["wnli"], ["rte", "cola"]])
def test_no_second_mean_without_wnli_beside_other_tasks(make_scores: Make, tasks: list[str]) -> None:
    scores = make_scores({STUDENT: {task: [50, 51] for task in tasks}})
    assert list(by_pretraining(scores)["task"]) == [*tasks, MEAN_OVER_TASKS]


def test_a_mean_over_a_partial_task_is_partial_too(make_scores: Make) -> None:
    scores = make_scores({STUDENT: {"rte": [60, 62], "qqp": [50, 50]}})
    comparison = by_pretraining(scores.assign(is_partial=scores["task"] == "qqp")).set_index("task")["is_partial"]
    assert comparison.to_dict() == {"rte": False, "qqp": True, MEAN_OVER_TASKS: True}


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_p_is_that_of_students_test(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.5, 1, seeds)
    assert p_value(pd.Series(values)) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-9)


def test_p_of_differences_that_are_all_alike() -> None:
    assert p_value(pd.Series([2.0, 2.0, 2.0])) == 0
    assert p_value(pd.Series([0.0, 0.0])) == 1


@pytest.mark.parametrize("values", [[], [40.0]])
def test_fewer_than_two_differences_have_no_p(values: list[float]) -> None:
    assert np.isnan(p_value(pd.Series(values, dtype=float)))


def test_p_is_below_five_per_cent_exactly_where_the_interval_excludes_zero() -> None:
    random = np.random.default_rng(0)
    for values in random.normal(0.8, 1, (200, 4)):
        found = summary(pd.Series(values), 0.95)
        assert (p_value(pd.Series(values)) < 0.05) == (found["low"] > 0 or found["high"] < 0)


def test_holm_by_hand() -> None:
    # Smallest first: 4 * 0.005 = 0.02, 3 * 0.01 = 0.03, 2 * 0.03 = 0.06, and 0.04 may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = holm([np.nan, 0.02, np.nan, 0.03])
    assert np.isnan(adjusted[0])
    assert np.isnan(adjusted[2])
    assert [adjusted[1], adjusted[3]] == pytest.approx([0.04, 0.04])


class Simulation:
    """Scores of models whose true values are known, in points: (simulations, models, pre-training seeds).

    A pre-training seed moves all models alike, and each model on its own; so does every fine-tuning.
    """

    shared, own, of_task, of_finetuning = 3.0, 1.0, 0.8, 1.5
    tasks, finetunings = 4, 3

    def __init__(self, truths: list[float], seeds: int) -> None:
        random = np.random.default_rng(seeds)
        shape = (SIMULATIONS, len(truths), seeds, self.tasks, self.finetunings)
        self.points = (
            50
            + np.reshape(truths, (1, -1, 1, 1, 1))
            + random.normal(0, self.shared, (SIMULATIONS, 1, seeds, 1, 1))
            + random.normal(0, self.own, (*shape[:3], 1, 1))
            + random.normal(0, self.of_task, (*shape[:4], 1))
            + random.normal(0, self.of_finetuning, shape)
        )
        self.by_seed = self.points.mean(axis=(3, 4))

    def differences(self, model: int, reference: int) -> list[pd.Series]:
        return [pd.Series(values) for values in self.by_seed[:, model] - self.by_seed[:, reference]]


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_cover_a_known_effect_as_often_as_they_say(seeds: int) -> None:
    simulation = Simulation([1.2, 0.0], seeds)
    found = [summary(differences, 0.95) for differences in simulation.differences(0, 1)]
    covered = np.mean([each["low"] <= 1.2 <= each["high"] for each in found])
    assert 0.93 < covered < 0.97


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_over_all_fine_tunings_would_be_too_narrow(seeds: int) -> None:
    """Why the unit is one pre-training: as many values as fine-tunings cover much too rarely."""
    points = Simulation([1.2, 0.0], seeds).points.mean(axis=3)
    values = (points[:, 0] - points[:, 1]).reshape(SIMULATIONS, -1)
    paired = stats.ttest_1samp(values, 1.2, axis=1).pvalue
    assert np.mean(paired > 0.05) < 0.90


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_study_without_any_effect_decides_something_in_at_most_five_per_cent(seeds: int) -> None:
    simulation = Simulation([0.0] * 4, seeds)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    p_values = np.array([[p_value(each) for each in simulation.differences(*pair)] for pair in pairs]).T
    families = np.mean([min(holm(row)) <= 0.05 for row in p_values])
    uncorrected = np.mean(p_values.min(axis=1) <= 0.05)
    error = 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert families < 0.05 + error
    assert uncorrected > 0.05 + error


def test_holm_still_finds_what_is_there() -> None:
    simulation = Simulation([6.0, 0.0, 0.0], 5)
    pairs = [(0, 1), (1, 2)]
    p_values = np.array([[p_value(each) for each in simulation.differences(*pair)] for pair in pairs]).T
    adjusted = np.array([holm(row) for row in p_values])
    assert np.mean(adjusted[:, 0] <= 0.05) > 0.9
    assert np.mean(adjusted[:, 1] <= 0.05) < 0.06


def test_a_whole_table_is_compared_by_the_same_values_as_the_simulations(make_scores: Make) -> None:
    simulation = Simulation([1.2, 0.0], 5)
    for draw in range(3):
        scores = make_scores(
            {
                model: {f"task_{task}": points[:, task] for task in range(simulation.tasks)}
                for model, points in zip((STUDENT, TEACHER), simulation.points[draw], strict=True)
            }
        )
        tables = seed_tables(scores, "pretraining_seed")
        for model, values in zip(PAIR, simulation.by_seed[draw], strict=True):
            assert tables[model][MEAN_OVER_TASKS].to_list() == pytest.approx(values)
        found = row(by_pretraining(scores), MEAN_OVER_TASKS, CLAIM)
        expected = summary(simulation.differences(0, 1)[draw], 0.95)
        assert found[list(expected)].to_list() == pytest.approx(list(expected.values()))
