"""The headline within minutes, at toy size on a CPU: it ends early, goes on, and its tables are whole."""

import json
from pathlib import Path

import pandas as pd
import pytest

TOY = {"layers": 1, "width": 32, "heads": 2, "feed_forward": 64}
SETTINGS = {
    "pretraining": {"teacher": TOY, "student": TOY, "tokens": 2000, "batch_size": 4, "seeds": [1, 2]},
    "finetuning": {"epochs": 1, "tasks": {"glue": ["rte"]}, "task_training": {}, "maximum_length": 32},
}


@pytest.fixture
def data(shards, tokenizer, tmp_path: Path) -> Path:
    """What is carried to the host."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "shards").symlink_to(shards.folder)
    tokenizer.save_pretrained(folder / "tokenizer")
    pairs = pd.DataFrame({"sentence1": ["a list", "a function"] * 8, "sentence2": ["it is"] * 16, "label": [0, 1] * 8})
    (folder / "glue" / "rte").mkdir(parents=True)
    for split in ("train", "validation"):
        pairs.to_parquet(folder / "glue" / "rte" / f"{split}.parquet")
    (folder / "minimal_pairs").mkdir()
    sentences = {
        "paradigm": ["word", "word"],
        "sentence_good": ["the list", "a list"],
        "sentence_bad": ["list the"] * 2,
    }
    pd.DataFrame(sentences).to_parquet(folder / "minimal_pairs" / "zorro.parquet")
    return folder


@pytest.fixture
def run(data: Path, tmp_path: Path, run_gpu):
    """Give the command; returns its exit code and what it printed."""

    def start(minutes: float):
        return run_gpu(
            "headline", "--device=cpu", f"--data={data}", f"--work={tmp_path / 'work'}",
            f"--results={tmp_path / 'results'}", f"--minutes={minutes}", f"--settings={json.dumps(SETTINGS)}",
        )  # fmt: skip

    return start


def test_without_time_nothing_but_the_rates_is_tried_and_the_same_command_goes_on(run, tmp_path: Path) -> None:
    assert run(0).returncode == 75
    assert len(pd.read_csv(tmp_path / "results" / "rates.csv")) == 2
    assert not (tmp_path / "results" / "heldout_losses.csv").exists()
    finished = run(10)
    assert finished.returncode == 0, finished.stderr
    losses = pd.read_csv(tmp_path / "results" / "heldout_losses.csv")
    measured = losses[losses["metric"] == "heldout_loss"]
    models = {(row.variant, row.role, row.pretraining_seed) for row in measured.itertuples()}
    names = [
        ("standalone", "teacher"),
        ("standalone", "student"),
        ("one_way", "student"),
        ("ctcd", "teacher"),
        ("ctcd", "student"),
    ]
    assert models == {(*name, seed) for name in names for seed in (1, 2)}
    for seed in (1, 2):
        assert len(pd.read_csv(tmp_path / "results" / f"scores-seed-{seed}.csv")) == len(names)
        assert pd.read_csv(tmp_path / "results" / f"pairs-seed-{seed}.csv")["pairs"].eq(2).all()
