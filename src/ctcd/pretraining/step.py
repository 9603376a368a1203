"""What teacher and student learn from a batch: the paper, from top to bottom.

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

(Lee et al. 2023; the source of each KL is a constant for the model that learns from it.) Terms come on top of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import ROLES, Role, Term, Weights, roles_except
from ctcd.distillation.noise import losses_with_noisy_sources
from ctcd.distillation.term_losses import term_loss
from ctcd.engine.hardware import Hardware
from ctcd.engine.learner import Learner, Tensors
from ctcd.engine.side_by_side import SideBySide
from ctcd.modeling.signals import Signals
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import Model, Trainee


@dataclass(frozen=True)
class Pair:
    """Two models that see the same batch, the weights of their four losses, and further terms of those that learn."""

    teacher: Model
    student: Model
    weights: Weights
    terms: Sequence[Term] = ()

    @property
    def trainees(self) -> dict[Role, Trainee]:
        """Those that are trained, by role."""
        models = zip(ROLES, (self.teacher, self.student), strict=True)
        return {role: model for role, model in models if isinstance(model, Trainee)}


class LossSettings(NamedTuple):
    """What the four losses need to know beside their weights; `compiles` is whether they may be compiled on a GPU."""

    temperature: float
    label_smoothing: float
    source_noise: float
    compiles: bool


def build_learner(
    pairs: Sequence[Pair],
    temperature: float,
    label_smoothing: float,
    hardware: Hardware,
    side_by_side: SideBySide,
    source_noise: float = 0.0,
) -> Learner:
    """Forward all models, all losses, backward of the sum, update all that are trained.

    The learner's key is the factor of the soft weights and of the terms, its tensors are those of a `PredictionBatch`.
    Its figures are the four unweighted losses of each pair and then those of its terms, one pair after the other. Its
    norms follow the trained models.

    Args:
        pairs: who learns beside whom.
        temperature: tau.
        label_smoothing: of the hard losses.
        hardware: of all models.
        side_by_side: halves of a batch are computed at the same time if it has threads.
        source_noise: standard deviation of noise on the logits that are learned from.
    """
    settings = LossSettings(temperature, label_smoothing, source_noise, hardware.compiles)

    def joint_loss(soft_factor: float, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        batch = PredictionBatch(*tensors)
        totals, figures = zip(*(_pair_losses(pair, batch, soft_factor, settings) for pair in pairs), strict=True)
        return torch.stack(totals).sum(), torch.cat(figures)

    def halves(tensors: Tensors) -> list[tuple[float, Tensors]]:
        batch = PredictionBatch(*tensors)
        parts = batch.halves() if side_by_side.in_threads else [batch]
        # Losses are means over predicted positions.
        return [(len(part.labels) / len(batch.labels), part) for part in parts]

    optimisers = [trainee.optimiser for pair in pairs for trainee in pair.trainees.values()]
    return Learner(joint_loss, optimisers, hardware.device, side_by_side, halves)


def _pair_losses(
    pair: Pair, batch: PredictionBatch, soft_factor: float, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    """What a pair learns from: the weighted sum, and all unweighted losses (4 + terms,)."""
    signals: dict[Role, Signals] = {"teacher": pair.teacher.predict(batch), "student": pair.student.predict(batch)}
    weights = pair.weights.with_soft(soft_factor)
    losses = _four_losses(signals["teacher"].logits, signals["student"].logits, batch, weights, settings)
    total, figures = losses.total, list(losses[1:])
    for term in pair.terms:
        weight = soft_factor * term.weight
        if not weight:
            figures.append(torch.zeros_like(losses.total))
            continue
        (source,) = roles_except(term.learner)
        projection = pair.trainees[term.learner].projection
        loss = term_loss(term, signals[term.learner], signals[source], projection, batch.positions)
        total = total + weight * loss
        figures.append(loss.detach())
    return total, torch.stack(figures)


def _four_losses(
    teacher: Tensor | None, student: Tensor | None, batch: PredictionBatch, weights: Weights, settings: LossSettings
) -> Losses:
    temperature, label_smoothing, source_noise, compiles = settings
    arguments = batch.labels, weights, temperature, label_smoothing, compiles
    if source_noise and teacher is not None and student is not None:
        return losses_with_noisy_sources(teacher, student, *arguments, source_noise, batch.noise_seeds)
    return distillation_losses(teacher, student, *arguments)
