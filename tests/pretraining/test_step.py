"""The joint step against a plain one: full logits, separate losses, one optimiser per model."""

import copy

import pytest
import torch
from torch.nn import functional

from ctcd.distillation.losses import distillation_losses
from ctcd.distillation.methods import METHODS, Term, Weights
from ctcd.distillation.term_losses import attention_relations_loss, new_projection
from ctcd.engine.blocks import ParameterBlocks
from ctcd.engine.hardware import Hardware
from ctcd.engine.settings import OptimiserParameters
from ctcd.engine.side_by_side import SideBySide
from ctcd.modeling.architecture import build_model
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining import step as module
from ctcd.pretraining.batches import batch_of
from ctcd.pretraining.masking import mask_tokens, masking_for
from ctcd.pretraining.models import PROJECTION, FrozenModel, MovingAverage, Trainee
from ctcd.pretraining.step import Pair, build_learner

CPU = Hardware(torch.device("cpu"), torch.float32)
NAMES = ("query", "key", "value")
ADAMW = OptimiserParameters(name="adamw", learning_rate=1e-3, weight_decay=0.01, maximum_gradient_norm=1.0)


@pytest.fixture
def models(pretraining, tokenizer, shards):
    return [
        build_model(shape, tokenizer, shards.sequence_length, 1, role)
        for role, shape in (("teacher", pretraining.teacher), ("student", pretraining.student))
    ]


@pytest.fixture
def batch(shards, tokenizer):
    return mask_tokens(
        batch_of(shards.sequences("train"), 0, 4, seed=1), masking_for(tokenizer, 0.15, CPU.device), 1, 0
    )


def joint_step_with_terms(teacher, student, batch, terms, soft_factor: float = 1.0):
    with SideBySide(in_threads=True) as threads:
        pair = Pair(teacher, student, METHODS["ctcd"].weights, terms)
        return build_learner([pair], 1.0, 0.0, CPU, threads).learn(soft_factor, 1.0, *batch)


def step(models, batch, weights: Weights, optimiser: OptimiserParameters = ADAMW):
    teacher, student = (Trainee.start(model, optimiser, CPU) for model in models)
    return joint_step(teacher, student, batch, weights)


def joint_step(teacher, student, batch, weights: Weights):
    with SideBySide(in_threads=True) as threads:
        return build_learner([Pair(teacher, student, weights)], 1.0, 0.0, CPU, threads).learn(1.0, 1.0, *batch)


