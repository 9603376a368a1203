"""What is computed in a step of a training, whatever its method; on a GPU it is captured and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

from ctcd.distillation.methods import Role, Weights
from ctcd.engine.cuda_graphs import Replayed
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import NoModel
from ctcd.pretraining.setup import Training
from ctcd.pretraining.step import Model, StepResult, train_step

Quantities = dict[tuple[str, str], Tensor]  # a step's figures, scalars by role and metric
# From a batch, the factor of the soft weights and the share of the peak learning rate.
JointStep = Callable[[PredictionBatch, float, float], Quantities]


def joint_step_of(training: Training) -> JointStep:
    """The step of a training as a function; on a GPU each result is overwritten by the next step.

    There the second step with the same soft weights is captured, and replayed from then on; while a schedule changes
    them at every step, steps are launched as they are.
    """

    def step(soft_factor: float, rate_factor: Tensor | float, *batch: Tensor) -> Quantities:
        settings = training.settings
        quantities: Quantities = {}
        for trainee in training.trainees.values():
            trainee.model.zero_grad()  # a capture that failed half-way left some behind
        for teacher, student, weights in _pairs(training):
            result = train_step(
                teacher,
                student,
                PredictionBatch(*batch),
                weights.with_soft(soft_factor),
                settings.temperature,
                settings.label_smoothing,
                rate_factor,
                training.side_by_side,
            )
            quantities |= _quantities(result)
        return quantities

    device = training.hardware.device
    if device.type == "cpu":
        return lambda batch, soft_factor, rate_factor: step(soft_factor, rate_factor, *batch)
    replayed = Replayed(step)
    return lambda batch, soft_factor, rate_factor: replayed(
        soft_factor, torch.full((), rate_factor, device=device), *batch
    )


def _pairs(training: Training) -> list[tuple[Model, Model, Weights]]:
    """Who learns beside whom: the two models, or each one beside its own moving average."""
    trainees, averages, weights = training.trainees, training.averages, training.method.weights
    if averages:
        return [
            (trainees["teacher"], averages["teacher"], Weights(weights.teacher_hard, weights.teacher_soft, 0, 0)),
            (averages["student"], trainees["student"], Weights(0, 0, weights.student_hard, weights.student_soft)),
        ]
    models: dict[Role, Model] = {**trainees}
    if training.method.frozen is not None:
        models[training.method.frozen] = training.frozen or NoModel()
    return [(models["teacher"], models["student"], weights)]


def _quantities(result: StepResult) -> Quantities:
    """A step's figures of the models that were trained, by role and metric."""
    losses, quantities = result.losses, {}
    if result.teacher_norm is not None:
        quantities["teacher", "hard_loss"] = losses.teacher_hard
        quantities["teacher", "soft_loss"] = losses.teacher_soft
        quantities["teacher", "gradient_norm"] = result.teacher_norm
    if result.student_norm is not None:
        quantities["student", "hard_loss"] = losses.student_hard
        quantities["student", "soft_loss"] = losses.student_soft
        quantities["student", "gradient_norm"] = result.student_norm
    return quantities
