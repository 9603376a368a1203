"""The benchmarks at their smallest: every script runs, prints its table and writes its JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, output: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    command = [sys.executable, str(BENCHMARKS / script), "--quiet", "--output", str(output), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout, json.loads(output.read_text(encoding="utf-8"))


def test_pretraining_measures_the_ladder_and_compares_the_losses(tmp_path):
    tiny = "--shape tiny --device cpu --threads 1 --rounds 1 --block-seconds 0 --check-steps 2".split()
    printed, report = run("pretraining.py", tmp_path / "report.json", *tiny, "--only", "side by side")
    rows = {row["name"]: row for row in report["contenders"]}
    assert all(name in printed for name in rows)
    assert rows["plain"]["ratio"] == 1
    rung = rows["side by side"]
    assert rung["tokens_per_second"] > 0
    assert rung["memory_rise"] > 0
    assert 0 < rung["peak_share"] < 1
    assert rung["executed_operations"] < rows["plain"]["executed_operations"]
    assert rung["difference"] <= rung["tolerance"]
    assert 0 < report["packing"]["padded_paragraphs"] < report["packing"]["packed"] < 1


@pytest.mark.slow
def test_every_contender_is_measured_or_named_with_a_reason(tmp_path):
    tiny = "--shape tiny --device cpu --threads 1 --rounds 1 --block-seconds 0 --check-steps 2 --at-once 4".split()
    _, report = run("pretraining.py", tmp_path / "report.json", *tiny)
    assert all(row["tokens_per_second"] or row["unavailable"] for row in report["contenders"])
    assert all(row["agrees"] for row in report["contenders"])
    assert report["cost_of_codistillation"] > 0


def test_convergence_compares_recipes_with_the_unigram_entropy(tmp_path):
    few = ["--tokens", "4096", "--packages", "python", "--device", "cpu", "--only", "AdamW 1e-2", "pre-norm"]
    printed, report = run("convergence.py", tmp_path / "report.json", *few)
    assert report["corpus"]["unigram_entropy"] > 0
    assert "unigram entropy" in printed
    assert {recipe["name"] for recipe in report["recipes"]} == {"AdamW 1e-2", "pre-norm BERT"}
    assert all(recipe["tokens"] == 4096 for recipe in report["recipes"])
    assert all(recipe["heldout_loss"][role] > 0 for recipe in report["recipes"] for role in ("teacher", "student"))
