"""The four losses of co-training and co-distillation, in closed form.

For P predicted positions, teacher logits T and student logits S, both (P, V), true tokens y and temperature tau:

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

With label smoothing epsilon, CE is taken with the target (1 - epsilon) y + epsilon / V (Szegedy et al. 2016).

Means over positions. The source of a KL is a constant for the model that learns from it, so the gradients are

    d loss_teacher / d T = (w.teacher_hard * (p_T - y) + w.teacher_soft * tau * (p_T^tau - p_S^tau)) / P

and likewise for the student (without smoothing). Both softmaxes are therefore computed once and shared by all losses
and gradients.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ctcd.distillation.methods import Weights

# Rows are handled in pieces of about this many logits: they stay in a core's cache, and the working memory is constant.
LOGITS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 27}


class Losses(NamedTuple):
    """Scalars, float32. Only `total` carries a gradient; the four terms are unweighted, and 0 where not computed."""

    total: Tensor
    teacher_hard: Tensor
    teacher_soft: Tensor
    student_hard: Tensor
    student_soft: Tensor


def distillation_losses(
    teacher_logits: Tensor | None,
    student_logits: Tensor | None,
    labels: Tensor,
    weights: Weights,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    compiles: bool = False,
) -> Losses:
    """All four losses; the gradient of `total` reaches both logits.

    Args:
        teacher_logits: (positions, vocabulary), any floating type; None without a teacher.
        student_logits: (positions, vocabulary), any floating type; None without a student.
        labels: (positions,) true token of each predicted position.
        weights: weights of the four terms; a term of weight 0 is not computed.
        temperature: tau; the soft losses are multiplied by tau^2 so that their gradients keep their scale.
        label_smoothing: epsilon of both hard losses.
        compiles: whether what is computed on a GPU may be compiled.
    """
    total, terms = _FourLosses.apply(
        teacher_logits, student_logits, labels, weights, temperature, label_smoothing, compiles
    )
    return Losses(total, *terms.unbind())


class _FourLosses(torch.autograd.Function):
    """Computes losses and both gradients in one pass over the rows; keeps nothing but the gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        teacher: Tensor | None,
        student: Tensor | None,
        labels: Tensor,
        weights: Weights,
        temperature: float,
        label_smoothing: float,
        compiles: bool,
    ) -> tuple[Tensor, Tensor]:
        (positions, vocabulary), dtype = _shape_of(teacher, student)
        accumulate = torch.float64 if dtype == torch.float64 else torch.float32
        teacher_gradient, student_gradient = (
            torch.empty_like(logits) if needed and logits is not None else None
            for logits, needed in zip((teacher, student), ctx.needs_input_grad[:2], strict=True)
        )
        terms = torch.zeros(4, dtype=accumulate, device=labels.device)
        factors = _on_device(weights, terms)
        has_soft = bool(weights.teacher_soft or weights.student_soft)
        losses_of_rows = _compiled() if labels.is_cuda and compiles else _losses_of_rows
        rows_at_once = max(1, LOGITS_AT_ONCE.get(labels.device.type, 1 << 24) // vocabulary)
        for start in range(0, positions, rows_at_once):
            rows = slice(start, start + rows_at_once)
            terms += losses_of_rows(
                None if teacher is None else teacher[rows],
                None if student is None else student[rows],
                labels[rows].unsqueeze(1),
                factors,
                has_soft,
                temperature,
                label_smoothing,
                None if teacher_gradient is None else teacher_gradient[rows],
                None if student_gradient is None else student_gradient[rows],
            )
        terms /= positions
        ctx.positions = positions
        ctx.save_for_backward(teacher_gradient, student_gradient)
        ctx.mark_non_differentiable(terms)
        return torch.dot(terms, factors), terms

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        scale = total_gradient / ctx.positions
        # Out of place: a second backward through a retained graph must see the same gradients.
        gradients = (None if each is None else each * scale.to(each.dtype) for each in ctx.saved_tensors)
        return *gradients, None, None, None, None, None


def _shape_of(*logits: Tensor | None) -> tuple[torch.Size, torch.dtype]:
    """Shape and type of the logits that there are."""
    return next((each.shape, each.dtype) for each in logits if each is not None)


def _on_device(weights: Weights, like: Tensor) -> Tensor:
    """The weights in the order of the terms: (4,). Filled there, because a copy to a GPU would be waited for."""
    values = (weights.teacher_hard, weights.teacher_soft, weights.student_hard, weights.student_soft)
    return torch.stack([like.new_full((), value) for value in values])


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Tensor]:
    """On a GPU every pass over the logits goes through memory: one kernel instead of twenty."""
    return torch.compile(_losses_of_rows, dynamic=True)


