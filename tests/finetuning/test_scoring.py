import logging
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ctcd.errors import InputError
from ctcd.finetuning import jobs
from ctcd.finetuning.scoring import Stores, score_majority_class, score_model, score_models, with_fewer_examples
from ctcd.finetuning.settings import TaskTraining
from ctcd.lineage.array_store import ArrayStore
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.metrics import score
from ctcd.tasks.submission import submission_files
from ctcd.tasks.tasks import GLUE, FurtherSplit, Task, hidden

KEYS = ["task", "split", "seed", "example"]


@pytest.fixture(scope="module")
def scored(make_model, suite, word_task, pair_task, number_task, make_settings, execution, tmp_path_factory):
    tasks = [word_task, pair_task, number_task]
    folder = tmp_path_factory.mktemp("stores")
    stores = Stores(ArrayStore(folder / "tokens"), ArrayStore(folder / "results"))
    result = score_model(make_model("bert"), suite, tasks, make_settings(seeds=2), execution, stores)
    return tasks, result.scores, result.predictions


def test_scores_are_a_long_table_in_the_order_of_the_tasks(scored, suite):
    tasks, scores, _ = scored
    assert list(scores.columns) == ["task", "split", "seed", "metric", "value", "examples", "is_partial"]
    assert scores[["task", "seed", "metric"]].to_numpy().tolist() == [
        [task.name, seed, metric] for task in tasks for seed in (0, 1) for metric in task.metrics
    ]
    for task in tasks:
        examples = scores.loc[scores["task"] == task.name, "examples"].unique().tolist()
        assert examples == [len(suite.read(task).frames["validation"])]


def test_without_tasks_there_is_nothing_to_train_and_nothing_scored(
    make_model, suite, make_settings, execution, tmp_path
):
    stores = Stores(ArrayStore(tmp_path / "tokens"), ArrayStore(tmp_path / "results"))
    result = score_model(make_model("bert"), suite, [], make_settings(), execution, stores)
    assert result.scores.empty
    assert result.failures.empty
    assert list(result.scores.columns) == ["task", "split", "seed", "metric", "value", "examples", "is_partial"]


def test_scores_follow_from_the_predictions_table(scored):
    tasks, scores, predictions = scored
    assert list(predictions.columns) == [*KEYS, "label", "prediction", "confidence", "brier_score"]
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
        assert np.allclose(rows["label"], suite.read(task).frames["validation"]["label"])
        assert rows["confidence"].isna().all() == task.regression


def test_a_finished_task_is_one_log_line(make_model, suite, pair_task, make_settings, execution, stores, caplog):
    with caplog.at_level(logging.INFO, "ctcd"):
        score_model(make_model("bert"), suite, [pair_task], make_settings(seeds=2), execution, stores)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "ctcd.finetuning.scoring"]
    assert line.startswith("pairs: accuracy/f1 ")
    assert line.endswith("over 2 seeds")


def test_so_many_training_examples_as_a_task_is_given_are_drawn_and_the_others_left(suite, pair_task, make_settings):
    whole = suite.read(pair_task)

    def fewer(count):
        settings = make_settings(task_training={"pairs": TaskTraining(training_examples=count)})
        return with_fewer_examples(whole, settings)

    train = fewer(10).frames["train"]
    assert len(train) == 10
    assert len(train.merge(whole.frames["train"].drop_duplicates())) == 10
    assert fewer(10).frames["validation"] is whole.frames["validation"]
    assert (fewer(10).is_partial, whole.is_partial) == (True, False)
    pd.testing.assert_frame_equal(train, fewer(10).frames["train"])
    assert fewer(len(whole.frames["train"])) is whole
    assert fewer(None) is whole


def test_a_score_from_fewer_training_examples_says_so(make_model, suite, pair_task, make_settings, execution, stores):
    settings = make_settings(task_training={"pairs": TaskTraining(training_examples=10)})
    scores = score_model(make_model("bert"), suite, [pair_task], settings, execution, stores).scores
    assert scores["is_partial"].all()


def test_models_that_are_scored_together_get_what_each_gets_alone(
    make_model, suite, pair_task, make_settings, execution, stores, tmp_path
):
    models = [make_model("bert"), make_model("electra")]
    together = score_models(models, suite, [pair_task], make_settings(), execution, stores)
    assert len(list(stores.results.folder.iterdir())) == 2
    for model, found in zip(models, together, strict=True):
        apart = Stores(ArrayStore(tmp_path / model.folder.name / "a"), ArrayStore(tmp_path / model.folder.name / "b"))
        alone = score_model(model, suite, [pair_task], make_settings(), execution, apart)
        pd.testing.assert_frame_equal(found.scores, alone.scores)
        pd.testing.assert_frame_equal(found.predictions, alone.predictions)
    assert not together[0].predictions["confidence"].equals(together[1].predictions["confidence"])


