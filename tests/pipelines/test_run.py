"""The whole way through Kedro's own command line, in the environment `test`."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from nbclient import NotebookClient
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, pipeline

DATA = Path("data/test")


def newest(project: Path, path: str) -> Path:
    """The latest version of a dataset's file or folder."""
    return max((project / DATA / path).glob(f"*/{Path(path).name}"))


def versions(project: Path, path: str) -> int:
    return len(list((project / DATA / path).glob(f"*/{Path(path).name}")))


def reports(project: Path) -> list[Path]:
    return sorted((project / DATA / "08_reporting").rglob("report.html/*/report.html"))


def model_folder(project: Path, variant: str, role: str, seed: int = 1) -> Path:
    return newest(project, f"06_models/{variant}") / f"{role}-seed-{seed}"


def histories(project: Path, *variants: str) -> pd.DataFrame:
    return pd.concat(
        pd.read_parquet(newest(project, f"07_model_output/{variant}/history.parquet")).assign(variant=variant)
        for variant in variants
    )


def test_the_run_ends_with_the_comparison_and_the_reports_place(project: Path) -> None:
    text = (project / "run.txt").read_text()
    for model in ("majority class", "untrained student", "standalone teacher", "ctcd student"):
        assert model in text
    place = re.search(r"Report: (\S+)", text).group(1)
    assert (project / place).read_text().startswith("<!DOCTYPE html>")


def test_the_log_has_one_line_per_stage_and_no_warnings_of_libraries(project: Path) -> None:
    text = (project / "run.txt").read_text()
    assert len(re.findall(r"finetuning: finetune \(ctcd\) +[\d.:]+ (s|min)$", text, re.MULTILINE)) == 1
    assert "Warning" not in text
    assert "Traceback" not in text
    assert not [line for line in text.splitlines() if "WARNING" in line and "probe" not in line]


def test_the_project_folder_is_left_clean(project: Path) -> None:
    made = {path.name for path in project.iterdir()} - {".telemetry", "conf", "notebooks", "pyproject.toml", "src"}
    assert made <= {"data", "run.txt", ".viz"}  # kedro-viz keeps the state of the last run in .viz
    assert "kedro_telemetry" not in (project / "pyproject.toml").read_text()


@pytest.mark.parametrize("variant", ["untrained", "standalone", "ctcd"])
def test_scores_of_every_model_task_and_seed_are_there(variant: str, project: Path) -> None:
    scores = pd.read_csv(newest(project, f"07_model_output/{variant}/scores.csv"))
    models = scores.groupby(["pretraining_seed", "role", "task"])["seed"].nunique()
    assert len(models) == 2 * 2 * 2
    assert (models == 2).all()
    assert scores["run"].nunique() == (2 if variant == "ctcd" else 4)
    assert scores["value"].between(-1, 1).all()


def test_scores_agree_with_the_predictions(project: Path) -> None:
    scores = pd.read_csv(newest(project, "07_model_output/ctcd/scores.csv"))
    predictions = pd.read_parquet(newest(project, "07_model_output/ctcd/predictions.parquet"))
    names = ["run", "pretraining_seed", "role", "task", "split", "seed"]
    accuracy = scores[scores["metric"] == "accuracy"].set_index(names)["value"]
    hits = predictions.assign(value=predictions["label"] == predictions["prediction"])
    expected = hits.groupby(names)["value"].mean()
    pd.testing.assert_series_equal(accuracy.sort_index(), expected.loc[accuracy.index].sort_index(), check_names=False)


def test_variants_start_from_the_same_weights_and_see_the_same_batches(project: Path) -> None:
    history = histories(project, "untrained", "standalone", "ctcd")
    start = history[(history["step"] == 0) & (history["metric"] == "sampled_heldout_loss")]
    first = history[(history["step"] == 1) & (history["metric"] == "hard_loss")]
    assert set(start["variant"]) == {"untrained", "standalone", "ctcd"}
    assert set(first["variant"]) == {"standalone", "ctcd"}
    for rows in (start, first):
        assert (rows.groupby(["pretraining_seed", "role"])["value"].nunique() == 1).all()


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_models_are_standard_folders(project: Path, role: str) -> None:
    folder = model_folder(project, "ctcd", role)
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
        AutoTokenizer.from_pretrained(folder).get_vocab()
        for folder in (
            model_folder(project, "ctcd", "teacher"),
            model_folder(project, "ctcd", "student", 2),
            newest(project, "03_primary/tokenizer"),
        )
    ]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]


def test_the_untrained_models_are_the_others_before_training(project: Path) -> None:
    untrained = AutoModelForMaskedLM.from_pretrained(model_folder(project, "untrained", "student"))
    trained = AutoModelForMaskedLM.from_pretrained(model_folder(project, "ctcd", "student"))
    assert untrained.config.to_diff_dict() == trained.config.to_diff_dict()
    assert not untrained.get_input_embeddings().weight.equal(trained.get_input_embeddings().weight)


def test_a_store_of_finished_runs_has_no_states_and_no_locks(project: Path) -> None:
    names = [path.name for path in (project / DATA / "06_models/runs").iterdir()]
    assert len(names) >= 2 * (2 + 2 + 1)  # seeds x (untrained + standalone + ctcd)
    assert not [name for name in names if not re.fullmatch("[0-9a-f]{32}", name)]


