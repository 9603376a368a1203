"""The losses against PyTorch's own functions in float64 and against closed forms."""

import math

import pytest
import torch
from torch.nn import functional

from ctcd.distillation import losses as module
from ctcd.distillation.losses import distillation_losses
from ctcd.distillation.methods import METHODS, Weights

ALL_WEIGHTS = [
    *(method.weights for method in METHODS.values()),
    Weights(0, 1, 0, 2),
    Weights(0.5, 0, 1, 3),
    Weights(1, 0, 0, 0),
]


def logits(positions: int = 7, vocabulary: int = 11, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    teacher, student = (
        (3 * torch.randn(positions, vocabulary, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()
        for _ in range(2)
    )
    return teacher, student, torch.randint(vocabulary, (positions,), generator=generator)


def independent(teacher, student, labels, weights, temperature, label_smoothing=0.0):
    """The formula of the paper, term by term, with PyTorch's functions."""

    def soft(source, learner):
        return temperature**2 * functional.kl_div(
            (learner / temperature).log_softmax(1), (source.detach() / temperature).softmax(1), reduction="batchmean"
        )

    teacher_loss = weights.teacher_hard * functional.cross_entropy(teacher, labels, label_smoothing=label_smoothing)
    teacher_loss = teacher_loss + weights.teacher_soft * soft(student, teacher)
    student_loss = weights.student_hard * functional.cross_entropy(student, labels, label_smoothing=label_smoothing)
    return teacher_loss + student_loss + weights.student_soft * soft(teacher, student)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("weights", ALL_WEIGHTS)
def test_total_and_gradients_equal_the_formula(weights: Weights, temperature: float, label_smoothing: float) -> None:
    teacher, student, labels = logits()
    total = distillation_losses(teacher, student, labels, weights, temperature, label_smoothing).total
    expected = independent(teacher, student, labels, weights, temperature, label_smoothing)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    actual_gradients = torch.autograd.grad(total, (teacher, student))
    expected_gradients = torch.autograd.grad(expected, (teacher, student), allow_unused=True)
    for actual, wanted in zip(actual_gradients, expected_gradients, strict=True):
        wanted = torch.zeros_like(actual) if wanted is None else wanted
        torch.testing.assert_close(actual, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.slow  # compiles
@pytest.mark.parametrize(("temperature", "label_smoothing"), [(1.0, 0.0), (3.0, 0.1)])
def test_compiled_as_on_a_gpu_they_equal_the_formula_too(
    monkeypatch: pytest.MonkeyPatch, temperature: float, label_smoothing: float
) -> None:
    monkeypatch.setattr(module, "_losses_of_rows", module._compiled())
    test_total_and_gradients_equal_the_formula(METHODS["ctcd"].weights, temperature, label_smoothing)


@pytest.mark.parametrize("weights", [METHODS["standalone"].weights, Weights(1, 0, 0, 0)])
def test_gradcheck_where_no_source_is_detached(weights: Weights) -> None:
    teacher, student, labels = logits(4, 6)
    assert torch.autograd.gradcheck(
        lambda *inputs: distillation_losses(*inputs, labels, weights).total, (teacher, student)
    )


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("side", ["teacher", "student"])
def test_gradcheck_of_each_side_with_the_other_frozen(side: str, label_smoothing: float) -> None:
    own, other, labels = logits(4, 6)
    weights = Weights(1, 2, 0, 0) if side == "teacher" else Weights(0, 0, 1, 4)

    def total(own: torch.Tensor) -> torch.Tensor:
        pair = (own, other.detach()) if side == "teacher" else (other.detach(), own)
        return distillation_losses(*pair, labels, weights, 2.0, label_smoothing).total

    assert torch.autograd.gradcheck(total, (own,))


def test_equal_models_have_no_soft_loss_and_equal_hard_losses() -> None:
    teacher, _, labels = logits()
    losses = distillation_losses(teacher, teacher.detach().clone(), labels, METHODS["ctcd"].weights)
    assert losses.teacher_soft.abs() < 1e-15
    assert losses.student_soft.abs() < 1e-15
    torch.testing.assert_close(losses.teacher_hard, losses.student_hard)


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary() -> None:
    zeros = torch.zeros(5, 50)
    losses = distillation_losses(zeros, zeros.clone(), torch.arange(5), METHODS["ctcd"].weights)
    assert losses.teacher_hard.item() == pytest.approx(math.log(50), abs=1e-6)


def test_one_position_two_tokens_by_hand() -> None:
    # softmax of (0, log 3) is (1/4, 3/4); the student is uniform; the true token is the second
    teacher = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    losses = distillation_losses(teacher, student, torch.tensor([1]), METHODS["ctcd"].weights)
    assert losses.teacher_hard.item() == pytest.approx(math.log(4 / 3))
    assert losses.student_hard.item() == pytest.approx(math.log(2))
    assert losses.teacher_soft.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert losses.student_soft.item() == pytest.approx(0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2))
    assert losses.total.item() == pytest.approx(sum(losses[1:4]).item() + 4 * losses.student_soft.item())


def test_repeating_the_positions_changes_nothing() -> None:
    teacher, student, labels = logits()
    once = distillation_losses(teacher, student, labels, METHODS["ctcd"].weights)
    thrice = distillation_losses(teacher.repeat(3, 1), student.repeat(3, 1), labels.repeat(3), METHODS["ctcd"].weights)
    torch.testing.assert_close(torch.stack(once), torch.stack(thrice))


def test_a_vocabulary_of_a_quarter_million_is_exact() -> None:
    teacher, student, labels = logits(3, 250_000, dtype=torch.float32)
    total = distillation_losses(teacher, student, labels, METHODS["ctcd"].weights).total
    expected = independent(teacher.double(), student.double(), labels, METHODS["ctcd"].weights, 1.0)
    torch.testing.assert_close(total.double(), expected, rtol=1e-6, atol=0)
    actual_gradients = torch.autograd.grad(total, (teacher, student))
    for actual, wanted in zip(actual_gradients, torch.autograd.grad(expected, (teacher, student)), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-9)


def test_pieces_of_rows_give_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student, labels = logits(positions=13)
    whole = distillation_losses(teacher, student, labels, METHODS["ctcd"].weights, 2.0).total
    monkeypatch.setitem(module.LOGITS_AT_ONCE, "cpu", 25)  # two rows of eleven at a time
    pieces = distillation_losses(teacher, student, labels, METHODS["ctcd"].weights, 2.0).total
    torch.testing.assert_close(pieces, whole)
    for one, other in zip(
        torch.autograd.grad(pieces, (teacher, student)), torch.autograd.grad(whole, (teacher, student)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_half_precision_logits_are_accumulated_in_float32() -> None:
    exact = logits(200, 300)
    teacher, student, labels = logits(200, 300, dtype=torch.bfloat16)
    losses = distillation_losses(teacher, student, labels, METHODS["ctcd"].weights)
    assert losses.total.dtype == torch.float32
    reference = independent(teacher.double(), student.double(), labels, METHODS["ctcd"].weights, 1.0)
    assert losses.total.item() == pytest.approx(reference.item(), rel=1e-5)
    losses.total.backward()
    assert teacher.grad.dtype == torch.bfloat16
    assert exact[0].grad is None


def test_a_frozen_model_gets_no_gradient() -> None:
    teacher, student, labels = logits()
    losses = distillation_losses(teacher.detach(), student, labels, Weights(0, 0, 1, 4))
    losses.total.backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_standalone_models_do_not_touch() -> None:
    teacher, student, labels = logits()
    other = student.detach() + 1.7 * torch.randn_like(student)
    gradients = []
    for partner in (student, other):
        losses = distillation_losses(teacher, partner, labels, METHODS["standalone"].weights)
        assert losses.teacher_soft == losses.student_soft == 0
        gradients.append(torch.autograd.grad(losses.total, teacher)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("alone", ["teacher", "student"])
def test_one_model_alone_has_its_hard_loss_and_its_gradient(alone: str, label_smoothing: float) -> None:
    own, _, labels = logits()
    given = (own, None) if alone == "teacher" else (None, own)
    losses = distillation_losses(*given, labels, METHODS[f"{alone}_alone"].weights, label_smoothing=label_smoothing)
    expected = functional.cross_entropy(own, labels, label_smoothing=label_smoothing)
    torch.testing.assert_close(losses.total, expected, rtol=1e-12, atol=1e-12)
    absent = "student" if alone == "teacher" else "teacher"
    assert getattr(losses, f"{absent}_hard") == 0
    (gradient,), (wanted,) = torch.autograd.grad(losses.total, own), torch.autograd.grad(expected, own)
    torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-13)
