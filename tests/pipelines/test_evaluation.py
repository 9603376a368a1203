"""`kedro run --pipeline=evaluation`: any model folder to scores."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from ctcd.modeling.architecture import build_model
from ctcd.modeling.settings import ModelParameters
from ctcd.pipelines.evaluation.nodes import compare_with_controls
from ctcd.reporting.figures import score_bars
from ctcd.reporting.minimal_pairs import COLUMNS
from ctcd.reporting.settings import ReportingParameters

CHOICE = """finetuning:
  tasks: {glue: [cola, rte]}
  seeds: 2
  epochs: 1
  minimum_steps: 0
  task_training: {rte: {epochs: 1}}
execution: {workers: 1}
tracking: {enabled: false}
"""


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    shape = ModelParameters(architecture="bert", layers=1, width=32, heads=2, feed_forward=64)
    build_model(shape, tokenizer, 32, 0, "student").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    """CoLA and RTE in the hub's layout: small, RTE with a test split of the published size."""
    root = tmp_path_factory.mktemp("data")
    for task, columns in (("cola", ["sentence"]), ("rte", ["sentence1", "sentence2"])):
        (root / "glue" / task).mkdir(parents=True)
        for split, rows in (("train_partial" if task == "cola" else "train", 40), ("validation", 20), ("test", 3000)):
            frame = pd.DataFrame(
                {column: [f"the {column} is {number}" for number in range(rows)] for column in columns}
            )
            frame["label"] = -1 if split == "test" else [number % 2 for number in range(rows)]
            if (task, split) != ("cola", "test"):
                frame.to_parquet(root / "glue" / task / f"{split}.parquet")
    return root


@pytest.fixture
def evaluation(empty_project: Path) -> Path:
    """A project whose environment `test` has no other parameters than those above."""
    (empty_project / "conf/test/parameters.yml").write_text(CHOICE)
    return empty_project


def newest(project: Path, path: str) -> Path:
    return max((project / "data/test" / path).glob(f"*/{Path(path).name}"))


def arguments(model: Path, tasks: Path, **more: str) -> list[str]:
    values = {"model": str(model), "data_root": str(tasks), "finetuning.suite": "glue"} | more
    return ["run", "--pipeline=evaluation", "--env=test", "--params=" + ",".join(f"{k}={v}" for k, v in values.items())]


def test_a_model_is_scored_beside_its_controls(evaluation: Path, model: Path, tasks: Path, run_kedro) -> None:
    kedro = run_kedro(evaluation)
    result = kedro(*arguments(model, tasks))
    assert result.returncode == 0, result.stderr
    for word in ("tiny-bert", "untrained", "majority class", "cola*", "mean over"):
        assert word in result.stdout
    scores = pd.read_csv(newest(evaluation, "08_reporting/evaluation/scores.csv"))
    assert set(scores.loc[scores["is_partial"], "task"]) == {"cola"}
    counted = scores[scores["seed"] >= 0].groupby(["variant", "task"])["seed"].nunique()
    assert counted.to_dict() == {(name, task): 2 for name in ("tiny-bert", "untrained") for task in ("cola", "rte")}
    predictions = pd.read_parquet(newest(evaluation, "07_model_output/evaluation/model_predictions.parquet"))
    confusions = pd.read_csv(newest(evaluation, "08_reporting/evaluation/confusions.csv"))
    assert confusions["examples"].sum() == len(predictions)
    archive = zipfile.ZipFile(newest(evaluation, "08_reporting/evaluation/submission.zip"))
    assert archive.namelist() == ["RTE.tsv"]
    assert len(archive.read("RTE.tsv").splitlines()) == 3001
    results = evaluation / "data/test/07_model_output/finetuning_results"
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    again = kedro(*arguments(model, tasks))
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == before


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_a_folder_with_a_name_of_ours_is_compared_like_any_other(name: str) -> None:
    def scores(points: float) -> pd.DataFrame:
        row = {"task": "cola", "split": "validation", "metric": "accuracy", "examples": 20, "is_partial": False}
        return pd.DataFrame([row | {"seed": seed, "value": (points + seed) / 100} for seed in (0, 1)])

    model, reporting = SimpleNamespace(name=name), ReportingParameters(confidence=0.95)
    pairs = pd.DataFrame(columns=COLUMNS)
    collected, comparison, text = compare_with_controls(model, scores(50), scores(60), scores(70), pairs, reporting)
    assert set(collected["variant"]) == {"majority class", "untrained", name}
    means = comparison[comparison["task"] == "cola"].set_index("quantity")["mean"]
    assert means[name] == pytest.approx(70.5)
    assert means[f"{name} - untrained"] == pytest.approx(10)
    assert "70.5" in text
    figure = score_bars(comparison)
    assert {bar.name for bar in figure.data if bar.type == "bar"} == {"untrained", name}
    assert len({bar.marker.color for bar in figure.data if bar.type == "bar"}) == 2


