import logging

import numpy as np
import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.evaluation import jobs
from ctcd.evaluation.metrics import score
from ctcd.evaluation.scoring import score_majority_class, score_model
from ctcd.evaluation.suite import Suite
from ctcd.evaluation.tasks import GLUE


@pytest.fixture(scope="module")
def scored(make_model, suite, word_task, pair_task, number_task, make_settings, execution):
    tasks = [word_task, pair_task, number_task]
    return tasks, *score_model(make_model("bert"), suite, tasks, make_settings(seeds=2), execution)


def test_scores_are_a_long_table_in_the_order_of_the_tasks(scored, suite):
    tasks, scores, _ = scored
    assert list(scores.columns) == ["task", "split", "seed", "metric", "value", "examples"]
    assert scores[["task", "seed", "metric"]].to_numpy().tolist() == [
        [task.name, seed, metric] for task in tasks for seed in (0, 1) for metric in task.metrics
    ]
    for task in tasks:
        examples = scores.loc[scores["task"] == task.name, "examples"].unique().tolist()
        assert examples == [len(suite.read(task, "validation"))]


def test_scores_follow_from_the_predictions_table(scored):
    tasks, scores, predictions = scored
    assert list(predictions.columns) == ["task", "split", "seed", "example", "label", "prediction", "confidence"]
    for task in tasks:
        for seed in (0, 1):
            rows = predictions[(predictions["task"] == task.name) & (predictions["seed"] == seed)]
            expected = score(task, rows["label"].to_numpy(), rows["prediction"].to_numpy())
            found = scores[(scores["task"] == task.name) & (scores["seed"] == seed)].set_index("metric")["value"]
            assert found.to_dict() == pytest.approx(expected)
            assert rows["example"].tolist() == list(range(len(rows)))


def test_labels_of_the_predictions_are_those_of_the_file(scored, suite):
    tasks, _, predictions = scored
    for task in tasks:
        rows = predictions[(predictions["task"] == task.name) & (predictions["seed"] == 0)]
        assert np.allclose(rows["label"], suite.read(task, "validation")["label"])
        assert rows["confidence"].isna().all() == task.regression


def test_a_finished_task_is_one_log_line(make_model, suite, pair_task, make_settings, execution, caplog):
    with caplog.at_level(logging.INFO, "ctcd"):
        score_model(make_model("bert"), suite, [pair_task], make_settings(seeds=2), execution)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("ctcd.evaluation")]
    assert line.startswith("pairs: accuracy/f1 ")
    assert line.endswith("over 2 seeds")


def test_majority_class_scores_have_the_same_columns(suite, word_task, pair_task):
    scores = score_majority_class(suite, [word_task, pair_task])
    assert list(scores.columns) == ["task", "split", "seed", "metric", "value", "examples"]
    labels = suite.read(pair_task, "validation")["label"]
    majority = suite.read(pair_task, "train")["label"].mode()[0]
    accuracy = scores.loc[(scores["task"] == "pairs") & (scores["metric"] == "accuracy"), "value"].item()
    assert accuracy == pytest.approx((labels == majority).mean())


def test_everything_is_checked_before_the_first_fine_tuning(
    make_model, suite, word_task, make_settings, execution, monkeypatch, tmp_path
):
    monkeypatch.setattr(jobs, "finetune", lambda *_: pytest.fail("fine-tuning has started"))
    (tmp_path / "contains_is").symlink_to(suite.folder / "contains_is")
    (tmp_path / "cola").mkdir()
    pd.DataFrame({"sentence": ["a"], "label": [1]}).to_parquet(tmp_path / "cola" / "train.parquet")
    pd.DataFrame({"sentence": ["a"], "label": [7]}).to_parquet(tmp_path / "cola" / "validation.parquet")
    with pytest.raises(InputError, match="the label 7"):
        score_model(make_model("bert"), Suite(tmp_path), [word_task, GLUE["cola"]], make_settings(), execution)


def test_a_folder_without_a_model_is_refused(tmp_path, suite, word_task, make_settings, execution):
    with pytest.raises(InputError, match="is no model folder"):
        score_model(tmp_path, suite, [word_task], make_settings(), execution)


def test_a_length_beyond_the_models_positions_is_refused(make_model, suite, word_task, make_settings, execution):
    with pytest.raises(InputError, match="maximum_length is 64, but the model reads at most 32"):
        score_model(make_model("bert"), suite, [word_task], make_settings(maximum_length=64), execution)


def test_no_task_is_refused(make_model, suite, make_settings, execution):
    with pytest.raises(InputError, match="no task to score"):
        score_model(make_model("bert"), suite, [], make_settings(), execution)
