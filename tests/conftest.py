"""Fixtures shared by the tests: a small real text, its tokenizer and shards, tiny models."""

import json
import os
from pathlib import Path

# Tests run side by side: threads of several processes on the same cores wait for each other at every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pytest

from ctcd.corpus.documents import Documents, read_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.settings import CorpusParameters, ProbesParameters, TokenizerParameters
from ctcd.corpus.shards import Shards
from ctcd.corpus.splitting import split_documents
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.engine.settings import ExecutionParameters, OptimiserParameters
from ctcd.finetuning.encoding import TextEncoding, TokenizedTask, tokenize_task
from ctcd.finetuning.finetune import TaskSettings
from ctcd.finetuning.jobs import Job
from ctcd.finetuning.scoring import Stores
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.lineage.array_store import ArrayStore
from ctcd.modeling.architecture import build_model
from ctcd.modeling.model_folder import ModelFolder
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.settings import PretrainingParameters, SharedPretraining
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.probe_sentences import collect_sentences
from ctcd.tasks.suite import Suite
from ctcd.tasks.tasks import Task


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python's language reference as text files: real English that every installation has."""
    from pydoc_data.topics import topics

    folder = tmp_path_factory.mktemp("text")
    for name in sorted(topics):
        if len(topics[name]) > 2000:
            (folder / f"{name}.txt").write_text(topics[name], encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def documents(text_folder: Path) -> Documents:
    return read_documents(str(text_folder))


@pytest.fixture(scope="session")
def corpus_parameters() -> CorpusParameters:
    return CorpusParameters(
        heldout_share=0.2,
        sequence_length=32,
        tokenizer=TokenizerParameters(
            vocabulary_size=600, lowercase=True, minimum_frequency=2, training_characters=200_000
        ),
        probes=ProbesParameters(train_examples=60, validation_examples=40, seed=1),
    )


@pytest.fixture(scope="session")
def tokenizer(documents, corpus_parameters):
    return train_tokenizer((document.text for document in documents), corpus_parameters.tokenizer)


@pytest.fixture(scope="session")
def document_split(documents, corpus_parameters) -> pd.DataFrame:
    return split_documents(documents, corpus_parameters.heldout_share, corpus_parameters.near_duplicates)


@pytest.fixture(scope="session")
def shards(documents, document_split, tokenizer, corpus_parameters, tmp_path_factory) -> Shards:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, documents, document_split, tokenizer, corpus_parameters)
    return Shards(folder)


@pytest.fixture(scope="session")
def pretraining() -> PretrainingParameters:
    def shape(layers: int) -> ModelParameters:
        return ModelParameters(architecture="bert", layers=layers, width=32, heads=2, feed_forward=64)

    return PretrainingParameters(
        teacher=shape(2),
        student=shape(1),
        steps=6,
        batch_size=4,
        masking_share=0.15,
        temperature=1.0,
        warmup_share=0.2,
        optimiser=OptimiserParameters(
            name="muon", learning_rate=3e-3, matrix_learning_rate=0.02, weight_decay=0.01, maximum_gradient_norm=1.0
        ),
        seed=1,
    )


@pytest.fixture(scope="session")
def shared_pretraining(pretraining: PretrainingParameters) -> SharedPretraining:
    """The same for all variants, with two seeds."""
    return SharedPretraining(**pretraining.model_dump(exclude={"seed"}), seeds=[1, 2])


@pytest.fixture(scope="session")
def execution() -> ExecutionParameters:
    return ExecutionParameters(
        device="cpu",
        precision="float32",
        compile="never",
        workers=1,
        evaluations=2,
        evaluation_sequences=16,
        log_seconds=60,
        checkpoint_seconds=3600,
        keep_checkpoints=2,
        resume="auto",
    )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora and GLUE that the environment variable CTCD_DATA names."""
    folder = os.environ.get("CTCD_DATA")
    if not folder:
        pytest.skip("CTCD_DATA is not set")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def golden() -> Callable[[str, int, Iterable[float]], None]:
    """Compare numbers with those that the same version of the code gave when somebody last decided that they are right.

    The tolerance is for other processors and libraries. `CTCD_GOLDEN=write` stores what is there now.
    """

    def check(name: str, version: int, numbers: Iterable[float]) -> None:
        path = Path(__file__).parent / "golden" / f"{name}.json"
        if os.environ.get("CTCD_GOLDEN") == "write":
            found = [round(float(number), 4) for number in numbers]
            path.write_text(json.dumps({"version": version, "numbers": found}) + "\n")
        stored = json.loads(path.read_text())
        decide = (
            "raise the version if old results are no longer valid, correct the code if they are; after raising it "
            f"store the new numbers: CTCD_GOLDEN=write pytest -k {name.split('_')[0]}"
        )
        assert stored["version"] == version, f"'{path.name}' is of another version: {decide}"
        assert list(numbers) == pytest.approx(stored["numbers"], abs=2e-3), f"not as in '{path.name}': {decide}"

    return check


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
def make_model(tokenizer, tmp_path_factory) -> Callable[[str], ModelFolder]:
    folders: dict[str, Path] = {}

    def make(architecture: str) -> ModelFolder:
        if architecture not in folders:
            folders[architecture] = tmp_path_factory.mktemp(architecture)
            shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=64)
            build_model(shape, tokenizer, MAXIMUM_LENGTH, 0, "student").save_pretrained(folders[architecture])
            tokenizer.save_pretrained(folders[architecture])
        return ModelFolder(folders[architecture])

    return make


@pytest.fixture(scope="session")
def tokenize(suite, tokenizer) -> Callable[..., TokenizedTask]:
    def tokenize(task: Task, with_token_types: bool = True) -> TokenizedTask:
        return tokenize_task(suite.read(task), TextEncoding(tokenizer, MAXIMUM_LENGTH, with_token_types))

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
