"""The command that keeps what studies came out with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctcd.reporting.evidence import load_all

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evidence.py"
HEADER = "model,pretraining_seed,measure,part,value\n"
Finished = subprocess.CompletedProcess[str]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Finished]:
    def run(*arguments: str) -> Finished:
        folders = ["--data", str(tmp_path / "data"), "--evidence", str(tmp_path / "evidence")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, str(SCRIPT), *arguments, *folders]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def write_version(reports: Path, dataset: str, version: str, text: str) -> None:
    folder = reports / dataset / version
    folder.mkdir(parents=True)
    (folder / dataset).write_text(text)


def test_the_newest_whole_report_is_kept(run, tmp_path: Path) -> None:
    reports = tmp_path / "data" / "08_reporting" / "ctcd"
    provenance = json.dumps({"settings": {"steps": 3}, "differences": {}, "facts": {}})
    for seed, version in enumerate(("2026-01-01", "2026-01-02", "2026-01-03"), start=1):
        write_version(reports, "measurements.csv", version, f"{HEADER}ctcd student,{seed},heldout_loss,all,4.0\n")
        if seed < 3:  # the last run ended before it was whole
            write_version(reports, "provenance.json", version, provenance)
    finished = run("collect", "--env", "test", "ctcd")
    assert finished.returncode == 0, finished.stderr
    (kept,) = load_all(tmp_path / "evidence")
    assert kept.measurements["pretraining_seed"].tolist() == [2]
    assert (kept.study, kept.scale, kept.command) == ("ctcd", "test", "kedro run --pipeline=ctcd --env=test")


def test_a_study_that_is_not_there_is_one_sentence(run) -> None:
    finished = run("collect", "nothing")
    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: There is no study 'nothing': choose from ")