def test_what_the_others_have_learned_is_kept_where_nothing_of_a_model_can_be_scored(
    make_model, suite, pair_task, make_settings, execution, stores, monkeypatch
):
    failing, other = make_model("electra"), make_model("bert")
    finetune = jobs.finetune

    def broken(model, *arguments):
        if model == failing:
            raise InputError("The electra diverged.")
        return finetune(model, *arguments)

    monkeypatch.setattr(jobs, "finetune", broken)
    with pytest.raises(InputError, match="electra diverged"):
        score_models([failing, other], suite, [pair_task], make_settings(), execution, stores)
    assert len(list(stores.results.folder.iterdir())) == 1


def test_majority_class_scores_have_the_same_columns(suite, word_task, pair_task):
    scores = score_majority_class(suite, [word_task, pair_task])
    assert list(scores.columns) == ["task", "split", "seed", "metric", "value", "examples", "is_partial"]
    labels = suite.read(pair_task).frames["validation"]["label"]
    majority = suite.read(pair_task).frames["train"]["label"].mode()[0]
    accuracy = scores.loc[(scores["task"] == "pairs") & (scores["metric"] == "accuracy"), "value"].item()
    assert accuracy == pytest.approx((labels == majority).mean())


def write(folder, task, split, **columns):
    (folder / task).mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(folder / task / f"{split}.parquet")