def _losses_of_rows(
    teacher: Tensor | None,
    student: Tensor | None,
    labels: Tensor,
    weights: Tensor,
    has_soft: bool,
    temperature: float,
    label_smoothing: float,
    teacher_gradient: Tensor | None,
    student_gradient: Tensor | None,
) -> Tensor:
    """Sums of the four terms over some rows; gradients of the weighted sum go into the given buffers.

    Neither matrix of log-probabilities is needed: with the logarithms of the normalisers N, KL(p_T || p_S) is
    sum(p_T * (T - S)) - (N_T - N_S) in each row.
    """
    teacher_hard = student_hard = teacher_soft = student_soft = weights.new_zeros(())
    teacher_probability = student_probability = difference = None
    if teacher is not None:
        teacher = teacher.to(weights.dtype)
        teacher_probability, teacher_normaliser = _softmax(teacher)
        teacher_hard = _cross_entropy(teacher, teacher_normaliser, labels, label_smoothing)
    if student is not None:
        student = student.to(weights.dtype)
        student_probability, student_normaliser = _softmax(student)
        student_hard = _cross_entropy(student, student_normaliser, labels, label_smoothing)
    if has_soft:
        assert teacher is not None
        assert student is not None
        assert teacher_probability is not None
        assert student_probability is not None
        teacher_source, student_source = teacher_probability, student_probability
        if temperature != 1.0:
            teacher, student = teacher / temperature, student / temperature
            teacher_source, teacher_normaliser = _softmax(teacher)
            student_source, student_normaliser = _softmax(student)
        gap, normaliser_gap = teacher - student, (teacher_normaliser - student_normaliser).sum()
        squared = temperature * temperature
        teacher_soft = squared * (normaliser_gap - torch.linalg.vecdot(student_source, gap).sum())
        student_soft = squared * (torch.linalg.vecdot(teacher_source, gap).sum() - normaliser_gap)
        difference = torch.sub(teacher_source, student_source, out=gap).mul_(temperature)
    _put_gradient(teacher_gradient, teacher_probability, labels, weights[0], weights[1], difference, label_smoothing)
    _put_gradient(student_gradient, student_probability, labels, weights[2], -weights[3], difference, label_smoothing)
    return torch.stack((teacher_hard, teacher_soft, student_hard, student_soft))


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (rows, vocabulary) and the logarithms of their normalisers (rows,), with one exponential each."""
    highest = logits.amax(1, keepdim=True)
    exponentials = (logits - highest).exp_()
    total = exponentials.sum(1, keepdim=True)
    return exponentials.mul_(total.reciprocal()), (highest + total.log()).squeeze(1)


def _cross_entropy(logits: Tensor, normaliser: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Summed over the rows."""
    expected = logits.gather(1, labels).squeeze(1)
    if label_smoothing:
        expected = (1 - label_smoothing) * expected + label_smoothing * logits.mean(1)
    return (normaliser - expected).sum()


def _put_gradient(
    buffer: Tensor | None,
    probability: Tensor | None,
    labels: Tensor,
    hard: Tensor,
    soft: Tensor,
    difference: Tensor | None,
    label_smoothing: float,
) -> None:
    """Write hard * (probability - target) + soft * difference into the buffer; uses up the probabilities."""
    if buffer is None or probability is None:
        return
    gradient = torch.mul(probability, hard, out=buffer if buffer.dtype == probability.dtype else probability)
    _subtract_at(labels, (1 - label_smoothing) * hard, gradient)
    if label_smoothing:
        gradient.sub_(hard * (label_smoothing / gradient.shape[1]))
    if difference is not None:
        gradient.addcmul_(difference, soft)
    if gradient is not buffer:
        buffer.copy_(gradient)


def _subtract_at(labels: Tensor, amount: Tensor, gradient: Tensor) -> None:
    """Subtract an amount from the gradient of each row's label."""
    if torch.compiler.is_compiling():
        # Compiled, this is part of the pass that writes the gradient; a scatter would end it and begin another one.
        gradient.sub_(amount * (torch.arange(gradient.shape[1], device=gradient.device) == labels))
    else:
        gradient.scatter_add_(1, labels, -amount.expand_as(labels))
