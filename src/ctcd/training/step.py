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
from ctcd.training.side_by_side import SideBySide


class NonFiniteLossError(ArithmeticError):
    """A loss became infinite or not a number; no weight was updated with it."""


@dataclass
class Trainee:
    """A model in training with its own optimisers."""

    model: PreTrainedModel
    optimisers: list[optim.Optimizer]
    hardware: Hardware

    @classmethod
    def start(cls, model: PreTrainedModel, settings: OptimiserParameters, hardware: Hardware) -> "Trainee":
        """Put a model where it is trained."""
        model = model.to(hardware.device).train()
        return cls(model, build_optimisers(model, settings), hardware)

    def predict(self, batch: MaskedBatch) -> Tensor:
        """Logits at the predicted positions: (positions, vocabulary)."""
        with self.hardware.autocast():
            return predicted_logits(self.model, batch.input_ids, batch.positions)

    def learn(self, logits: Tensor, gradient: Tensor, maximum_norm: float, rate_factor: float) -> Tensor:
        """Backward from the loss's gradient at the logits, clip, update; returns the norm before clipping."""
        logits.backward(gradient)
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
    side_by_side: SideBySide,
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
        side_by_side: how both models are run.

    Returns:
        The losses (detached), the teacher's and the student's gradient norm.

    Raises:
        NonFiniteLossError: before any weight changes.
    """
    teacher_logits, student_logits = side_by_side(lambda: teacher.predict(batch), lambda: student.predict(batch))
    losses = distillation_losses(teacher_logits, student_logits, batch.labels, weights, temperature)
    if not torch.isfinite(losses.total):
        raise NonFiniteLossError
    # The two graphs meet in the losses only: from the logits on, each model goes back alone.
    teacher_gradient, student_gradient = torch.autograd.grad(losses.total, (teacher_logits, student_logits))
    teacher_norm, student_norm = side_by_side(
        lambda: teacher.learn(teacher_logits, teacher_gradient, maximum_norm, rate_factor),
        lambda: student.learn(student_logits, student_gradient, maximum_norm, rate_factor),
    )
    return Losses(*(loss.detach() for loss in losses)), teacher_norm, student_norm
