"""`kedro run --env=paper`: the paper's recipe at toy size, with a folder in the place of the hub."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from transformers import AutoModelForMaskedLM

from ctcd.corpus.sentences import split_sentences

BOOKS = "rojagtap/bookcorpus"
WIKIPEDIA = "wikimedia/wikipedia"
TOY = {
    "corpus.sentences": 1_000,
    "corpus.heldout_share": 0.5,
    "corpus.sequence_length": 32,
    "corpus.probes.train_examples": 60,
    "corpus.probes.validation_examples": 40,
    **{
        f"pretraining.{role}.{name}": value
        for role in ("teacher", "student")
        for name, value in {"layers": 1, "width": 32, "heads": 2, "feed_forward": 64}.items()
    },
    "pretraining.epochs": 0.1,
    "pretraining.batch_size": 16,
    "finetuning.tasks.glue": "cola+rte",
    "finetuning.seeds": 1,
    "finetuning.epochs": 1,
    "finetuning.task_training.rte.epochs": 1,
    "execution.device": "cpu",
    "execution.workers": 1,
    "execution.evaluations": 1,
    "tracking.enabled": "false",
}


def write_split(folder: Path, frame: pd.DataFrame, split: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / f"{split}-00000-of-00001.parquet")


def write_card(folder: Path, configurations: dict[str, list[str]]) -> None:
    """The part of a data set's card that says which files its configurations have."""
    configs = [
        {"config_name": name, "data_files": [{"split": split, "path": f"{name}/{split}-*"} for split in splits]}
        for name, splits in configurations.items()
    ]
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, text_folder: Path, tokenizer) -> Path:
    """What the recipe names on the hub: a sentence per row in the books, an article per row in Wikipedia."""
    root = tmp_path_factory.mktemp("hub")
    articles = [path.read_text(encoding="utf-8") for path in sorted(text_folder.iterdir())]
    sentences = [f"{sentence.lower().rstrip('.')} ." for text in articles[:3] for sentence in split_sentences(text)]
    write_split(root / BOOKS / "data", pd.DataFrame({"text": sentences}), "train")
    write_split(root / WIKIPEDIA / "20231101.en", pd.DataFrame({"title": "A title", "text": articles[3:]}), "train")
    write_card(root / WIKIPEDIA, {"20231101.en": ["train"]})
    for task, columns in (("cola", ["sentence"]), ("rte", ["sentence1", "sentence2"])):
        for split, rows in (("train", 40), ("validation", 20), ("test", 8)):
            frame = pd.DataFrame(dict.fromkeys(columns, sentences[:rows]))
            frame["label"] = -1 if split == "test" else [number % 2 for number in range(rows)]
            write_split(root / "nyu-mll/glue" / task, frame, split)
    write_card(root / "nyu-mll/glue", {task: ["train", "validation", "test"] for task in ("cola", "rte")})
    pairs = pd.DataFrame({"sentence_good": ["it is a list ."], "sentence_bad": ["it a is list ."]})
    pairs["linguistics_term"] = "islands"
    for paradigm in ("adjunct_island", "wh_island"):
        write_split(root / "nyu-mll/blimp" / paradigm, pairs, "train")
    write_card(root / "nyu-mll/blimp", {name: ["train"] for name in ("adjunct_island", "wh_island")})
    tokenizer.save_pretrained(root / "google-bert/bert-base-uncased")
    return root


@pytest.fixture(scope="module")
def run_with_hub(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(project: Path, hub: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PYTHONPATH": str(project / "src"),
            "HUB_STAND_IN": str(hub),
            "HF_HOME": str(tmp_path_factory.mktemp("cache")),
            "HF_HUB_OFFLINE": "1",
        }
        command = [sys.executable, str(Path(__file__).with_name("hub_stand_in.py")), "run", *arguments]
        return subprocess.run(
            command, cwd=project, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=300
        )

    return run


def newest(project: Path, path: str) -> Path:
    return max((project / "data/paper" / path).glob(f"*/{Path(path).name}"))


def test_the_recipe_runs_from_the_hubs_names_to_scores(
    empty_project: Path, hub: Path, run_with_hub: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    parameters = ",".join(f"{name}={value}" for name, value in TOY.items())
    result = run_with_hub(empty_project, hub, "--pipeline=ctcd", "--env=paper", f"--params={parameters}")
    assert result.returncode == 0, result.stderr
    report = json.loads(newest(empty_project, "08_reporting/corpus_report.json").read_text())
    assert report["source"] == (f"hub:{BOOKS} + hub:{WIKIPEDIA}:20231101.en, 1 sentence in 4, at most 1,000 sentences")
    history = pd.read_parquet(newest(empty_project, "07_model_output/ctcd/history.parquet"))
    sequences = report["splits"]["train"]["sequences"]
    assert history["step"].max() == round(0.1 * sequences / 16)
    for role in ("teacher", "student"):
        model = AutoModelForMaskedLM.from_pretrained(newest(empty_project, "06_models/ctcd") / f"{role}-seed-1")
        assert model.config.model_type == "bert"
        assert model.config.hidden_dropout_prob == 0.1
    for variant in ("untrained", "standalone", "ctcd"):
        scores = pd.read_csv(newest(empty_project, f"07_model_output/{variant}/scores.csv"))
        assert set(scores["task"]) == {"cola", "rte"}
        assert set(scores["role"]) == {"teacher", "student"}
        pairs = pd.read_csv(newest(empty_project, f"07_model_output/{variant}/minimal_pairs.csv"))
        assert set(pairs["set"]) == {"heldout_text", "nyu-mll/blimp"}
        assert set(pairs["paradigm"]) > {"adjunct_island", "wh_island"}
    for words in ("standalone teacher", "ctcd student", "cola", "rte", "Report: data/paper/08_reporting"):
        assert words in result.stdout


def test_the_estimate_comes_before_anything_is_read(
    empty_project: Path, tmp_path: Path, run_with_hub: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    empty_hub = tmp_path / "hub"
    empty_hub.mkdir()
    result = run_with_hub(
        empty_project,
        empty_hub,
        "--pipeline=ctcd",
        "--env=paper",
        "--params=execution.device=cpu,tracking.enabled=false",
    )
    assert result.returncode == 1
    before, _, after = result.stderr.partition("failed")
    assert "there is no '" in after
    lines = [re.sub(r"^\S+ ", "", line) for line in before.splitlines()]
    for name, billions in (("standalone", 25.5), ("ctcd", 12.7)):  # standalone is two trainings
        pattern = rf"INFO +{name} +{billions} billion tokens +5\.4e\+18 operations +\S+ \w+$"
        assert any(re.match(pattern, line) for line in lines)
    text = "\n".join(lines)
    assert "30,000,000 sentences of 21 word pieces (assumed) = 4,975,000 sequences of 128, 20 times" in text
    assert re.search(r"time: .* TFLOP/s \(measured\), a training 40% of that \(assumed\)", text)
    assert re.search(r"memory: about \d+\.\d GB \(weights 0\.7, gradients 0\.5, moments 1\.0, activations", text)
    assert re.search(r"WARNING Pre-training takes about .* on this CPU .*: use a GPU, or lower the budget", text)
    assert "untrained" not in text
    assert not (empty_project / "data").exists()
