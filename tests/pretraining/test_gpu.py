"""What must hold on a CUDA device."""

import copy
from typing import Any

import pytest
import torch

from ctcd.distillation.losses import distillation_losses
from ctcd.distillation.methods import METHODS
from ctcd.engine import learner
from ctcd.engine.hardware import Hardware, can_compile_for_gpu
from ctcd.engine.side_by_side import SideBySide
from ctcd.lineage.state import StateStore
from ctcd.modeling.architecture import build_model
from ctcd.pretraining.batches import batch_of, to_device
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.masking import mask_tokens, masking_for
from ctcd.pretraining.models import Trainee
from ctcd.pretraining.settings import SoftWeightsParameters
from ctcd.pretraining.step import Pair, build_learner

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
WEIGHTS = METHODS["ctcd"].weights


def models_of(pretraining, tokenizer, shards):
    shapes = {"teacher": pretraining.teacher, "student": pretraining.student}
    return [build_model(shape, tokenizer, shards.sequence_length, 1, role) for role, shape in shapes.items()]


def test_losses_and_gradients_equal_the_cpus_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = [3 * torch.randn(64, 1000, generator=generator, dtype=torch.float64) for _ in range(2)]
    labels = torch.randint(1000, (64,), generator=generator)
    exact = [each.clone().requires_grad_() for each in logits]
    there = [each.float().to(CUDA).requires_grad_() for each in logits]
    expected = distillation_losses(*exact, labels, WEIGHTS, 2.0, 0.1)
    actual = distillation_losses(*there, labels.to(CUDA), WEIGHTS, 2.0, 0.1, can_compile_for_gpu())
    torch.testing.assert_close(torch.stack(actual).cpu().double(), torch.stack(expected), rtol=1e-5, atol=1e-6)
    for one, other in zip(
        torch.autograd.grad(actual.total, there), torch.autograd.grad(expected.total, exact), strict=True
    ):
        torch.testing.assert_close(one.cpu().double(), other, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("compiles", [False, True])
def test_a_step_does_not_wait_for_the_device(compiles: bool, pretraining, tokenizer, shards) -> None:
    hardware = Hardware(CUDA, torch.bfloat16, compiles)
    teacher, student = (
        Trainee.start(model, pretraining.optimiser, hardware) for model in models_of(pretraining, tokenizer, shards)
    )
    masking = masking_for(tokenizer, 0.15, CUDA)
    pair = Pair(teacher, student, WEIGHTS)
    learner_of_pair = build_learner([pair], 1.0, 0.0, hardware, SideBySide(in_threads=False))

    def step(number: int) -> None:
        tokens = to_device(batch_of(shards.sequences("train"), number, 4, seed=1), CUDA)
        batch = mask_tokens(tokens, masking, 1, number)
        learner_of_pair.learn(1.0, 1.0, *batch)

    for number in range(3):
        step(number)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(3, 6):
            step(number)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_training_on_the_gpu_follows_the_one_on_the_cpu(shards, tokenizer, pretraining, execution, tmp_path) -> None:
    settings = pretraining.model_copy(update={"steps": 20, "batch_size": 16})
    losses = []
    for device in ("cpu", "cuda"):
        where = execution.model_copy(update={"device": device, "compile": "auto"})
        store = StateStore(tmp_path / device, device)
        _, history = pretrain(shards, tokenizer, METHODS["ctcd"], copy.deepcopy(settings), where, store)
        losses.append(history.table().query("metric == 'sampled_heldout_loss'")["value"].to_numpy())
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)


@pytest.mark.parametrize(
    ("method", "differences", "is_captured"),
    [
        ("ctcd", {}, True),
        ("self_distillation", {}, True),
        ("ctcd", {"soft_weights": SoftWeightsParameters(warmup_share=0.5, final_factor=1.0)}, True),
        ("ctcd", {"soft_weights": SoftWeightsParameters(warmup_share=0.0, final_factor=0.25)}, False),
    ],
)
@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_captured_steps_train_as_launched_ones_do(
    method: str,
    differences: dict[str, Any],
    is_captured: bool,
    optimiser: str,
    shards,
    tokenizer,
    pretraining,
    execution,
    tmp_path,
    monkeypatch,
) -> None:
    optimiser_settings = pretraining.optimiser.model_copy(update={"name": optimiser, "matrix_learning_rate": 0.02})
    settings = pretraining.model_copy(
        update={"steps": 20, "batch_size": 16, "optimiser": optimiser_settings, **differences}
    )
    where = execution.model_copy(update={"device": "cuda", "compile": "never", "precision": "float32"})
    captures = []
    capture = learner.CapturedStep._capture
    monkeypatch.setattr(learner.CapturedStep, "_capture", lambda *given: captures.append(1) or capture(*given))

    def heldout_losses(name: str):
        store = StateStore(tmp_path / name, name)
        _, history = pretrain(shards, tokenizer, METHODS[method], settings, where, store)
        return history.table().query("metric == 'sampled_heldout_loss'")["value"].to_numpy()

    captured = heldout_losses("captured")
    assert bool(captures) == is_captured
    monkeypatch.setattr(learner, "CapturedStep", lambda function, *_: function)
    assert captured == pytest.approx(heldout_losses("launched"), rel=1e-3)
