"""The whole way through Kedro's own command line, in the environment `test`."""

import json
import re
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

DATA = Path("data/test")


def newest(project: Path, path: str) -> Path:
    """The latest version of a dataset's file or folder."""
    return max((project / DATA / path).glob(f"*/{Path(path).name}"))


def versions(project: Path, path: str) -> int:
    return len(list((project / DATA / path).glob(f"*/{Path(path).name}")))


def test_the_run_ends_with_the_comparison_and_the_reports_place(project: Path) -> None:
    text = (project / "run.txt").read_text()
    for model in ("majority class", "untrained student", "standalone teacher", "ctcd student"):
        assert model in text
    place = re.search(r"Report: (\S+)", text).group(1)
    assert (project / place).read_text().startswith("<!DOCTYPE html>")


def test_the_log_has_one_line_per_stage_and_no_warnings_of_libraries(project: Path) -> None:
    text = (project / "run.txt").read_text()
    assert len(re.findall(r"finetuning: finetune student \(ctcd\) +[\d.:]+ (s|min)$", text, re.MULTILINE)) == 1
    assert "Warning" not in text
    assert "Traceback" not in text
    assert not [line for line in text.splitlines() if "WARNING" in line and "probe" not in line]


def test_the_project_folder_is_left_clean(project: Path) -> None:
    made = {path.name for path in project.iterdir()} - {".telemetry", "conf", "notebooks", "pyproject.toml", "src"}
    assert made <= {"data", "run.txt", ".viz"}  # kedro-viz keeps the state of the last run in .viz
    assert "kedro_telemetry" not in (project / "pyproject.toml").read_text()


def test_scores_of_every_model_task_and_seed_are_there(project: Path) -> None:
    scores = pd.read_csv(newest(project, "08_reporting/scores.csv"))
    models = scores[scores["seed"] >= 0].groupby(["variant", "role", "task"])["seed"].nunique()
    assert set(models.index.get_level_values("variant")) == {"untrained", "standalone", "ctcd"}
    assert len(models) == 3 * 2 * 2
    assert (models == 2).all()
    assert scores["value"].between(-1, 1).all()


def test_scores_agree_with_the_predictions(project: Path) -> None:
    scores = pd.read_csv(newest(project, "07_model_output/ctcd/student_scores.csv"))
    predictions = pd.read_parquet(newest(project, "07_model_output/ctcd/student_predictions.parquet"))
    accuracy = scores[scores["metric"] == "accuracy"].set_index(["task", "split", "seed"])["value"]
    hits = (predictions["label"] == predictions["prediction"]).groupby(
        [predictions["task"], predictions["split"], predictions["seed"]]
    )
    expected = hits.mean()
    pd.testing.assert_series_equal(accuracy.sort_index(), expected.loc[accuracy.index].sort_index(), check_names=False)


def test_variants_start_from_the_same_weights_and_see_the_same_batches(project: Path) -> None:
    histories = pd.read_parquet(newest(project, "08_reporting/histories.parquet"))
    start = histories[(histories["step"] == 0) & (histories["metric"] == "heldout_loss")]
    assert (start.groupby("role")["value"].nunique() == 1).all()
    first = histories[(histories["step"] == 1) & (histories["metric"] == "hard_loss")]
    assert (first.groupby("role")["value"].nunique() == 1).all()
    assert set(first["variant"]) == {"standalone", "ctcd"}


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_models_are_standard_folders(project: Path, role: str) -> None:
    folder = newest(project, f"06_models/ctcd/{role}")
    assert AutoModel.from_pretrained(folder).config.num_hidden_layers == {"teacher": 2, "student": 1}[role]
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    answers = pipeline("fill-mask", model=str(folder))("The [MASK] is returned.")
    assert len(answers) == 5


def test_teacher_and_student_share_the_tokenizer_of_the_shards(project: Path) -> None:
    vocabularies = [
        AutoTokenizer.from_pretrained(newest(project, path)).get_vocab()
        for path in ("06_models/ctcd/teacher", "06_models/ctcd/student", "03_primary/tokenizer")
    ]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_the_untrained_models_are_the_others_before_training(project: Path) -> None:
    untrained = AutoModelForMaskedLM.from_pretrained(newest(project, "06_models/untrained/student"))
    trained = AutoModelForMaskedLM.from_pretrained(newest(project, "06_models/ctcd/student"))
    assert untrained.config.to_diff_dict() == trained.config.to_diff_dict()
    assert not untrained.get_input_embeddings().weight.equal(trained.get_input_embeddings().weight)


def test_the_training_state_is_forgotten_once_the_models_are_saved(project: Path) -> None:
    assert not list((project / DATA / "06_models").glob("*/training_state"))


