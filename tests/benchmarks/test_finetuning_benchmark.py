"""The benchmark of fine-tuning, on a job of seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    folder = tmp_path / "glue" / "rte"
    folder.mkdir(parents=True)
    for split, rows in (("train", 40), ("validation", 20)):
        texts = {
            column: [f"the {column} is number {row}" for row in range(rows)] for column in ("sentence1", "sentence2")
        }
        pd.DataFrame(texts | {"label": [row % 2 for row in range(rows)]}).to_parquet(folder / f"{split}.parquet")
    return tmp_path


def measure(data_root: Path, output: Path, *first_on_path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "finetuning.py"), "--data-root", str(data_root)]
    command += ["--tasks", "rte", "--share", "1", "--epochs", "1", "--rounds", "2", "--layers", "1", "--width", "64"]
    path = os.pathsep.join([*map(str, first_on_path), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, "--output", str(output)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_cannot_be_measured_is_named_and_the_rest_is_measured(data_root: Path, tmp_path: Path) -> None:
    """`sitecustomize` hides the library that the `Trainer` needs."""
    hiding = "import importlib.util, sys; sys.modules['accelerate'] = None; find = importlib.util.find_spec\n"
    hiding += "importlib.util.find_spec = lambda name, *more: None if name == 'accelerate' else find(name, *more)\n"
    (tmp_path / "sitecustomize.py").write_text(hiding)
    result = measure(data_root, tmp_path / "benchmark.json", tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "benchmark.json").read_text())
    assert list(report["median_seconds"]) == ["ctcd"]
    assert list(report["not_measured"]) == ["Trainer, padded to 128", "Trainer, grouped by length"]
    assert "not measured: Trainer, padded to 128 (" in result.stdout
    assert "accelerate" in result.stdout


def test_one_command_prints_one_table_and_writes_one_file(data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="pip install --no-deps -r benchmarks/requirements.txt")
    output = tmp_path / "benchmark.json"
    result = measure(data_root, output)
    assert result.returncode == 0, result.stderr
    report = json.loads(output.read_text())
    names = ["ctcd", "Trainer, padded to 128", "Trainer, grouped by length"]
    assert list(report["median_seconds"]) == names
    assert all(len(report["seconds_by_round"][name]) == 2 for name in names)
    assert set(report["times_faster_than"]) == set(names[1:])
    assert all(0 <= report["scores"][name]["rte"][0] <= 1 for name in names)
    assert all(name in result.stdout for name in names)
