from collections.abc import Callable

import pandas as pd
import pytest

from ctcd.reporting.measurements import collect_measurements, seed_by_seed, values_by_seed

Make = Callable[..., pd.DataFrame]


@pytest.fixture
def measurements(make_scores: Make, make_losses: Make) -> pd.DataFrame:
    points = {("ctcd", "student"): {"a": [[60, 62], [70, 70]], "b": [[50, 50], [51, 53]]}}
    scores = make_scores(points, majority={"a": 33, "b": 33})
    return collect_measurements(scores, make_losses({"ctcd student": [4.0, 4.2], "standalone teacher": [3.9]}))


def test_every_model_has_a_row_for_each_seed_measure_and_part(measurements: pd.DataFrame) -> None:
    rows = set(measurements.itertuples(index=False, name=None))
    assert ("ctcd student", 1, "scores", "a", 61.0) in rows
    assert ("ctcd student", 1, "scores", "all", (61 + 50) / 2) in rows
    assert ("standalone teacher", 1, "heldout_loss", "all", 3.9) in rows
    assert len(rows) == len(measurements) == 2 * 3 + 3


def test_losses_by_source_are_parts(make_scores: Make, make_losses: Make) -> None:
    losses = make_losses({"ctcd student": [4.0], "standalone student": [4.1]})
    losses["heldout_loss/de"] = [5.0, 5.1]
    losses["heldout_loss/en"] = [3.0, float("nan")]  # of a variant whose corpus has no such source
    found = collect_measurements(make_scores({("ctcd", "student"): {"a": [50]}}), losses)
    assert values_by_seed(found, "heldout_loss", "de")["standalone student"].to_dict() == {1: -5.1}
    assert list(values_by_seed(found, "heldout_loss", "en")) == ["ctcd student"]
    assert seed_by_seed(found)["heldout_loss"].tolist() == [4.0, 4.1]


def test_what_no_seed_trained_is_left_out(measurements: pd.DataFrame) -> None:
    assert "majority class" not in set(measurements["model"])


def test_the_larger_value_is_the_better_one_for_losses_too(measurements: pd.DataFrame) -> None:
    assert values_by_seed(measurements, "heldout_loss")["ctcd student"].to_dict() == {1: -4.0, 2: -4.2}
    assert values_by_seed(measurements, "scores", "b")["ctcd student"].to_dict() == {1: 50, 2: 52}


def test_seed_by_seed_a_model_has_a_column_for_each_measure(measurements: pd.DataFrame) -> None:
    found = seed_by_seed(measurements)
    assert list(found.columns) == ["model", "pretraining_seed", "heldout_loss", "scores"]
    assert found.set_index(["model", "pretraining_seed"]).loc[("ctcd student", 2)].tolist() == [4.2, (70 + 52) / 2]
    assert pd.isna(found.set_index("model").at["standalone teacher", "scores"])