def test_the_corpus_report_counts_the_corpus(project: Path) -> None:
    report = json.loads(newest(project, "08_reporting/corpus_report.json").read_text())
    assert report["splits"]["train"]["words"] > 50_000
    assert report["vocabulary_size"] == 1024
    assert 4 < report["unigram_entropy"] < 7
    assert report["sample"]["tokens"]


def test_provenance_names_versions_parameters_and_data(project: Path) -> None:
    provenance = json.loads(newest(project, "08_reporting/provenance.json").read_text())
    assert provenance["parameters"]["pretraining"]["steps"] == 20
    assert provenance["parameters"]["pretraining"]["batch_size"] == 16
    assert {"torch", "transformers", "kedro"} <= provenance["versions"].keys()
    assert provenance["data_fingerprint"]


def test_the_notebook_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_ENV", "test")
    notebook = nbformat.read(project / "notebooks/results.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project / "notebooks")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("%" in str(output.get("data", {}).get("text/plain", "")) for output in outputs)


@pytest.mark.parametrize("option", ["--pipeline=reporting", "--pipelines=reporting", "--tags=reporting"])
def test_one_pipeline_alone_uses_what_is_there(option: str, project: Path, kedro) -> None:
    before = versions(project, "08_reporting/report.html"), versions(project, "06_models/ctcd/teacher")
    result = kedro("run", option, "--env=test")
    assert result.returncode == 0, result.stderr
    after = versions(project, "08_reporting/report.html"), versions(project, "06_models/ctcd/teacher")
    assert after == (before[0] + 1, before[1])


def test_a_namespace_runs_one_variant(project: Path, kedro) -> None:
    paths = "06_models/untrained/student", "06_models/ctcd/student"
    before = [versions(project, path) for path in paths]
    result = kedro("run", "--pipelines=pretraining", "--namespaces=untrained", "--env=test")
    assert result.returncode == 0, result.stderr
    assert [versions(project, path) for path in paths] == [before[0] + 1, before[1]]


def test_a_nested_parameter_keeps_its_neighbours(project: Path, kedro) -> None:
    result = kedro(
        "run", "--pipelines=pretraining", "--namespaces=standalone", "--env=test", "--params=pretraining.steps=3"
    )
    assert result.returncode == 0, result.stderr
    history = pd.read_parquet(newest(project, "07_model_output/standalone/history.parquet"))
    assert history["step"].max() == 3
    assert history["tokens"].max() == 3 * 16 * 64


def test_only_missing_outputs_does_only_what_is_missing(project: Path, kedro) -> None:
    for version in (project / DATA / "08_reporting/report.html").iterdir():
        next(version.iterdir()).unlink()
    before = versions(project, "06_models/ctcd/teacher")
    result = kedro("run", "--pipeline=ctcd", "--only-missing-outputs", "--env=test")
    assert result.returncode == 0, result.stderr
    assert versions(project, "08_reporting/report.html") == 1
    assert versions(project, "06_models/ctcd/teacher") == before


def test_the_registry_lists_the_pipelines(kedro) -> None:
    result: subprocess.CompletedProcess[str] = kedro("registry", "list")
    listed = set(re.findall(r"^- (\w+)$", result.stdout, re.MULTILINE))
    assert listed >= {"__default__", "corpus", "pretraining", "finetuning", "reporting", "ctcd"}


def test_a_ready_teacher_teaches_a_student(kedro, project: Path) -> None:
    teacher = newest(project, "06_models/standalone/teacher")
    nodes = ("--pipeline=from_teacher", "--nodes=from_teacher.pretrain")
    result = kedro("run", *nodes, "--env=test", f"--params=teacher={teacher}")
    assert result.returncode == 0, result.stderr
    assert AutoModelForMaskedLM.from_pretrained(newest(project, "06_models/from_teacher/student"))
    assert not (project / DATA / "06_models/from_teacher/teacher").exists()


@pytest.mark.parametrize("study", ["methods", "controls", "from_teacher"])
def test_every_study_is_registered_with_its_variants(study: str, kedro) -> None:
    result = kedro("registry", "describe", study)
    assert result.returncode == 0, result.stderr
    assert "standalone.pretrain" in result.stdout


def test_a_frozen_teacher_comes_from_an_earlier_variant(kedro, project: Path) -> None:
    result = kedro("run", "--pipeline=methods", "--namespaces=one_way", "--env=test")
    assert result.returncode == 0, result.stderr
    scores = pd.read_csv(newest(project, "07_model_output/one_way/student_scores.csv"))
    assert set(scores["task"]) == {"bigram_shift", "missing_word"}
