from io import StringIO

import pandas as pd
import pytest

from ctcd.reporting.tables import (
    SCORE_COLUMNS,
    collect_histories,
    confusions,
    heldout_losses,
    model_name,
    model_names,
    split_model_name,
)


@pytest.mark.parametrize(("variant", "role"), [("ctcd", "student"), ("one_way", "teacher"), ("majority class", "")])
def test_model_names_can_be_split_again(variant: str, role: str) -> None:
    assert split_model_name(model_name(variant, role)) == (variant, role)


def test_majority_class_comes_first_without_role_or_seed(study_scores: pd.DataFrame) -> None:
    assert list(study_scores.columns) == SCORE_COLUMNS
    floor = study_scores[study_scores["variant"] == "majority class"]
    assert list(floor.index) == [0, 1]
    assert set(floor["role"]) == {""}
    assert set(floor["seed"]) == {-1}


def test_every_score_is_kept_under_its_model(study_scores: pd.DataFrame) -> None:
    assert len(study_scores) == 2 + 6 * 2 * 3
    chosen = study_scores[(study_scores["variant"] == "ctcd") & (study_scores["role"] == "student")]
    assert chosen["value"].tolist() == pytest.approx([0.65, 0.66, 0.671, 0.55, 0.56, 0.57])


def test_model_names_survive_a_csv_file(study_scores: pd.DataFrame) -> None:
    read_again = pd.read_csv(StringIO(study_scores.to_csv(index=False)))
    assert model_names(read_again).tolist() == model_names(study_scores).tolist()


def test_histories_must_match_their_variants(study_history: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="zip"):
        collect_histories([study_history], ["standalone", "ctcd"])


def test_heldout_losses_take_the_last_measurement(study_history: pd.DataFrame) -> None:
    losses = heldout_losses(study_history, 6.5, {"ctcd student": 123}).set_index("model")
    assert list(losses.index) == ["standalone teacher", "standalone student", "ctcd teacher", "ctcd student"]
    assert losses.at["ctcd student", "heldout_loss"] == 4.2
    assert losses.at["ctcd student", "below_unigram"] == pytest.approx(2.3)
    assert losses.at["ctcd student", "heldout_accuracy"] == 0.3
    assert losses.at["ctcd student", "steps"] == 20
    assert losses.at["ctcd student", "tokens"] == 20_000
    assert losses.at["ctcd student", "parameters"] == 123
    assert pd.isna(losses.at["ctcd teacher", "parameters"])


def test_heldout_losses_of_no_measurements_are_an_empty_table(study_history: pd.DataFrame) -> None:
    losses = heldout_losses(study_history[study_history["metric"] == "hard_loss"], 6.5)
    assert losses.empty
    assert "below_unigram" in losses.columns


def test_confusions_count_every_pair_of_label_and_prediction_over_all_seeds() -> None:
    rows = [
        ("rte", "validation", 0, 1.0, 1.0, 0.9),
        ("rte", "validation", 0, 1.0, 0.0, 0.9),
        ("rte", "validation", 1, 1.0, 1.0, 0.9),
        ("stsb", "validation", 0, 2.5, 3.1, float("nan")),
    ]
    table = pd.DataFrame(rows, columns=["task", "split", "seed", "label", "prediction", "confidence"])
    found = confusions({("ctcd", "student"): table})
    assert found.to_numpy().tolist() == [
        ["ctcd", "student", "rte", "validation", 1, 0, 1],
        ["ctcd", "student", "rte", "validation", 1, 1, 2],
    ]
