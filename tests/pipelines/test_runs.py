"""What a command trains when some of it was trained before: what is missing, whatever stopped the one before it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

DATA = Path("data/test")
CORPUS = ("03_primary", "05_model_input")
OWN_STUDY = """question: Does a higher temperature help?
variants:
  standalone:
  ctcd:
  warm: {like: ctcd, temperature: 2, student: {feed_forward: 64}}
claims:
  - {better: warm student, than: ctcd student, on: heldout_loss, primary: true}
"""
Start = Callable[..., "subprocess.Popen[str]"]


def trained(log: str) -> list[str]:
    """The trainings that came to their end in a run, by their names in the log."""
    return sorted(label for label, step, steps in re.findall(r"INFO +(.+?)  step (\d+)/(\d+) ", log) if step == steps)


def seeds_of(*names: str) -> list[str]:
    return sorted(f"{name}, seed {seed}" for name in names for seed in (1, 2))


def newest(project: Path, path: str) -> Path:
    return max((project / DATA / path).glob(f"*/{Path(path).name}"))


def models(project: Path, variant: str) -> dict[str, bytes]:
    """The weights of a variant's models, by seed and role."""
    folder = newest(project, f"06_models/{variant}")
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/model.safetensors")}


def history(project: Path, variant: str) -> pd.DataFrame:
    """What happened in the trainings of a variant, but for how fast."""
    table = pd.read_parquet(newest(project, f"07_model_output/{variant}/history.parquet"))
    return table[table["metric"] != "tokens_per_second"].reset_index(drop=True)


