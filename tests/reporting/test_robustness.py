from collections.abc import Mapping

import pandas as pd
import pytest

from ctcd.reporting.measurements import collect_measurements, seed_by_seed, values_by_seed
from ctcd.reporting.robustness import measure_robustness, tabulate_robustness

Shares = Mapping[tuple[str, str], tuple[float, float]]


def robustness(shares: Shares, role: str = "student", measure: str = "score") -> pd.DataFrame:
    """A value of each task and test set for pre-training seeds 1 and 2, from two fine-tunings a hundredth apart."""
    rows = [
        ("run", pretraining_seed, role, task, test_set, "validation", seed, measure, value + more, 100)
        for (task, test_set), values in shares.items()
        for pretraining_seed, value in enumerate(values, start=1)
        for seed, more in enumerate((-0.01, 0.01))
    ]
    columns = ["run", "pretraining_seed", "role", "task", "test_set", "split", "seed", "measure", "value", "examples"]
    return pd.DataFrame(rows, columns=columns)


SHARES = {
    ("a", "unchanged"): (0.8, 0.7),
    ("b", "unchanged"): (0.6, 0.5),
    ("a", "typos"): (0.7, 0.6),
    ("b", "typos"): (0.5, 0.5),
    ("a", "web"): (0.4, 0.4),
}


@pytest.fixture
def measurements() -> pd.DataFrame:
    errors = robustness({("a", "unchanged"): (0.1, 0.2), ("b", "unchanged"): (0.3, 0.4)}, measure="calibration_error")
    perturbed = robustness({("a", "typos"): (0.9, 0.9)}, measure="calibration_error")
    return measure_robustness({"ctcd": pd.concat([robustness(SHARES), errors, perturbed])})


def value(measurements: pd.DataFrame, measure: str, part: str = "all", seed: int = 1) -> float:
    return float(values_by_seed(measurements, measure, part)["ctcd student"][seed])


def test_robustness_is_the_mean_over_tasks_of_each_test_set_and_over_test_sets(measurements: pd.DataFrame) -> None:
    assert value(measurements, "robustness", "typos") == pytest.approx(60)
    assert value(measurements, "robustness", "web") == pytest.approx(40)
    assert value(measurements, "robustness") == pytest.approx(50)


def test_what_is_lost_is_the_difference_to_the_same_tasks_unchanged_and_less_is_better(
    measurements: pd.DataFrame,
) -> None:
    assert value(measurements, "robustness_loss", "typos") == pytest.approx(-10)
    assert value(measurements, "robustness_loss", "web") == pytest.approx(-40)
    assert value(measurements, "robustness_loss", seed=2) == pytest.approx(-(5 + 30) / 2)


def test_calibration_is_that_of_unchanged_text_by_task(measurements: pd.DataFrame) -> None:
    assert value(measurements, "calibration_error", "a") == pytest.approx(-10)
    assert value(measurements, "calibration_error") == pytest.approx(-20)


def test_a_seed_without_some_task_has_no_mean() -> None:
    rows = robustness(SHARES)
    failed = (rows["task"] == "b") & (rows["pretraining_seed"] == 2)
    found = measure_robustness({"ctcd": rows[~failed]})
    assert values_by_seed(found, "robustness")["ctcd student"].index.tolist() == [1]
    assert values_by_seed(found, "robustness", "web")["ctcd student"].index.tolist() == [1, 2]


def test_without_perturbed_text_there_is_calibration_alone() -> None:
    errors = robustness({("a", "unchanged"): (0.1, 0.2)}, measure="calibration_error")
    found = measure_robustness({"ctcd": errors})
    assert set(found["measure"]) == {"calibration_error"}
    assert tabulate_robustness(found, 0.95) is None
    assert measure_robustness({"ctcd": errors.head(0)}).empty


def test_the_table_has_a_line_for_each_model_and_a_column_for_each_test_set(measurements: pd.DataFrame) -> None:
    table = tabulate_robustness(measurements, 0.95)
    assert table is not None
    assert table.headings == [
        "typos",
        "web",
        "perturbed text",
        "lost on perturbed text",
        "calibration error",
        "selective accuracy",
    ]
    ((model, cells),) = table.lines
    assert model == "ctcd student"
    assert cells == ["57.5 ±31.8", "40.0 ±0.0", "48.8 ±15.9", "21.2 ±47.6", "25.0 ±63.5", "–"]


def test_they_are_measurements_like_the_others(measurements: pd.DataFrame, make_scores, make_losses) -> None:
    scores = make_scores({("ctcd", "student"): {"a": [60, 70]}})
    joined = collect_measurements(scores, make_losses({"ctcd student": [4.0, 4.2]}), measurements)
    assert list(seed_by_seed(joined).columns[2:]) == [
        "heldout_loss",
        "scores",
        "robustness",
        "robustness_loss",
        "calibration_error",
    ]
