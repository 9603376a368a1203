"""Fixtures shared by the tests: a small real text, its tokenizer and shards, tiny models."""

import os
from pathlib import Path

# Tests run side by side: threads of several processes on the same cores wait for each other at every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from ctcd.corpus.documents import Documents, read_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.shards import Shards
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.parameters import (
    CorpusParameters,
    ExecutionParameters,
    ModelParameters,
    OptimiserParameters,
    PretrainingParameters,
    ProbesParameters,
    TokenizerParameters,
)


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
def shards(documents, tokenizer, corpus_parameters, tmp_path_factory) -> Shards:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, documents, tokenizer, corpus_parameters)
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
