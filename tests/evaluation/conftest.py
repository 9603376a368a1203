"""Fixtures of the evaluation tests: model folders of three families and a learnable task on real text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ctcd.evaluation.array_store import ArrayStore
from ctcd.evaluation.finetuning import TaskSettings
from ctcd.evaluation.jobs import Job
from ctcd.evaluation.models import EvaluatedModel
from ctcd.evaluation.scoring import Stores
from ctcd.evaluation.sentences import collect_sentences
from ctcd.evaluation.suite import Suite
from ctcd.evaluation.task_files import FolderSuite
from ctcd.evaluation.tasks import Task
from ctcd.evaluation.tokenization import Reading, TokenizedTask, tokenize_task
from ctcd.modeling.architecture import build_model
from ctcd.parameters import FinetuningParameters, ModelParameters

MAXIMUM_LENGTH = 32


@pytest.fixture(scope="session")
def make_settings() -> Callable[..., FinetuningParameters]:
    def make(**differences: Any) -> FinetuningParameters:
        values: dict[str, Any] = {
            "suite": "probes",
            "tasks": {},
            "seeds": 1,
            "epochs": 1,
            "batch_size": 8,
            "learning_rate": 2e-3,
            "warmup_share": 0.1,
            "weight_decay": 0.01,
            "dropout": 0.1,
            "maximum_length": MAXIMUM_LENGTH,
        }
        return FinetuningParameters(**(values | differences))

    return make


@pytest.fixture(scope="session")
def make_model(tokenizer, tmp_path_factory) -> Callable[[str], EvaluatedModel]:
    folders: dict[str, Path] = {}

    def make(architecture: str) -> EvaluatedModel:
        if architecture not in folders:
            folders[architecture] = tmp_path_factory.mktemp(architecture)
            shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=64)
            build_model(shape, tokenizer, MAXIMUM_LENGTH, 0, "student").save_pretrained(folders[architecture])
            tokenizer.save_pretrained(folders[architecture])
        return EvaluatedModel(folders[architecture])

    return make


@pytest.fixture(scope="session")
def tokenize(suite, tokenizer) -> Callable[..., TokenizedTask]:
    def tokenize(task: Task, with_token_types: bool = True) -> TokenizedTask:
        return tokenize_task(suite.read(task), Reading(tokenizer, MAXIMUM_LENGTH, with_token_types))

    return tokenize


@pytest.fixture(scope="session")
def make_job(tokenize, make_model, make_settings, execution) -> Callable[..., Job]:
    def make(task: Task, seed: int = 0, **differences: Any) -> Job:
        training = TaskSettings.of(task, make_settings(**differences), 32, 100)
        return Job(make_model("bert"), tokenize(task), training, seed, execution, task.validation_splits)

    return make


@pytest.fixture
def stores(tmp_path) -> Stores:
    return Stores(ArrayStore(tmp_path / "tokens"), ArrayStore(tmp_path / "results"))


@pytest.fixture(scope="session")
def sentences(documents) -> list[str]:
    return [sentence for document in collect_sentences(documents, 2000) for sentence in document.sentences]


@pytest.fixture(scope="session")
def word_task() -> Task:
    """Ask whether a sentence contains "is": what learns at all learns this."""
    return Task("contains_is", ("sentence",), ("accuracy",), classes=2)


@pytest.fixture(scope="session")
def pair_task() -> Task:
    return Task("pairs", ("sentence1", "sentence2"), ("accuracy", "f1"), classes=2)


@pytest.fixture(scope="session")
def number_task() -> Task:
    """Ask how long a sentence is."""
    return Task("lengths", ("sentence",), ("pearson", "spearman"), regression=True)


@pytest.fixture(scope="session")
def suite(sentences, word_task, pair_task, number_task, tmp_path_factory) -> Suite:
    """Three tasks on real sentences."""
    folder = tmp_path_factory.mktemp("suite")
    labelled = pd.DataFrame({"sentence": sentences, "label": [int(" is " in sentence) for sentence in sentences]})
    some = min(150, labelled["label"].sum(), (1 - labelled["label"]).sum())
    balanced = labelled.groupby("label").head(some).sample(frac=1, random_state=0, ignore_index=True)
    pairs = pd.DataFrame(
        {"sentence1": sentences[:80], "sentence2": sentences[80:160], "label": [number % 2 for number in range(80)]}
    )
    lengths = pd.DataFrame(
        {"sentence": sentences[:240], "label": [float(len(sentence.split())) / 30 for sentence in sentences[:240]]}
    )
    for task, frame in ((word_task, balanced), (pair_task, pairs), (number_task, lengths)):
        (folder / task.name).mkdir()
        cut = len(frame) * 2 // 3
        frame[:cut].to_parquet(folder / task.name / "train.parquet")
        frame[cut:].to_parquet(folder / task.name / "validation.parquet")
    return FolderSuite(folder)
