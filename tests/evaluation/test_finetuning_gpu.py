"""Fine-tuning on a CUDA device."""

import numpy as np
import pytest

from ctcd.evaluation import finetuning
from ctcd.evaluation.finetuning import TaskSettings, finetune

pytestmark = pytest.mark.gpu


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
    monkeypatch.setattr(finetuning, "Replayed", lambda step, sets_up_once: step)
    np.testing.assert_allclose(with_graphs, confidences(), atol=1e-3)