@pytest.mark.parametrize("method", ["standalone", "ctcd", "one_way_online"])
def test_one_step_equals_the_plain_way(method: str, models, batch) -> None:
    weights = METHODS[method].weights
    plain = copy.deepcopy(models)
    losses, norms, is_finite = step(models, batch, weights)
    assert is_finite

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
            # AdamW's first step is the rate, 1e-3, whatever the gradient: next to zero that magnifies rounding.
            torch.testing.assert_close(
                actual, expected, rtol=1e-5, atol=5e-5, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert losses.requires_grad is False
    assert losses.shape == (4,)


def test_co_training_without_distillation_is_training_alone(models, batch) -> None:
    stranger = copy.deepcopy(models[1])
    torch.nn.init.normal_(stranger.get_input_embeddings().weight)
    twice = copy.deepcopy(models[0])
    step(models, batch, METHODS["standalone"].weights)
    step([twice, stranger], batch, METHODS["standalone"].weights)
    for one, other in zip(models[0].parameters(), twice.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_non_finite_loss_changes_no_weight(name: str, models, batch, pretraining) -> None:
    optimiser = ADAMW if name == "adamw" else pretraining.optimiser
    teacher, student = (Trainee.start(model, optimiser, CPU) for model in models)
    joint_step(teacher, student, batch, METHODS["ctcd"].weights)  # moments are no longer zero
    with torch.no_grad():
        models[0].get_input_embeddings().weight[7] = float("nan")
        batch.input_ids[0, 1] = 7
    before = copy.deepcopy([model.state_dict() for model in models])
    assert not joint_step(teacher, student, batch, METHODS["ctcd"].weights).is_finite
    for model, kept in zip(models, before, strict=True):
        for key, value in model.state_dict().items():
            assert torch.equal(value.nan_to_num(), kept[key].nan_to_num()), key


def test_a_frozen_teacher_is_learned_from_and_left_alone(models, batch) -> None:
    plain = copy.deepcopy(models[1])
    teacher, student = FrozenModel(models[0], CPU), Trainee.start(models[1], ADAMW, CPU)
    before = copy.deepcopy(models[0].state_dict())
    result = joint_step(teacher, student, batch, METHODS["one_way"].weights)
    (student_norm,) = result.norms
    assert all(torch.equal(value, before[name]) for name, value in models[0].state_dict().items())

    source, own = (m(input_ids=batch.input_ids).logits.flatten(0, 1)[batch.positions] for m in (models[0], plain))
    divergence = functional.kl_div(own.log_softmax(1), source.detach().softmax(1), reduction="batchmean")
    (functional.cross_entropy(own, batch.labels) + 4 * divergence).backward()
    torch.testing.assert_close(student_norm, torch.nn.utils.get_total_norm([w.grad for w in plain.parameters()]))


TERMS = [
    Term(learner="student", signal="hidden_states", weight=0.5),
    Term(learner="teacher", signal="hidden_states", weight=0.25),
    Term(learner="student", signal="attention_relations", weight=2.0, relation_heads=4),
]


@pytest.fixture
def models_with_projections(pretraining, tokenizer, shards):
    wide = pretraining.teacher.model_copy(update={"width": 48, "heads": 4})
    teacher, student = (
        build_model(shape, tokenizer, shards.sequence_length, 1, role)
        for role, shape in (("teacher", wide), ("student", pretraining.student))
    )
    return [(teacher, new_projection(48, 32, 1, "teacher")), (student, new_projection(32, 48, 1, "student"))]


def start(models_with_projections) -> list[Trainee]:
    wanted = {term.signal for term in TERMS}
    return [Trainee.start(model, ADAMW, CPU, None, wanted, each) for model, each in models_with_projections]


def test_terms_come_on_top_of_the_four_losses_in_both_halves(models_with_projections, batch) -> None:
    plain = copy.deepcopy(models_with_projections)
    result = joint_step_with_terms(*start(models_with_projections), batch, TERMS)

    outputs = [model(input_ids=batch.input_ids, output_hidden_states=True) for model, _ in plain]
    logits = [output.logits.flatten(0, 1)[batch.positions] for output in outputs]
    hidden = [[each.flatten(0, 1)[batch.positions] for each in output.hidden_states[1:]] for output in outputs]
    projected = [
        [getattr(model.bert.encoder.layer[-1].attention.self, name)(output.hidden_states[-2]) for name in NAMES]
        for (model, _), output in zip(plain, outputs, strict=True)
    ]
    of_teacher = [functional.mse_loss(plain[0][1](each), hidden[1][0].detach()) for each in hidden[0]]
    of_terms = torch.stack(
        [
            functional.mse_loss(plain[1][1](hidden[1][0]), hidden[0][1].detach()),
            torch.stack(of_teacher).mean(),
            attention_relations_loss(projected[1], projected[0], 4, batch.positions),
        ]
    )
    expected = distillation_losses(*logits, batch.labels, METHODS["ctcd"].weights)
    torch.testing.assert_close(result.figures, torch.cat([torch.stack(expected[1:]), of_terms]).detach())
    (expected.total + torch.dot(of_terms, torch.tensor([0.5, 0.25, 2.0]))).backward()
    for norm, (model, projection) in zip(result.norms, plain, strict=True):
        gradients = [weight.grad for weight in (*model.parameters(), *projection.parameters())]
        torch.testing.assert_close(norm, torch.nn.utils.get_total_norm([g for g in gradients if g is not None]))


def test_a_projection_learns_with_its_model_and_is_gone_at_the_end(models_with_projections, batch) -> None:
    (_, _), (student, projection) = models_with_projections
    before, names = projection.weight.clone(), list(student.state_dict())
    teacher_trainee, trainee = start(models_with_projections)
    count = trainee.parameters
    joint_step_with_terms(teacher_trainee, trainee, batch, TERMS)
    assert not torch.equal(projection.weight, before)
    assert f"{PROJECTION}.weight" in trainee.state()["model"]
    finished = trainee.finished_model()
    assert list(finished.state_dict()) == names
    assert sum(weight.numel() for weight in finished.parameters()) == count


def test_terms_cost_nothing_while_the_soft_factor_is_zero(models_with_projections, batch, monkeypatch) -> None:
    monkeypatch.setattr(module, "term_loss", lambda *given: pytest.fail("a term was computed"))
    result = joint_step_with_terms(*start(models_with_projections), batch, TERMS, soft_factor=0.0)
    assert result.figures[4:].tolist() == [0.0, 0.0, 0.0]


def test_a_moving_average_follows_its_model(models) -> None:
    start = copy.deepcopy(models[0].state_dict())
    average = MovingAverage(models[0], CPU, decay=0.9)
    with torch.no_grad():
        for weight in models[0].parameters():
            weight.add_(1.0)
    average.update(ParameterBlocks(models[0], torch.float32))
    for name, weight in average.model.named_parameters():
        torch.testing.assert_close(weight, start[name] + 0.1, rtol=1e-5, atol=1e-6)


def test_every_weight_is_trained_by_exactly_one_optimiser(models, pretraining) -> None:
    trainee = Trainee.start(models[0], pretraining.optimiser, CPU)
    adamw, muon = trainee.state()["optimisers"]
    assert sorted([*adamw["first"], *muon["momentum"]]) == sorted(name for name, _ in models[0].named_parameters())
    assert len(muon["momentum"]) == 6 * pretraining.teacher.layers


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_finished_model_is_as_if_it_had_never_been_in_training(dtype, architecture: str, tokenizer) -> None:
    shape = ModelParameters(architecture=architecture, layers=2, width=32, heads=2, feed_forward=64)
    model = build_model(shape, tokenizer, 16, 1, "teacher")
    plain = copy.deepcopy(model).eval()
    finished = Trainee.start(model, ADAMW, Hardware(CPU.device, dtype)).finished_model()
    assert finished is model
    assert not finished.get_input_embeddings().sparse
    assert finished.config._attn_implementation == plain.config._attn_implementation
    for part, expected in zip(finished.modules(), plain.modules(), strict=True):
        assert type(part) is type(expected)
        assert len(part._forward_hooks) == len(expected._forward_hooks)
        assert len(part._forward_pre_hooks) == len(expected._forward_pre_hooks)
    for weight, expected in zip(finished.parameters(), plain.parameters(), strict=True):
        assert torch.equal(weight, expected)
        assert weight.untyped_storage().nbytes() == weight.nbytes


def test_the_losses_are_told_whether_the_hardware_compiles(models, batch, monkeypatch) -> None:
    told = []
    original = module.distillation_losses
    monkeypatch.setattr(module, "distillation_losses", lambda *given: told.append(given[-1]) or original(*given))
    trainees = [Trainee.start(model, ADAMW, CPU) for model in models]
    pair = Pair(*trainees, METHODS["ctcd"].weights)
    for compiles in (False, True):
        hardware = Hardware(CPU.device, torch.float32, compiles)
        build_learner([pair], 1.0, 0.0, hardware, SideBySide(in_threads=False)).learn(1.0, 1.0, *batch)
    assert told == [False, True]
