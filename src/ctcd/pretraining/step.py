"""What teacher and student learn from a batch: the paper, from top to bottom.

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

(Lee et al. 2023; the source of each KL is a constant for the model that learns from it.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import ROLES, Weights
from ctcd.distillation.noise import losses_with_noisy_sources
from ctcd.engine.hardware import Hardware
from ctcd.engine.learner import Learner, Tensors
from ctcd.engine.side_by_side import SideBySide
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import Model, Trainee


@dataclass(frozen=True)
class Pair:
    """Two models that see the same batch, and the weights of their four losses."""

    teacher: Model
    student: Model
    weights: Weights

    @property
    def trainees(self) -> dict[str, Trainee]:
        """Those that are trained, by role."""
        models = zip(ROLES, (self.teacher, self.student), strict=True)
        return {role: model for role, model in models if isinstance(model, Trainee)}


def build_learner(
    pairs: Sequence[Pair],
    temperature: float,
    label_smoothing: float,
    hardware: Hardware,
    side_by_side: SideBySide,
    source_noise: float = 0.0,
) -> Learner:
    """Forward all models, four losses a pair, backward of the sum, update all that are trained.

    The learner's key is the factor of the soft weights, its tensors are those of a `PredictionBatch`. Its figures are
    the four unweighted losses of each pair, one pair after the other. Its norms follow the trained models.

    Args:
        pairs: who learns beside whom.
        temperature: tau.
        label_smoothing: of the hard losses.
        hardware: of all models.
        side_by_side: halves of a batch are computed at the same time if it has threads.
        source_noise: standard deviation of noise on the logits that are learned from.
    """

    def pair_losses(pair: Pair, batch: PredictionBatch, weights: Weights) -> Losses:
        teacher, student = pair.teacher.predict(batch), pair.student.predict(batch)
        shared = (batch.labels, weights, temperature, label_smoothing, hardware.compiles)
        if source_noise and teacher is not None and student is not None:
            return losses_with_noisy_sources(teacher, student, *shared, source_noise, batch.noise_seeds)
        return distillation_losses(teacher, student, *shared)

    def joint_loss(soft_factor: float, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        batch = PredictionBatch(*tensors)
        losses = [pair_losses(pair, batch, pair.weights.with_soft(soft_factor)) for pair in pairs]
        total = torch.stack([each.total for each in losses]).sum()
        return total, torch.stack([term for each in losses for term in each[1:]])

    def halves(tensors: Tensors) -> list[tuple[float, Tensors]]:
        batch = PredictionBatch(*tensors)
        parts = batch.halves() if side_by_side.in_threads else [batch]
        # Losses are means over predicted positions.
        return [(len(part.labels) / len(batch.labels), part) for part in parts]

    optimisers = [trainee.optimiser for pair in pairs for trainee in pair.trainees.values()]
    return Learner(joint_loss, optimisers, hardware.device, side_by_side, halves)
