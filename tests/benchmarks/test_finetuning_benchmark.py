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


def test_one_command_prints_one_table_and_writes_one_file(data_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="pip install --no-deps -r benchmarks/requirements.txt")
    output = tmp_path / "benchmark.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "finetuning.py"), "--data-root", str(data_root)]
    command += ["--tasks", "rte", "--share", "1", "--epochs", "1", "--rounds", "2", "--layers", "1", "--width", "64"]
    result = subprocess.run(
        [*command, "--output", str(output)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(output.read_text())
    names = ["ctcd", "Trainer, padded to 128", "Trainer, grouped by length"]
    assert list(report["median_seconds"]) == names
    assert all(len(report["seconds_by_round"][name]) == 2 for name in names)
    assert set(report["times_faster_than"]) == set(names[1:])
    assert all(0 <= report["scores"][name]["rte"][0] <= 1 for name in names)
    assert all(name in result.stdout for name in names)