def test_every_version_of_a_model_is_whole_by_itself(project: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(model_folder(project, "ctcd", "student"), tmp_path / "student")
    assert AutoModelForMaskedLM.from_pretrained(copied)


def test_the_corpus_report_counts_the_corpus(project: Path) -> None:
    report = json.loads(newest(project, "08_reporting/corpus_report.json").read_text())
    assert report["splits"]["train"]["words"] > 50_000
    assert report["vocabulary_size"] == 1024
    assert 4 < report["unigram_entropy"] < 7
    assert report["sample"]["tokens"]


def test_records_say_what_every_model_was_made_of_and_by(project: Path) -> None:
    records = json.loads(newest(project, "07_model_output/ctcd/runs.json").read_text())
    table = pd.read_csv(newest(project, "06_models/ctcd") / "models.csv")
    assert {record["run"] for record in records} == set(table["run"])
    shards = json.loads((newest(project, "05_model_input/shards") / "metadata.json").read_text())
    for record in records:
        assert record["identity"]["steps"] == 20
        assert record["identity"]["batch_size"] == 16
        assert {"torch", "transformers", "kedro"} <= record["made_by"]["versions"].keys()
        assert record["data"]["fingerprint"] == shards["fingerprint"]


def test_the_notebook_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_ENV", "test")
    notebook = nbformat.read(project / "notebooks/results.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project / "notebooks")}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("%" in str(output.get("data", {}).get("text/plain", "")) for output in outputs)


@pytest.mark.parametrize("option", ["--pipeline=report", "--pipelines=report", "--tags=report"])
def test_one_pipeline_alone_uses_what_is_there(option: str, project: Path, kedro) -> None:
    before = len(reports(project)), versions(project, "06_models/ctcd")
    result = kedro("run", option, "--env=test")
    assert result.returncode == 0, result.stderr
    assert (len(reports(project)), versions(project, "06_models/ctcd")) == (before[0] + 1, before[1])


def test_a_namespace_runs_one_variant(project: Path, kedro) -> None:
    paths = "06_models/untrained", "06_models/ctcd"
    before = [versions(project, path) for path in paths]
    result = kedro("run", "--pipelines=pretraining", "--namespaces=untrained", "--env=test")
    assert result.returncode == 0, result.stderr
    assert [versions(project, path) for path in paths] == [before[0] + 1, before[1]]


def test_a_nested_parameter_keeps_its_neighbours(copied_project, run_kedro) -> None:
    copy = copied_project("03_primary", "05_model_input")
    changes = "--params=pretraining.steps=3,variants.standalone.student.feed_forward=64"
    result = run_kedro(copy)("run", "--pipelines=pretraining", "--namespaces=standalone", "--env=test", changes)
    assert result.returncode == 0, result.stderr
    history = histories(copy, "standalone")
    assert history["step"].max() == 3
    assert history["tokens"].max() == 3 * 16 * 64
    student = AutoModel.from_pretrained(model_folder(copy, "standalone", "student")).config
    assert (student.intermediate_size, student.hidden_size, student.num_hidden_layers) == (64, 32, 1)


def test_only_missing_outputs_does_only_what_is_missing(project: Path, kedro) -> None:
    for report in reports(project):
        report.unlink()
    before = versions(project, "06_models/ctcd")
    result = kedro("run", "--pipeline=ctcd", "--only-missing-outputs", "--env=test")
    assert result.returncode == 0, result.stderr
    assert len(reports(project)) == 1
    assert versions(project, "06_models/ctcd") == before


def test_the_registry_lists_the_pipelines(kedro) -> None:
    result: subprocess.CompletedProcess[str] = kedro("registry", "list")
    listed = set(re.findall(r"^- (\w+)$", result.stdout, re.MULTILINE))
    assert listed >= {"__default__", "corpus", "pretraining", "finetuning", "report", "ctcd", "all_studies"}


def test_a_given_teacher_teaches_a_student(kedro, project: Path) -> None:
    teacher = model_folder(project, "standalone", "teacher")
    nodes = ("--pipeline=from_teacher", "--nodes=from_teacher.pretrain")
    result = kedro("run", *nodes, "--env=test", f"--params=teacher={teacher}")
    assert result.returncode == 0, result.stderr
    assert AutoModelForMaskedLM.from_pretrained(model_folder(project, "from_teacher", "student", 2))
    assert not model_folder(project, "from_teacher", "teacher").exists()


def test_models_that_are_not_new_are_trained_further_and_cut(kedro, project: Path) -> None:
    teacher = model_folder(project, "standalone", "teacher")
    given = f"--params=teacher={teacher.relative_to(project)},pretraining.steps=3"
    result = kedro("run", "--pipeline=from_ready", "--nodes=ready.pretrain,ready_ctcd.pretrain", "--env=test", given)
    assert result.returncode == 0, result.stderr
    whole, first = "model.layers.1.attn.Wo.weight", "model.layers.0.attn.Wo.weight"
    before = AutoModelForMaskedLM.from_pretrained(teacher).state_dict()
    ready, cut, trained = (
        AutoModelForMaskedLM.from_pretrained(model_folder(project, variant, role, 2)).state_dict()
        for variant, role in (("ready", "teacher"), ("ready", "student"), ("ready_ctcd", "student"))
    )
    assert torch.equal(ready[whole], before[whole])
    assert torch.equal(cut[first], before[first])
    assert whole not in cut
    assert not torch.equal(trained[first], before[first])


@pytest.mark.parametrize("study", ["methods", "matched", "controls", "from_teacher", "training_length"])
def test_every_study_is_registered_with_its_variants(study: str, kedro) -> None:
    result = kedro("registry", "describe", study)
    assert result.returncode == 0, result.stderr
    assert "standalone.pretrain" in result.stdout


def test_a_frozen_teacher_comes_from_an_earlier_variant(kedro, project: Path) -> None:
    result = kedro("run", "--pipeline=methods", "--namespaces=one_way", "--env=test")
    assert result.returncode == 0, result.stderr
    scores = pd.read_csv(newest(project, "07_model_output/one_way/scores.csv"))
    assert set(scores["task"]) == {"bigram_shift", "missing_word"}
    assert set(scores["role"]) == {"student"}