@pytest.fixture
def half_broken(tmp_path, suite):
    """The suite with a task beside it whose labels are wrong."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "contains_is").symlink_to(suite.folder / "contains_is")
    write(folder, "cola", "train", sentence=["a"], label=[1])
    write(folder, "cola", "validation", sentence=["a"], label=[7])
    return FolderSuite(folder)


def test_a_task_that_cannot_be_read_is_reported_first_and_the_others_go_on(
    make_model, half_broken, word_task, make_settings, execution, stores, caplog
):
    tasks = [word_task, GLUE["cola"]]
    result = score_model(make_model("bert"), half_broken, tasks, make_settings(), execution, stores)
    assert result.failures[["task", "seed"]].to_numpy().tolist() == [["cola", -1]]
    assert "the label 7" in result.failures["reason"].item()
    assert "the label 7" in caplog.records[0].getMessage()
    assert set(result.scores["task"]) == {"contains_is"}
    assert set(score_majority_class(half_broken, tasks)["task"]) == {"contains_is"}


def test_a_seed_that_diverges_is_reported_and_the_others_go_on(
    make_model, suite, word_task, pair_task, make_settings, execution, stores
):
    settings = make_settings(task_training={"pairs": TaskTraining(learning_rate=1e30)})
    result = score_model(make_model("bert"), suite, [word_task, pair_task], settings, execution, stores)
    assert result.failures[["task", "seed"]].to_numpy().tolist() == [["pairs", 0]]
    assert set(result.scores["task"]) == {"contains_is"}
    assert set(result.predictions["task"]) == {"contains_is"}


def test_where_nothing_can_be_scored_the_reason_is_raised(
    make_model, suite, pair_task, make_settings, execution, stores
):
    settings = make_settings(learning_rate=1e30)
    with pytest.raises(InputError, match="diverged"):
        score_model(make_model("bert"), suite, [pair_task], settings, execution, stores)
    with pytest.raises(InputError, match="data_root"):
        score_model(make_model("bert"), FolderSuite(suite.folder / "x"), [pair_task], settings, execution, stores)


def test_finished_fine_tunings_are_not_run_again(
    make_model, suite, word_task, pair_task, make_settings, execution, stores, monkeypatch
):
    model, tasks = make_model("bert"), [word_task, pair_task]
    first = score_model(model, suite, [pair_task], make_settings(seeds=2), execution, stores)
    trained = []
    finetune = jobs.finetune
    monkeypatch.setattr(jobs, "finetune", lambda *arguments: trained.append(arguments[1]) or finetune(*arguments))
    both = score_model(model, suite, tasks, make_settings(seeds=2), execution, stores)
    assert [tokenized.task.name for tokenized in trained] == ["contains_is"] * 2
    of_pairs = both.predictions[both.predictions["task"] == "pairs"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_pairs, first.predictions)
    anew = execution.model_copy(update={"resume": "never"})
    score_model(model, suite, [pair_task], make_settings(seeds=2), anew, stores)
    assert len(trained) == 4


def test_what_was_finished_before_a_kill_is_kept(
    make_model, suite, pair_task, word_task, make_settings, execution, stores, monkeypatch
):
    finetune, trained = jobs.finetune, []

    def killed_at_the_third(*arguments):
        trained.append(arguments)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return finetune(*arguments)

    monkeypatch.setattr(jobs, "finetune", killed_at_the_third)
    tasks, settings = [word_task, pair_task], make_settings(seeds=2)
    with pytest.raises(KeyboardInterrupt):
        score_model(make_model("bert"), suite, tasks, settings, execution, stores)
    assert len(list(stores.results.folder.iterdir())) == 2
    result = score_model(make_model("bert"), suite, tasks, settings, execution, stores)
    assert len(trained) == 3 + 2
    assert len(result.scores) == 2 * (1 + 2)


def test_two_tasks_on_the_same_data_are_both_scored(
    make_model, suite, word_task, make_settings, execution, stores, tmp_path
):
    for name in ("one", "two"):
        shutil.copytree(suite.folder / "contains_is", tmp_path / name)
    tasks = [replace(word_task, name="one"), replace(word_task, name="two", metrics=("macro_f1",))]
    result = score_model(make_model("bert"), FolderSuite(tmp_path), tasks, make_settings(), execution, stores)
    assert result.scores["task"].tolist() == ["one", "two"]


@pytest.mark.parametrize("change", ["settings", "weights", "labels"])
def test_what_was_computed_from_something_else_is_not_taken(
    make_model, suite, pair_task, make_settings, execution, stores, tmp_path, change
):
    model, folder = make_model("bert"), suite.folder
    score_model(model, suite, [pair_task], make_settings(), execution, stores)
    settings = make_settings(learning_rate=1e-3) if change == "settings" else make_settings()
    if change == "weights":
        model = model.with_random_weights()
    if change == "labels":
        folder = tmp_path / "tasks"
        shutil.copytree(suite.folder / "pairs", folder / "pairs")
        train = pd.read_parquet(folder / "pairs" / "train.parquet")
        train.assign(label=1 - train["label"]).to_parquet(folder / "pairs" / "train.parquet")
    score_model(model, FolderSuite(folder), [pair_task], settings, execution, stores)
    assert len(list(stores.results.folder.iterdir())) == 2


def test_test_splits_are_predicted_by_the_first_seed(
    make_model, suite, pair_task, make_settings, execution, stores, tmp_path
):
    folder = tmp_path / "tasks"
    shutil.copytree(suite.folder / "pairs", folder / "pairs")
    write(folder, "pairs", "test", sentence1=["a", "b"], sentence2=["c", "d"], label=[-1, -1])
    write(folder, "other", "test", sentence1=["a"], sentence2=["c"], label=[-1])
    other = FurtherSplit("diagnostic", "test", folder="other", is_hidden=True)
    task = replace(pair_task, further_splits=(*hidden("test"), other))
    result = score_model(make_model("bert"), FolderSuite(folder), [task], make_settings(seeds=2), execution, stores)
    assert set(result.scores["task"]) == {"pairs"}
    rows = result.test_predictions
    assert rows[["task", "split", "seed", "example"]].to_numpy().tolist() == [
        ["pairs", "test", 0, 0],
        ["pairs", "test", 0, 1],
        ["pairs", "diagnostic", 0, 0],
    ]
    assert rows["prediction"].isin([0, 1]).all()
    without = make_settings(submission=False)
    assert score_model(
        make_model("bert"), FolderSuite(folder), [task], without, execution, stores
    ).test_predictions.empty


def test_a_test_split_that_changed_is_predicted_anew(
    make_model, suite, pair_task, make_settings, execution, stores, tmp_path
):
    shutil.copytree(suite.folder / "pairs", tmp_path / "pairs")
    task = replace(pair_task, further_splits=hidden("test"))
    arguments = make_model("bert"), FolderSuite(tmp_path), [task], make_settings(), execution, stores
    confidences = []
    for texts in (["a", "b"], ["a", "b", "c"], ["is", "it", "so"]):
        write(tmp_path, "pairs", "test", sentence1=texts, sentence2=texts)
        confidences.append(score_model(*arguments).test_predictions["confidence"].tolist())
    assert [len(values) for values in confidences] == [2, 3, 3]
    assert confidences[0] == pytest.approx(confidences[1][:2])
    assert confidences[1] != pytest.approx(confidences[2], rel=1e-6)


def test_numbers_are_predicted_for_a_test_split_without_labels(
    make_model, suite, number_task, make_settings, execution, stores, tmp_path
):
    shutil.copytree(suite.folder / "lengths", tmp_path / "lengths")
    write(tmp_path, "lengths", "test", sentence=["a", "a much longer sentence"])
    task = replace(number_task, further_splits=hidden("test"))
    result = score_model(make_model("bert"), FolderSuite(tmp_path), [task], make_settings(), execution, stores)
    assert result.test_predictions["prediction"].nunique() == 2
    assert result.test_predictions["confidence"].isna().all()


def test_the_diagnostic_split_reaches_its_file_of_the_submission(
    make_model, make_settings, execution, stores, tmp_path
):
    texts = [f"sentence {number}" for number in range(12)]
    columns = {"premise": texts, "hypothesis": texts, "label": [0, 1, 2] * 4}
    for split in ("train", "validation_matched", "validation_mismatched"):
        write(tmp_path, "mnli", split, **columns)
    write(tmp_path, "ax", "test", premise=["a"] * 1104, hypothesis=["b"] * 1104, label=[-1] * 1104)
    result = score_model(make_model("bert"), FolderSuite(tmp_path), [GLUE["mnli"]], make_settings(), execution, stores)
    assert list(submission_files(result.test_predictions)) == ["AX.tsv"]


def test_labels_with_gaps_come_back_as_they_stand_in_the_files(
    make_model, suite, word_task, make_settings, execution, stores, tmp_path
):
    for split, frame in suite.read(word_task).frames.items():
        write(tmp_path, "own", split, text=frame["sentence"], label=frame["label"] * 5 + 2)
    task = Task("own", ("text",), ("accuracy", "macro_f1"))
    result = score_model(make_model("bert"), FolderSuite(tmp_path), [task], make_settings(), execution, stores)
    assert set(result.predictions["label"]) == {2.0, 7.0}
    assert set(result.predictions["prediction"]) <= {2.0, 7.0}
    accuracy = result.scores.loc[result.scores["metric"] == "accuracy", "value"].item()
    assert accuracy == (result.predictions["label"] == result.predictions["prediction"]).mean()


def test_a_partial_task_is_marked_in_the_scores(
    make_model, suite, word_task, make_settings, execution, stores, tmp_path
):
    (tmp_path / "contains_is").mkdir()
    for source, target in (("train", "train_partial"), ("validation", "validation")):
        shutil.copy(suite.folder / f"contains_is/{source}.parquet", tmp_path / f"contains_is/{target}.parquet")
    result = score_model(make_model("bert"), FolderSuite(tmp_path), [word_task], make_settings(), execution, stores)
    assert result.scores["is_partial"].all()
    assert score_majority_class(FolderSuite(tmp_path), [word_task])["is_partial"].all()


def test_further_splits_are_predicted_by_every_seed_and_are_no_part_of_the_scores(
    make_model, suite, pair_task, make_settings, execution, stores, tmp_path
):
    folder = tmp_path / "tasks"
    shutil.copytree(suite.folder / "pairs", folder / "pairs")
    write(folder, "other", "all", sentence1=["a", "b"], sentence2=["c", "d"], label=[1, 0])
    task = replace(pair_task, further_splits=(FurtherSplit("web", "all", folder="other"),))
    settings = make_settings(seeds=2, robustness={"perturbations": {"typos": 0.3}})
    arguments = make_model("bert"), FolderSuite(folder), [task], settings, execution, stores
    result = score_model(*arguments)
    plain = score_model(make_model("bert"), suite, [pair_task], make_settings(seeds=2), execution, stores)
    pd.testing.assert_frame_equal(result.scores, plain.scores)
    pd.testing.assert_frame_equal(result.predictions, plain.predictions)
    rows = result.further_predictions
    examples = len(plain.predictions) // 2
    assert rows.groupby(["test_set", "split", "seed"]).size().to_dict() == {
        ("typos", "validation typos", 0): examples,
        ("typos", "validation typos", 1): examples,
        ("web", "web", 0): 2,
        ("web", "web", 1): 2,
    }
    assert plain.further_predictions.empty
    assert rows.loc[rows["test_set"] == "web", "label"].tolist() == [1, 0, 1, 0]
    assert rows["confidence"].between(0.5, 1).all()
    pd.testing.assert_frame_equal(score_model(*arguments).further_predictions, rows)


def test_what_one_run_predicted_stays_where_another_predicts_other_splits(
    make_model, suite, pair_task, make_settings, execution, stores, monkeypatch
):
    finetune, trained = jobs.finetune, []
    monkeypatch.setattr(jobs, "finetune", lambda *arguments: trained.append(arguments) or finetune(*arguments))
    typos, casing = ({"perturbations": {name: 0.5}} for name in ("typos", "casing"))
    for robustness in (typos, casing, typos, casing):
        settings = make_settings(robustness=robustness)
        score_model(make_model("bert"), suite, [pair_task], settings, execution, stores)
    assert len(trained) == 2


def test_brier_scores_follow_from_two_probabilities(scored):
    _, _, predictions = scored
    rows = predictions[predictions["task"] == "pairs"]
    wrong = np.where(rows["label"] == rows["prediction"], 1 - rows["confidence"], rows["confidence"])
    assert rows["brier_score"].to_numpy() == pytest.approx(2 * wrong**2, abs=2e-3)
    assert predictions.loc[predictions["task"] == "lengths", "brier_score"].isna().all()
