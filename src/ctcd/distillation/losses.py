"""The four losses of co-training and co-distillation, in closed form.

For P predicted positions, teacher logits T and student logits S, both (P, V), true tokens y and temperature tau:

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

Means over positions. The source of a KL is a constant for the model that learns from it, so the gradients are

    d loss_teacher / d T = (w.teacher_hard * (p_T - y) + w.teacher_soft * tau * (p_T^tau - p_S^tau)) / P

and likewise for the student. Both softmaxes are therefore computed once and shared by all losses and gradients.
"""

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
    teacher_logits: Tensor, student_logits: Tensor, labels: Tensor, weights: Weights, temperature: float = 1.0
) -> Losses:
    """All four losses; the gradient of `total` reaches both logits.

    Args:
        teacher_logits: (positions, vocabulary), any floating type.
        student_logits: (positions, vocabulary), any floating type.
        labels: (positions,) true token of each predicted position.
        weights: weights of the four terms; a term of weight 0 is not computed.
        temperature: tau; the soft losses are multiplied by tau^2 so that their gradients keep their scale.
    """
    total, terms = _FourLosses.apply(teacher_logits, student_logits, labels, weights, temperature)
    return Losses(total, *terms.unbind())


class _FourLosses(torch.autograd.Function):
    """Computes losses and both gradients in one pass over the rows; keeps nothing but the gradients."""

    @staticmethod
    def forward(
        ctx: Any, teacher: Tensor, student: Tensor, labels: Tensor, weights: Weights, temperature: float
    ) -> tuple[Tensor, Tensor]:
        positions, vocabulary = teacher.shape
        accumulate = torch.float64 if teacher.dtype == torch.float64 else torch.float32
        teacher_gradient = torch.empty_like(teacher) if ctx.needs_input_grad[0] else None
        student_gradient = torch.empty_like(student) if ctx.needs_input_grad[1] else None
        terms = torch.zeros(4, dtype=accumulate, device=teacher.device)
        rows_at_once = max(1, LOGITS_AT_ONCE.get(teacher.device.type, 1 << 24) // vocabulary)
        for start in range(0, positions, rows_at_once):
            rows = slice(start, start + rows_at_once)
            terms += _losses_of_rows(
                teacher[rows].to(accumulate),
                student[rows].to(accumulate),
                labels[rows].unsqueeze(1),
                weights,
                temperature,
                None if teacher_gradient is None else teacher_gradient[rows],
                None if student_gradient is None else student_gradient[rows],
            )
        terms /= positions
        ctx.positions = positions
        ctx.save_for_backward(teacher_gradient, student_gradient)
        total = torch.dot(terms, terms.new_tensor(_as_tuple(weights)))
        ctx.mark_non_differentiable(terms)
        return total, terms

    @staticmethod
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        scale = total_gradient / ctx.positions
        teacher_gradient, student_gradient = ctx.saved_tensors
        # Out of place: a second backward through a retained graph must see the same gradients.
        return (
            None if teacher_gradient is None else teacher_gradient * scale.to(teacher_gradient.dtype),
            None if student_gradient is None else student_gradient * scale.to(student_gradient.dtype),
            None,
            None,
            None,
        )


def _losses_of_rows(
    teacher: Tensor,
    student: Tensor,
    labels: Tensor,
    weights: Weights,
    temperature: float,
    teacher_gradient: Tensor | None,
    student_gradient: Tensor | None,
) -> Tensor:
    """Sums of the four terms over some rows; gradients of the weighted sum go into the given buffers."""
    teacher_log, student_log = teacher.log_softmax(1), student.log_softmax(1)
    hard = [-log.gather(1, labels).sum() for log in (teacher_log, student_log)]
    teacher_probability, student_probability = teacher_log.exp(), student_log.exp()
    _put_hard_gradient(teacher_gradient, teacher_probability, labels, weights.teacher_hard)
    _put_hard_gradient(student_gradient, student_probability, labels, weights.student_hard)
    if not (weights.teacher_soft or weights.student_soft):
        zero = hard[0].new_zeros(())
        return torch.stack((hard[0], zero, hard[1], zero))

    if temperature != 1.0:
        teacher_log, student_log = (teacher / temperature).log_softmax(1), (student / temperature).log_softmax(1)
        teacher_probability, student_probability = teacher_log.exp(), student_log.exp()
    log_ratio = teacher_log - student_log
    squared = temperature * temperature
    teacher_soft = -squared * torch.dot(student_probability.view(-1), log_ratio.view(-1))
    student_soft = squared * torch.dot(teacher_probability.view(-1), log_ratio.view(-1))
    difference = teacher_probability.sub_(student_probability)
    if teacher_gradient is not None and weights.teacher_soft:
        teacher_gradient.add_(difference, alpha=weights.teacher_soft * temperature)
    if student_gradient is not None and weights.student_soft:
        student_gradient.sub_(difference, alpha=weights.student_soft * temperature)
    return torch.stack((hard[0], teacher_soft, hard[1], student_soft))


def _put_hard_gradient(gradient: Tensor | None, probability: Tensor, labels: Tensor, weight: float) -> None:
    """Write weight * (probability - one_hot(labels)) into the buffer."""
    if gradient is None:
        return
    torch.mul(probability, weight, out=gradient) if gradient.dtype == probability.dtype else gradient.copy_(
        probability * weight
    )
    gradient.scatter_add_(1, labels, gradient.new_full(labels.shape, -weight))


def _as_tuple(weights: Weights) -> tuple[float, float, float, float]:
    return weights.teacher_hard, weights.teacher_soft, weights.student_hard, weights.student_soft
