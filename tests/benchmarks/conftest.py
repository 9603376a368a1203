"""Runs a benchmark as a person would, and reads what it wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run_benchmark(tmp_path: Path) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Gives the printed text and the JSON file's content."""

    def run(script: str, *arguments: str) -> tuple[str, dict[str, Any]]:
        output = tmp_path / "report.json"
        command = [sys.executable, str(BENCHMARKS / script), "--quiet", "--output", str(output), *arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout, json.loads(output.read_text(encoding="utf-8"))

    return run


@pytest.fixture
def run_gpu() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Gives a command of `benchmarks/gpu` as a person would."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(BENCHMARKS / "gpu"), *arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run