def test_a_model_is_scored_on_minimal_pairs_that_are_there(
    evaluation: Path, model: Path, tasks: Path, tmp_path: Path, run_kedro
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "glue").symlink_to(tasks / "glue")
    own = tmp_path / "own.csv"
    own.write_text("sentence_good,sentence_bad\nthe list is,list the is\nit is a class,it a is class\n")
    command = arguments(model, tmp_path / "data", **{"minimal_pairs.sets": f"heldout_text+{own}"})
    result = run_kedro(evaluation)(*command)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(newest(evaluation, "07_model_output/evaluation/minimal_pairs.csv"))
    assert table[["variant", "set", "paradigm", "pairs"]].to_numpy().tolist() == [["tiny-bert", "own", "own", 2]]
    assert "Minimal pairs, accuracy in points" in result.stdout
    missing = arguments(model, tmp_path / "data", **{"minimal_pairs.sets": "zorro"})
    refused = run_kedro(evaluation)(*missing)
    assert refused.returncode == 1
    assert "There is no set of minimal pairs 'zorro'" in refused.stderr.strip().splitlines()[-1]


def test_a_task_that_fails_is_reported_at_the_end_and_the_others_are_saved(
    evaluation: Path, model: Path, tasks: Path, run_kedro
) -> None:
    result = run_kedro(evaluation)(*arguments(model, tasks, **{"finetuning.task_training.rte.learning_rate": "1e30"}))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "'rte' diverged" in last
    scores = pd.read_csv(newest(evaluation, "08_reporting/evaluation/scores.csv"))
    assert set(scores.loc[scores["variant"] == "tiny-bert", "task"]) == {"cola"}
    failures = pd.read_csv(newest(evaluation, "07_model_output/evaluation/model_failures.csv"))
    assert failures[["task", "seed"]].to_numpy().tolist() == [["rte", 0], ["rte", 1]]


def test_a_killed_run_goes_on_with_the_next_fine_tuning(evaluation: Path, model: Path, tasks: Path, run_kedro) -> None:
    command = [sys.executable, "-m", "kedro", *arguments(model, tasks, **{"finetuning.epochs": "15"})]
    environment = os.environ | {"PYTHONPATH": str(evaluation / "src")}
    results = evaluation / "data/test/07_model_output/finetuning_results"
    with subprocess.Popen(command, cwd=evaluation, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(results.glob("*.safetensors")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in results.glob("*.safetensors")}
    assert kept
    assert not list((evaluation / "data/test").glob("08_reporting/**/*.csv"))
    result = run_kedro(evaluation)(*arguments(model, tasks, **{"finetuning.epochs": "15"}))
    assert result.returncode == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(results.glob("*.safetensors"))) == 8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: "nowhere/at/all", "no model folder 'nowhere/at/all'"),
        (lambda folder: str(folder), "is no model folder"),
        (lambda folder: str(shutil.copytree(folder / "model", folder / "mute")), "has no tokenizer"),
        (lambda _: "", "No model is named"),
    ],
)
def test_what_is_no_model_is_one_sentence(
    make, words: str, evaluation: Path, model: Path, tasks: Path, tmp_path: Path, run_kedro
) -> None:
    (tmp_path / "model").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model / name, tmp_path / "model" / name)
    source = make(tmp_path)
    command = arguments(Path(source), tasks) if source else arguments(model, tasks)
    if not source:
        command = [word.replace(f"model={model},", "") for word in command]
    result = run_kedro(evaluation)(*command)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert words in result.stderr.strip().splitlines()[-1]


def test_tasks_beyond_glue_need_configuration_alone(evaluation: Path, model: Path, tmp_path: Path, run_kedro) -> None:
    own = {"text_columns": ["text"], "metrics": ["accuracy", "macro_f1"], "validation_splits": ["test"]}
    own |= {"label_column": "colour", "further_splits": {"web": "other/all"}}
    tracking, chosen = {"enabled": False}, {"suite": "extra", "tasks": {"extra": ["own"]}, "seeds": 1}
    chosen |= {"keep_models": ["own"], "robustness": {"perturbations": {"typos": 0.5}}}
    choice = {"finetuning": chosen | {"extra_tasks": {"own": own}}, "tracking": tracking}
    (evaluation / "conf/test/parameters.yml").write_text(json.dumps(choice))
    for place, rows in (("own/train", 30), ("own/test", 15), ("other/all", 6)):
        frame = pd.DataFrame({"text": [f"text {number}" for number in range(rows)]})
        frame["colour"] = [("red", "green", "blue")[number % 3] for number in range(rows)]
        file = tmp_path / "extra" / f"{place}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(file)
    result = run_kedro(evaluation)(
        "run", "--pipeline=evaluation", "--env=test", f"--params=model={model},data_root={tmp_path}"
    )
    assert result.returncode == 0, result.stderr
    scores = pd.read_csv(newest(evaluation, "07_model_output/evaluation/model_scores.csv"))
    assert scores["metric"].tolist() == ["accuracy", "macro_f1"]
    robustness = pd.read_csv(newest(evaluation, "07_model_output/evaluation/model_robustness.csv"))
    assert set(robustness["test_set"]) == {"unchanged", "typos", "web"}
    kept = json.loads((newest(evaluation, "06_models/classifiers/evaluation") / "own/config.json").read_text())
    assert kept["id2label"] == {"0": "blue", "1": "green", "2": "red"}
    checks = pd.read_csv(newest(evaluation, "07_model_output/evaluation/task_checks.csv"))
    assert checks[["split", "problem", "examples"]].to_numpy().tolist() == [["test", "also in train", 15]]
