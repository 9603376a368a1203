"""Noise on what is learned from: it asks how good a source must be to be worth learning from."""

from dataclasses import replace

import torch
from torch import Tensor

from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import Weights
from ctcd.engine.randomness import random_normals


def losses_with_noisy_sources(
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    weights: Weights,
    temperature: float,
    label_smoothing: float,
    compiles: bool,
    standard_deviation: float,
    noise_seeds: Tensor,
) -> Losses:
    """The four losses with Gaussian noise on the source of each soft loss; the hard losses see none.

    Args:
        teacher_logits: (positions, vocabulary).
        student_logits: (positions, vocabulary).
        labels: as of `distillation_losses`, like all up to `compiles`.
        weights: of the four losses.
        temperature: tau.
        label_smoothing: epsilon.
        compiles: whether what is computed on a GPU may be compiled.
        standard_deviation: of the noise.
        noise_seeds: (positions,) int64, which decide it.
    """

    def noisy(logits: Tensor, number: int) -> Tensor:
        noise = random_normals(noise_seeds + number, logits.shape[1])
        return logits.detach() + (standard_deviation * noise).to(logits.dtype)

    none = torch.zeros((), device=labels.device)
    total = teacher_hard = teacher_soft = student_hard = student_soft = none
    if weights.teacher_hard or weights.teacher_soft:
        source = noisy(student_logits, 1) if weights.teacher_soft else None
        own = replace(weights, student_hard=0, student_soft=0)
        losses = distillation_losses(teacher_logits, source, labels, own, temperature, label_smoothing, compiles)
        total, teacher_hard, teacher_soft = losses.total, losses.teacher_hard, losses.teacher_soft
    if weights.student_hard or weights.student_soft:
        source = noisy(teacher_logits, 0) if weights.student_soft else None
        own = replace(weights, teacher_hard=0, teacher_soft=0)
        losses = distillation_losses(source, student_logits, labels, own, temperature, label_smoothing, compiles)
        total, student_hard, student_soft = total + losses.total, losses.student_hard, losses.student_soft
    return Losses(total, teacher_hard, teacher_soft, student_hard, student_soft)