@pytest.fixture
def start() -> Start:
    """Start a Kedro command in a project, to be killed or waited for."""

    def start(project: Path, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(project / "src"), "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def test_the_first_run_trains_every_model_once(project: Path) -> None:
    text = (project / "run.txt").read_text()
    assert trained(text) == seeds_of("ctcd", "standalone student", "standalone teacher")


def test_the_same_command_trains_nothing_a_second_time(project: Path, kedro) -> None:
    before = models(project, "ctcd"), models(project, "standalone")
    again = kedro("run", "--env=test")
    assert again.returncode == 0, again.stderr
    assert "  step " not in again.stderr
    assert "16 of 16 fine-tunings were finished before" in again.stderr
    assert "pre-training ahead" not in again.stderr
    assert (models(project, "ctcd"), models(project, "standalone")) == before


def test_another_study_trains_only_what_is_its_own(project: Path, kedro) -> None:
    result = kedro("run", "--pipelines=controls", "--tags=pretraining", "--env=test")
    assert result.returncode == 0, result.stderr
    own = [f"{variant} {role}" for variant in ("label_smoothing", "weight_average") for role in ("teacher", "student")]
    own += ["standalone_matched", "self_distillation", "cut_student"]
    assert trained(result.stderr) == seeds_of(*own)


def test_two_studies_in_one_command_train_what_either_lacks(project: Path, kedro) -> None:
    result = kedro("run", "--pipelines=methods,matched", "--env=test")
    assert result.returncode == 0, result.stderr
    own = ("one_way", "one_way_online", "reverse", "reverse_online", "standalone_matched")
    assert set(trained(result.stderr)) <= set(seeds_of(*own))
    for variant, role in (("one_way", "student"), ("standalone_matched", "teacher")):
        scores = pd.read_csv(newest(project, f"07_model_output/{variant}/scores.csv"))
        assert set(scores["role"]) == {role}
        assert set(scores["pretraining_seed"]) == {1, 2}
        assert set(scores["run"]) == set(pd.read_csv(newest(project, f"06_models/{variant}") / "models.csv")["run"])


def test_a_study_of_the_users_runs_beside_those_of_the_package(project: Path, tmp_path: Path, kedro) -> None:
    (tmp_path / "warm.yml").write_text(OWN_STUDY)
    command = ("run", "--pipelines=warm", "--tags=pretraining", "--env=test")
    result = kedro(*command, CTCD_STUDIES=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert trained(result.stderr) == seeds_of("warm")
    unknown = kedro(*command)
    assert unknown.returncode == 1
    assert unknown.stderr.strip().splitlines()[-1].startswith("Error: there is no pipeline 'warm'")


def test_a_run_that_is_killed_at_its_second_seed_goes_on_to_the_very_same_end(
    copied_project: Callable[..., Path], run_kedro, start: Start
) -> None:
    often = "execution.log_seconds=0.05,execution.checkpoint_seconds=0.05,pretraining.steps=150"
    command = ("run", "--pipelines=pretraining", "--namespaces=ctcd", "--env=test", f"--params={often}")
    undisturbed, killed = (copied_project(*CORPUS, name=name) for name in ("undisturbed", "killed"))
    assert run_kedro(undisturbed)(*command).returncode == 0
    process = start(killed, *command)
    assert process.stdout is not None
    states = killed / DATA / "06_models/runs"
    for line in process.stdout:
        if "ctcd, seed 2  step " in line:
            break
    deadline = time.monotonic() + 60
    while not list(states.glob("*.unfinished/step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    finished = [path for path in states.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)]
    assert len(finished) == 1, "it was killed too late or too early to tell anything"
    assert not (killed / DATA / "06_models/ctcd").exists()

    again = run_kedro(killed)(*command)
    assert again.returncode == 0, again.stderr
    assert trained(again.stderr) == ["ctcd, seed 2"]
    assert "ctcd, seed 2: going on from step " in again.stderr
    assert models(killed, "ctcd") == models(undisturbed, "ctcd")
    assert len(models(killed, "ctcd")) == 4
    pd.testing.assert_frame_equal(history(killed, "ctcd"), history(undisturbed, "ctcd"))


def test_two_processes_on_one_data_folder_share_the_work(copied_project: Callable[..., Path], start: Start) -> None:
    shared = copied_project(*CORPUS)
    command = ("run", "--pipelines=pretraining", "--env=test", "--params=pretraining.steps=60")
    processes = [start(shared, *command) for _ in range(2)]
    logs = []
    for process in processes:
        log, _ = process.communicate(timeout=300)
        assert process.returncode == 0, log
        logs.append(log)
    assert trained("".join(logs)) == seeds_of("ctcd", "standalone student", "standalone teacher")
    for variant, role in (("ctcd", "student"), ("standalone", "teacher"), ("untrained", "student")):
        assert f"{role}-seed-2" in models(shared, variant)


def write_task(root: Path, name: str, columns: list[str]) -> None:
    folder = root / "glue" / name
    folder.mkdir(parents=True)
    for split, rows in (("train", 32), ("validation", 16)):
        frame = pd.DataFrame({column: [f"the {column} is {row}" for row in range(rows)] for column in columns})
        frame.assign(label=[row % 2 for row in range(rows)]).to_parquet(folder / f"{split}.parquet")


def test_a_fine_tuning_that_failed_is_tried_again_also_where_only_missing_outputs_are_made(
    copied_project: Callable[..., Path], tmp_path: Path, run_kedro
) -> None:
    copy = copied_project("05_model_input", "06_models", "07_model_output")
    chosen = f"finetuning.suite=glue,finetuning.tasks.glue=cola+rte,finetuning.seeds=1,data_root={tmp_path}"
    command = ("run", "--nodes=untrained.finetune", "--env=test", f"--params={chosen}")
    write_task(tmp_path, "cola", ["sentence"])

    def tables() -> tuple[set[str], list[str]]:
        scores, failures = (
            pd.read_csv(newest(copy, f"07_model_output/untrained/{name}.csv")) for name in ("scores", "failures")
        )
        return set(scores["task"]), failures["task"].tolist()

    for missing in ([], ["--only-missing-outputs"]):
        failed = run_kedro(copy)(*command, *missing)
        assert failed.returncode == 1
        last = failed.stderr.strip().splitlines()[-1]
        assert last.startswith("Error: ")
        assert "fine-tunings failed and all other results are saved" in last
        assert "rte" in last
        assert tables() == ({"cola"}, ["rte"] * 4)
    write_task(tmp_path, "rte", ["sentence1", "sentence2"])
    again = run_kedro(copy)(*command, "--only-missing-outputs")
    assert again.returncode == 0, again.stderr
    assert tables() == ({"cola", "rte"}, [])
