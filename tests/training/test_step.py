"""The joint step against a plain one: full logits, separate losses, one optimiser per model."""

import copy

import pytest
import torch
from torch.nn import functional

from ctcd.corpus.masking import mask_tokens, masking_for
from ctcd.distillation.methods import METHODS, Weights
from ctcd.modeling.architecture import build_model
from ctcd.parameters import OptimiserParameters
from ctcd.training.batches import batch_of
from ctcd.training.precision import Hardware
from ctcd.training.side_by_side import SideBySide
from ctcd.training.step import NonFiniteLossError, Trainee, train_step

CPU = Hardware(torch.device("cpu"), torch.float32)
ADAMW = OptimiserParameters(name="adamw", learning_rate=1e-3, weight_decay=0.01, maximum_gradient_norm=1.0)


@pytest.fixture
def models(pretraining, tokenizer, shards):
    return [
        build_model(shape, tokenizer, shards.sequence_length, 1, role)
        for role, shape in (("teacher", pretraining.teacher), ("student", pretraining.student))
    ]


@pytest.fixture
def batch(shards, tokenizer):
    return mask_tokens(batch_of(shards.sequences("train"), 0, 4, seed=1), masking_for(tokenizer, 0.15), 1, 0)


def step(models, batch, weights: Weights, optimiser: OptimiserParameters = ADAMW):
    teacher, student = (Trainee.start(model, optimiser, CPU) for model in models)
    side_by_side = SideBySide(CPU.device, has_dropout=False)
    return train_step(teacher, student, batch, weights, 1.0, 1.0, 1.0, side_by_side)


@pytest.mark.parametrize("method", ["standalone", "ctcd", "one_way_online"])
def test_one_step_equals_the_plain_way(method: str, models, batch) -> None:
    weights = METHODS[method]
    plain = copy.deepcopy(models)
    losses, *norms = step(models, batch, weights)

    logits = [model(input_ids=batch.input_ids).logits.flatten(0, 1)[batch.positions] for model in plain]
    settings = ((weights.teacher_hard, weights.teacher_soft), (weights.student_hard, weights.student_soft))
    for number, (model, (hard, soft)) in enumerate(zip(plain, settings, strict=True)):
        own, other = logits[number], logits[1 - number].detach()
        divergence = functional.kl_div(own.log_softmax(1), other.softmax(1), reduction="batchmean")
        loss = hard * functional.cross_entropy(own, batch.labels) + soft * divergence
        loss.backward(retain_graph=True)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        torch.testing.assert_close(norms[number], norm)
        decayed = [weight for weight in model.parameters() if weight.ndim >= 2]
        rest = [weight for weight in model.parameters() if weight.ndim < 2]
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
            lr=1e-3,
            betas=(0.9, 0.98),
        ).step()
        for (name, actual), expected in zip(models[number].named_parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(actual, expected, msg=lambda text, name=name: f"{name}: {text}")
    assert losses.total.requires_grad is False


def test_co_training_without_distillation_is_training_alone(models, batch) -> None:
    stranger = copy.deepcopy(models[1])
    torch.nn.init.normal_(stranger.get_input_embeddings().weight)
    twice = copy.deepcopy(models[0])
    step(models, batch, METHODS["standalone"])
    step([twice, stranger], batch, METHODS["standalone"])
    for one, other in zip(models[0].parameters(), twice.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_non_finite_loss_stops_before_any_weight_changes(models, batch) -> None:
    with torch.no_grad():
        models[0].get_input_embeddings().weight[7] = float("nan")
        batch.input_ids[0, 1] = 7
    before = copy.deepcopy(models[1].state_dict())
    with pytest.raises(NonFiniteLossError):
        step(models, batch, METHODS["ctcd"])
    assert all(torch.equal(value, before[name]) for name, value in models[1].state_dict().items())


def test_every_weight_is_trained_by_exactly_one_optimiser(models, pretraining) -> None:
    trainee = Trainee.start(models[0], pretraining.optimiser, CPU)
    trained = [id(w) for o in trainee.optimisers for group in o.param_groups for w in group["params"]]
    assert sorted(trained) == sorted(id(weight) for weight in models[0].parameters())
    muon = trainee.optimisers[1]
    assert sum(len(group["params"]) for group in muon.param_groups) == 6 * pretraining.teacher.layers
