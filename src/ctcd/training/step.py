"""One joint step of teacher and student: the paper, from top to bottom.

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

(Lee et al. 2023; the source of each KL is a constant for the model that learns from it.)
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ctcd.corpus.prediction import PredictionBatch
from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import Weights
from ctcd.training.models import FrozenModel, Trainee
from ctcd.training.side_by_side import SideBySide


class StepResult(NamedTuple):
    """What a step gives, on its device. Nothing was updated where `is_finite` is false."""

    losses: Losses
    teacher_norm: Tensor | None  # of the gradient, before clipping; None for a frozen model
    student_norm: Tensor | None
    is_finite: Tensor


def train_step(
    teacher: Trainee | FrozenModel,
    student: Trainee | FrozenModel,
    batch: PredictionBatch,
    weights: Weights,
    temperature: float,
    label_smoothing: float,
    rate_factor: float,
    side_by_side: SideBySide,
) -> StepResult:
    """Forward both, four losses, backward of the sum, update both.

    Args:
        teacher: the larger model.
        student: the smaller model.
        batch: input, predicted positions and their labels, on the models' device.
        weights: of the four losses.
        temperature: tau.
        label_smoothing: of the hard losses.
        rate_factor: share of the peak learning rate at this step.
        side_by_side: how both models are run.
    """
    teacher_logits, student_logits = side_by_side(lambda: teacher.predict(batch), lambda: student.predict(batch))
    losses = distillation_losses(teacher_logits, student_logits, batch.labels, weights, temperature, label_smoothing)
    is_finite = losses.total.detach().isfinite()
    # The two graphs meet in the losses only: from the logits on, each model goes back alone.
    teacher_gradient, student_gradient = _gradients(losses.total, teacher_logits, student_logits)
    norms = side_by_side(
        lambda: teacher.learn(teacher_logits, teacher_gradient, is_finite, rate_factor),
        lambda: student.learn(student_logits, student_gradient, is_finite, rate_factor),
    )
    for norm in norms:
        is_finite = is_finite if norm is None else is_finite & norm.isfinite()
    return StepResult(Losses(*(loss.detach() for loss in losses)), *norms, is_finite)


def _gradients(total: Tensor, *logits: Tensor) -> list[Tensor | None]:
    """The gradient at the logits of each model; None for a frozen one."""
    found = iter(torch.autograd.grad(total, [each for each in logits if each.requires_grad]))
    return [next(found) if each.requires_grad else None for each in logits]
