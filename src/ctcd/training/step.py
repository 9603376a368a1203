"""One joint step of teacher and student: the paper, from top to bottom.

    loss_teacher = w.teacher_hard * CE(T, y) + w.teacher_soft * tau^2 * KL(softmax(S/tau) || softmax(T/tau))
    loss_student = w.student_hard * CE(S, y) + w.student_soft * tau^2 * KL(softmax(T/tau) || softmax(S/tau))

(Lee et al. 2023; the source of each KL is a constant for the model that learns from it.)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim
from transformers import PreTrainedModel

from ctcd.corpus.masking import MaskedBatch
from ctcd.distillation.losses import Losses, distillation_losses
from ctcd.distillation.methods import Weights
from ctcd.modeling.logits import predicted_logits
from ctcd.parameters import OptimiserParameters
from ctcd.training.optimiser import build_optimisers, set_learning_rate
from ctcd.training.precision import Hardware


class NonFiniteLossError(ArithmeticError):
    """A loss became infinite or not a number; no weight was updated with it."""


@dataclass
class Trainee:
    """A model in training with its own optimisers."""

    model: PreTrainedModel
    optimisers: list[optim.Optimizer]

    @classmethod
    def start(cls, model: PreTrainedModel, settings: OptimiserParameters, hardware: Hardware) -> "Trainee":
        """Put a model where it is trained."""
        model = model.to(hardware.device).train()
        return cls(model, build_optimisers(model, settings))

    def update(self, maximum_norm: float, rate_factor: float) -> Tensor:
        """Clip the gradient, take an optimiser step, forget the gradient; returns the norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), maximum_norm)
        set_learning_rate(self.optimisers, rate_factor)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return norm


def train_step(
    teacher: Trainee,
    student: Trainee,
    batch: MaskedBatch,
    weights: Weights,
    temperature: float,
    maximum_norm: float,
    rate_factor: float,
    hardware: Hardware,
) -> tuple[Losses, Tensor, Tensor]:
    """Forward both, four losses, backward of the sum, update both.

    Args:
        teacher: the larger model.
        student: the smaller model.
        batch: masked tokens, predicted positions and their labels, on the models' device.
        weights: of the four losses.
        temperature: tau.
        maximum_norm: each model's gradient is clipped to it.
        rate_factor: share of the peak learning rate at this step.
        hardware: device and precision.

    Returns:
        The losses (detached), the teacher's and the student's gradient norm.

    Raises:
        NonFiniteLossError: before any weight changes.
    """
    with hardware.autocast():
        teacher_logits = predicted_logits(teacher.model, batch.input_ids, batch.positions)
        student_logits = predicted_logits(student.model, batch.input_ids, batch.positions)
    losses = distillation_losses(teacher_logits, student_logits, batch.labels, weights, temperature)
    if not torch.isfinite(losses.total):
        raise NonFiniteLossError
    losses.total.backward()
    teacher_norm = teacher.update(maximum_norm, rate_factor)
    student_norm = student.update(maximum_norm, rate_factor)
    return Losses(*(loss.detach() for loss in losses)), teacher_norm, student_norm
