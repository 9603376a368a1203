from collections.abc import Mapping

import pandas as pd
import pytest

from ctcd.reporting.measurements import COLUMNS as MEASUREMENT_COLUMNS
from ctcd.reporting.minimal_pairs import COLUMNS, collect_minimal_pairs, measure_minimal_pairs, summarise_minimal_pairs

Tables = Mapping[str, pd.DataFrame]


@pytest.fixture
def published() -> dict[str, pd.DataFrame]:
    rows = {"paradigm": ["be", "do", "order", "overall"]}
    return {"zorro": pd.DataFrame(rows | {"lstm": [0.8, 0.9, 0.7, 0.1], "gpt2": [1.0, 1.0, 1.0, 0.1]})}


def test_measurements_are_means_over_paradigms_by_seed(study_pairs: Tables) -> None:
    rows = measure_minimal_pairs(collect_minimal_pairs(study_pairs, {}))
    assert set(MEASUREMENT_COLUMNS) == set(rows.columns)
    values = rows.set_index(["model", "pretraining_seed", "part"])["value"].sort_index()
    assert values["ctcd student", 2].to_dict() == pytest.approx(
        {"all": 75, "zorro": 80, "own": 60, "zorro/verbs": 75, "zorro/words": 90}
    )
    assert values["standalone teacher", 1, "zorro/verbs"] == pytest.approx(64)
    assert len(rows) == 2 * 3 * 5


def test_what_others_published_is_no_measurement(study_pairs: Tables, published: Tables) -> None:
    collected = collect_minimal_pairs(study_pairs, published)
    assert set(collected.loc[collected["pretraining_seed"] < 0, "variant"]) == {"lstm (published)", "gpt2 (published)"}
    assert set(measure_minimal_pairs(collected)["model"]) == {"ctcd student", "standalone teacher"}


def test_a_summary_is_the_mean_over_paradigms_with_the_error_of_the_pairs(
    study_pairs: Tables, published: Tables
) -> None:
    summary = summarise_minimal_pairs(collect_minimal_pairs(study_pairs, published))
    whole = summary[summary["phenomenon"] == ""].set_index(["model", "set"])
    student = whole.loc[("ctcd student", "zorro")]
    assert student["accuracy"] == pytest.approx(80)
    assert student["standard_error"] == pytest.approx(100 * ((0.21 + 0.16 + 0.09) / 200) ** 0.5 / 3)
    assert (student["paradigms"], student["pairs"]) == (3, 600)
    assert student["equal_length_share"] == pytest.approx(0.75)
    assert student["equal_length_accuracy"] == pytest.approx(80)
    assert whole.at[("lstm (published)", "zorro"), "accuracy"] == pytest.approx(80)
    assert pd.isna(whole.at[("lstm (published)", "zorro"), "equal_length_accuracy"])
    verbs = summary[(summary["model"] == "ctcd student") & (summary["phenomenon"] == "verbs")]
    assert verbs["accuracy"].tolist() == pytest.approx([75])


def test_a_table_that_went_through_a_file_gives_the_same(study_pairs: Tables, published: Tables, tmp_path) -> None:
    collected = collect_minimal_pairs(study_pairs, published)
    collected.to_csv(tmp_path / "pairs.csv", index=False)
    again = pd.read_csv(tmp_path / "pairs.csv")
    pd.testing.assert_frame_equal(summarise_minimal_pairs(again), summarise_minimal_pairs(collected))
    pd.testing.assert_frame_equal(measure_minimal_pairs(again), measure_minimal_pairs(collected))


def test_no_pairs_give_empty_tables() -> None:
    nothing = collect_minimal_pairs({"ctcd": pd.DataFrame(columns=["run", *COLUMNS[1:]])}, {})
    assert measure_minimal_pairs(nothing).empty
    assert summarise_minimal_pairs(nothing).empty


def test_a_given_model_has_no_seed(study_pairs: Tables) -> None:
    table = study_pairs["ctcd"].query("pretraining_seed == 2").drop(columns=["role", "pretraining_seed", "run"])
    summary = summarise_minimal_pairs(collect_minimal_pairs({"my-bert": table}, {}))
    assert summary["model"].unique().tolist() == ["my-bert"]
