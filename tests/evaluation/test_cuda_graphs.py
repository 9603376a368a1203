"""Replayed steps do what the steps themselves do; all of it needs a CUDA device."""

import numpy as np
import pytest
import torch

from ctcd.evaluation import finetuning
from ctcd.evaluation.buckets import BatchShape
from ctcd.evaluation.cuda_graphs import ReplayedByShape, prepared_for_graphs
from ctcd.evaluation.finetuning import TaskSettings, finetune

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
SHAPE = BatchShape(4, 8, is_padded=False)


@pytest.fixture
def stream():
    with prepared_for_graphs(CUDA):
        yield


def test_every_call_is_one_step_on_its_own_examples(stream) -> None:
    total = torch.zeros((), device=CUDA, dtype=torch.int64)
    replayed = ReplayedByShape(lambda examples, _: total.add_(examples.sum()))
    for number in range(5):
        replayed(torch.full((4,), number, device=CUDA), SHAPE)
        replayed(torch.full((2,), number, device=CUDA), SHAPE._replace(examples=2))
    assert total.item() == (4 + 2) * sum(range(5))


def test_dropout_is_drawn_anew_at_every_replay(stream) -> None:
    kept = []
    buffer = torch.zeros(64, device=CUDA)
    replayed = ReplayedByShape(lambda examples, _: buffer.copy_(torch.dropout(torch.ones(64, device=CUDA), 0.5, True)))
    for _ in range(5):
        replayed(torch.zeros(4, device=CUDA), SHAPE)
        kept.append(tuple(buffer.tolist()))
    assert len(set(kept)) == 5


def test_a_step_that_waits_for_the_device_is_not_captured(stream, caplog) -> None:
    caplog.set_level("INFO")
    drawn = []
    replayed = ReplayedByShape(lambda *_: drawn.append(torch.rand((), device=CUDA).item()))
    for _ in range(4):
        replayed(torch.zeros(4, device=CUDA), SHAPE)
    assert len(set(drawn)) == 4
    assert "cannot be captured" in caplog.text


@pytest.mark.parametrize("architecture", ["bert", "electra", "modernbert"])
def test_fine_tuning_with_graphs_gives_what_it_gives_without(
    architecture, make_model, make_settings, tokenize, word_task, execution, monkeypatch, caplog
) -> None:
    caplog.set_level("INFO")
    tokenized = tokenize(word_task)
    settings = TaskSettings.of(word_task, make_settings(epochs=3, dropout=0.0), width=32)
    where = execution.model_copy(update={"device": "cuda", "precision": "float32"})

    def confidences():
        return finetune(make_model(architecture), tokenized, settings, 1, where)["validation"].confidences

    with_graphs = confidences()
    assert "cannot be captured" not in caplog.text
    monkeypatch.setattr(finetuning, "ReplayedByShape", lambda step: step)
    np.testing.assert_allclose(with_graphs, confidences(), atol=1e-3)
