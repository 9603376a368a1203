from io import StringIO

import pandas as pd
import pytest

from ctcd.reporting.tables import (
    HISTORY_COLUMNS,
    NO_SEED,
    SCORE_COLUMNS,
    collect_scores,
    confusions,
    final_losses,
    model_name,
    model_names,
    split_model_name,
)


@pytest.mark.parametrize(
    ("variant", "role"),
    [
        ("ctcd", "student"),
        ("one_way", "teacher"),
        ("majority class", ""),
        ("own", ""),
        ("a b", "teacher"),
        ("student", ""),
    ],
)
def test_model_names_can_be_split_again(variant: str, role: str) -> None:
    assert split_model_name(model_name(variant, role)) == (variant, role)


def test_majority_class_comes_first_without_role_or_seed(study_scores: pd.DataFrame) -> None:
    assert list(study_scores.columns) == SCORE_COLUMNS
    floor = study_scores[study_scores["variant"] == "majority class"]
    assert list(floor.index) == [0, 1]
    assert set(floor["role"]) == {""}
    assert set(floor["pretraining_seed"]) == set(floor["seed"]) == {NO_SEED}


def test_every_score_is_kept_under_its_model_and_its_seeds(study_scores: pd.DataFrame) -> None:
    assert len(study_scores) == 2 + 6 * 2 * 3
    chosen = study_scores[(study_scores["variant"] == "ctcd") & (study_scores["role"] == "student")]
    assert chosen["value"].tolist() == pytest.approx([0.65, 0.66, 0.671, 0.55, 0.56, 0.57])
    assert chosen["pretraining_seed"].tolist() == [1, 2, 3, 1, 2, 3]
    assert set(chosen["seed"]) == {0}


def test_a_given_model_has_neither_role_nor_pretraining_seed(make_scores) -> None:
    table = make_scores({("own", ""): {"rte": [60, 61]}})
    assert set(table["role"]) == {""}
    assert set(table["pretraining_seed"]) == {NO_SEED}
    assert table["seed"].tolist() == [0, 1]


def test_collecting_leaves_the_tables_as_they_were(make_scores) -> None:
    given = make_scores({("own", ""): {"rte": [60, 61]}}).drop(columns=["variant", "role", "pretraining_seed"])
    before = given.copy()
    collect_scores({"own": given}, given)
    pd.testing.assert_frame_equal(given, before)


def test_model_names_survive_a_csv_file(study_scores: pd.DataFrame) -> None:
    read_again = pd.read_csv(StringIO(study_scores.to_csv(index=False)))
    assert model_names(read_again).tolist() == model_names(study_scores).tolist()


def test_histories_keep_their_variant_and_seed(study_history: pd.DataFrame) -> None:
    assert list(study_history.columns) == HISTORY_COLUMNS
    assert list(study_history["variant"].unique()) == ["untrained", "standalone", "ctcd"]
    assert (study_history.groupby("variant")["pretraining_seed"].nunique() == 3).all()


def test_final_losses_are_those_of_the_end_on_all_text_for_every_seed(study_history: pd.DataFrame) -> None:
    losses = final_losses(study_history)
    assert len(losses) == 6 * 3
    found = losses[losses["model"] == "ctcd student"]
    assert found["pretraining_seed"].tolist() == [1, 2, 3]
    assert found["heldout_loss"].tolist() == pytest.approx([4.19, 4.2, 4.21])  # and not the sampled 4.25
    assert set(found["heldout_accuracy"]) == {0.3}
    assert set(found["steps"]) == {20}
    assert set(found["tokens"]) == {20_000}
    assert found["parameters"].tolist() == [4_930_000] * 3


def test_random_weights_have_a_loss_after_no_step(study_losses: pd.DataFrame) -> None:
    found = study_losses[study_losses["model"] == "untrained student"]
    assert set(found["steps"]) == {0}
    assert found["heldout_loss"].tolist() == pytest.approx([8.09, 8.1, 8.11])


def test_a_training_of_another_length_ends_where_it_ends(study_history: pd.DataFrame) -> None:
    longer = study_history[study_history["variant"] == "standalone"].assign(variant="longer")
    longer["step"] *= 3
    losses = final_losses(pd.concat([study_history, longer])).set_index("model")["steps"]
    assert set(losses["longer teacher"]) == {60}
    assert set(losses["standalone teacher"]) == {20}


def test_confusions_count_every_pair_of_label_and_prediction_over_all_seeds() -> None:
    rows = [
        ("student", "rte", "validation", 0, 1.0, 1.0, 0.9),
        ("student", "rte", "validation", 0, 1.0, 0.0, 0.9),
        ("student", "rte", "validation", 1, 1.0, 1.0, 0.9),
        ("teacher", "rte", "validation", 0, 1.0, 1.0, 0.9),
        ("student", "stsb", "validation", 0, 2.5, 3.1, float("nan")),
    ]
    table = pd.DataFrame(rows, columns=["role", "task", "split", "seed", "label", "prediction", "confidence"])
    found = confusions({"ctcd": table, "own": table[:1].drop(columns="role")})
    assert sorted(found.to_numpy().tolist()) == [
        ["ctcd", "student", "rte", "validation", 1, 0, 1],
        ["ctcd", "student", "rte", "validation", 1, 1, 2],
        ["ctcd", "teacher", "rte", "validation", 1, 1, 1],
        ["own", "", "rte", "validation", 1, 1, 1],
    ]
