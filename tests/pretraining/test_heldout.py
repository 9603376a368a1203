"""Loss on held-out text, by source and with its error."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from ctcd.corpus.documents import Document, Documents, join_sources
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.shards import Shards
from ctcd.corpus.splitting import split_documents
from ctcd.distillation.methods import METHODS
from ctcd.engine.side_by_side import SideBySide
from ctcd.lineage.state import StateStore
from ctcd.pretraining.batches import rows_of_step
from ctcd.pretraining.heldout import evaluate_sources, sample_of
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.setup import start_training

CTCD = METHODS["ctcd"]


@pytest.fixture(scope="module")
def two_sources(documents, tokenizer, corpus_parameters, tmp_path_factory) -> Shards:
    """Real text, a third of it under another name."""
    given = list(documents)
    parts = {"first": given[::3], "second": [document for place, document in enumerate(given) if place % 3]}

    def collection(name: str) -> Documents:
        texts: list[Document] = parts[name]
        return Documents(name, lambda: iter(texts), lambda: name)

    joined = join_sources({name: collection(name) for name in parts})
    folder = tmp_path_factory.mktemp("two_sources")
    write_shards(folder, joined, split_documents(joined, 0.2), tokenizer, corpus_parameters)
    return Shards(folder)


@pytest.fixture
def training(two_sources, tokenizer, pretraining, execution):
    return start_training(two_sources, tokenizer, CTCD, pretraining, execution, "x", None, {})


def test_loss_and_error_by_source_equal_a_plain_computation(training) -> None:
    trainee = training.trainees["student"]
    whole, by_source = evaluate_sources(trainee, training.heldout, SideBySide(in_threads=False))
    sums, counts = {}, {}
    for source, batches in training.heldout.items():
        sums[source], counts[source] = [], []
        for batch in batches:
            for sequence in range(len(batch.input_ids)):
                length = batch.input_ids.shape[1]
                own = batch.positions // length == sequence
                with torch.no_grad():
                    logits = trainee.model(input_ids=batch.input_ids[sequence : sequence + 1]).logits[0]
                places = batch.positions[own] - sequence * length
                sums[source].append(functional.cross_entropy(logits[places], batch.labels[own], reduction="sum").item())
                counts[source].append(int(own.sum()))
    for score, names in ((whole, ["first", "second"]), *((by_source[name], [name]) for name in by_source)):
        losses = np.concatenate([sums[name] for name in names])
        positions = np.concatenate([counts[name] for name in names])
        mean = losses.sum() / positions.sum()
        assert score.loss == pytest.approx(mean, rel=1e-5)
        spread = (losses - mean * positions).std(ddof=1)
        assert score.error == pytest.approx(spread * math.sqrt(len(losses)) / positions.sum(), rel=1e-4)


def test_threads_change_no_score(training) -> None:
    trainee = training.trainees["student"]
    one = evaluate_sources(trainee, training.heldout, SideBySide(in_threads=False))
    with SideBySide(in_threads=True) as side_by_side:
        assert evaluate_sources(trainee, training.heldout, side_by_side) == one


def test_the_sample_has_text_of_every_source(training) -> None:
    sample = sample_of(training.heldout, 1)
    assert len(sample) == 2
    assert torch.equal(sample[1].input_ids, training.heldout["second"][0].input_ids)


def test_the_history_has_the_loss_of_every_source(two_sources, tokenizer, pretraining, execution, tmp_path) -> None:
    _, history = pretrain(two_sources, tokenizer, CTCD, pretraining, execution, StateStore(tmp_path, "x"))
    last = history.table().query("role == 'student' and step == step.max()").set_index("metric")["value"]
    assert {"heldout_loss/first", "heldout_loss/second", "heldout_loss_error"} < set(last.index)
    low, high = sorted([last["heldout_loss/first"], last["heldout_loss/second"]])
    assert low < last["heldout_loss"] < high


def test_only_the_chosen_sources_are_trained_on(two_sources, tokenizer, pretraining, execution) -> None:
    settings = pretraining.model_copy(update={"sources": ["second"]})
    training = start_training(two_sources, tokenizer, CTCD, settings, execution, "x", None, {})
    own = two_sources.sequences("train", ["second"])
    rows = rows_of_step(len(own), 3, settings.batch_size, settings.seed)
    every = {tuple(row) for row in own.rows(np.arange(len(own))).tolist()}
    assert len(training.sequences) == len(own)
    assert {tuple(row) for row in training.sequences.rows(rows).tolist()} <= every
    assert set(training.heldout) == {"first", "second"}


def test_causal_models_have_a_perplexity(shards, tokenizer, pretraining, execution, tmp_path) -> None:
    shape = pretraining.student.model_copy(update={"architecture": "gpt2"})
    settings = pretraining.model_copy(update={"student": shape, "steps": 2})
    method = METHODS["standalone"].independent_parts()[1]
    _, history = pretrain(shards, tokenizer, method, settings, execution, StateStore(tmp_path, "x"))
    last = history.table().query("step == step.max()").set_index("metric")["value"]
    assert last["heldout_perplexity"] == pytest.approx(math.exp(last["heldout_loss"]))
