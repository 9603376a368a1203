"""One joint step of teacher and student: the paper, from top to bottom.

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

(Lee et al. 2023; the source of each KL is a constant for the model that learns from it.)
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import Weights
from ctcd.engine.side_by_side import SideBySide
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import FrozenModel, NoModel, Trainee

Model = Trainee | FrozenModel | NoModel


class StepResult(NamedTuple):
    """What a step gives, on its device.

    Where the loss is not finite nothing was updated, and no model whose own gradient is not; `is_finite` is about all.
    """

    losses: Losses
    teacher_norm: Tensor | None  # of the gradient, before clipping; None for a model that is not trained
    student_norm: Tensor | None
    is_finite: Tensor


def train_step(
    teacher: Model,
    student: Model,
    batch: PredictionBatch,
    weights: Weights,
    temperature: float,
    label_smoothing: float,
    rate_factor: Tensor | float,
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
        side_by_side: what of it is computed at the same time.
    """

    def forward_and_backward(part: PredictionBatch) -> Tensor:
        share = len(part.labels) / len(batch.labels)  # losses are means over predicted positions
        teacher_logits, student_logits = teacher.predict(part), student.predict(part)
        losses = distillation_losses(teacher_logits, student_logits, part.labels, weights, temperature, label_smoothing)
        (losses.total * share).backward()
        return torch.stack(losses).detach() * share

    parts = side_by_side.parts_of(batch)
    losses_of_parts = side_by_side(*(partial(forward_and_backward, part) for part in parts))
    losses = Losses(*torch.stack(losses_of_parts).sum(0).unbind())
    is_finite = losses.total.isfinite()
    teacher_norm, student_norm = side_by_side(
        lambda: teacher.learn(is_finite, rate_factor), lambda: student.learn(is_finite, rate_factor)
    )
    for norm in (teacher_norm, student_norm):
        is_finite = is_finite if norm is None else is_finite & norm.isfinite()
    return StepResult(losses, teacher_norm, student_norm, is_finite)
