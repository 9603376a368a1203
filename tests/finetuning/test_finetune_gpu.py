"""Fine-tuning on a CUDA device."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctcd.engine import learner
from ctcd.finetuning.finetune import TaskSettings, finetune
from ctcd.finetuning.jobs import run_jobs

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("architecture", ["bert", "electra", "modernbert"])
def test_fine_tuning_with_graphs_gives_what_it_gives_without(
    architecture, make_model, make_settings, tokenize, word_task, execution, monkeypatch, caplog
) -> None:
    caplog.set_level("INFO")
    tokenized = tokenize(word_task)
    settings = TaskSettings.of(word_task, make_settings(epochs=3, dropout=0.0), width=32, examples=100)
    where = execution.model_copy(update={"device": "cuda", "precision": "float32"})

    def confidences():
        return finetune(make_model(architecture), tokenized, settings, 1, where)["validation"].confidences

    with_graphs = confidences()
    assert "cannot be captured" not in caplog.text
    monkeypatch.setattr(learner, "CapturedStep", lambda step, *_: step)
    np.testing.assert_allclose(with_graphs, confidences(), atol=1e-3)


def test_beside_others_a_job_gives_what_it_gives_alone(make_job, word_task, pair_task, number_task, caplog) -> None:
    """Dropout included: each has random numbers of its own."""
    caplog.set_level("INFO")
    jobs = [make_job(task, seed, dropout=0.1) for task in (word_task, pair_task, number_task) for seed in (0, 1)]
    where = jobs[0].execution.model_copy(update={"device": "cuda", "precision": "float32"})
    jobs = [replace(job, execution=where) for job in jobs]

    def predictions(workers):
        outcomes = {(job.tokenized.task.name, job.seed): outcome for job, outcome in run_jobs(jobs, workers)}
        return {key: outcome["validation"] for key, outcome in outcomes.items()}

    alone, together = predictions(1), predictions(3)
    assert "cannot be captured" not in caplog.text
    assert alone.keys() == together.keys()
    for key, expected in alone.items():
        values = "values" if expected.confidences is None else "confidences"
        np.testing.assert_allclose(getattr(together[key], values), getattr(expected, values), atol=1e-3)


def test_what_is_drawn_elsewhere_is_not_changed_by_a_fine_tuning(make_job, word_task) -> None:
    job = make_job(word_task)
    job = replace(job, execution=job.execution.model_copy(update={"device": "cuda"}))
    drawn = []
    for runs in (0, 1):
        torch.manual_seed(1)
        for _ in range(runs):
            job.run()
        drawn.append((torch.rand(4), torch.rand(4, device="cuda")))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
