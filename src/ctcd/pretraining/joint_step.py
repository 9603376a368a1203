"""What is computed in a step of a training, whatever its method."""

from collections.abc import Callable

from torch import Tensor

from ctcd.distillation.methods import ROLES, Role, Weights
from ctcd.engine.learner import Learned
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import Model, NoModel
from ctcd.pretraining.setup import Training
from ctcd.pretraining.step import Pair, build_learner

Quantities = dict[tuple[str, str], Tensor]  # a step's figures, scalars by role and metric
# From a batch, the factor of the soft weights and the share of the peak learning rate.
JointStep = Callable[[PredictionBatch, float, float], Quantities]


def build_joint_step(training: Training) -> JointStep:
    """The step of a training as a function; on a GPU the next step overwrites the result.

    There the second step with the same soft weights is captured, later ones replay it. While a schedule changes them
    at every step, steps are launched kernel by kernel.
    """
    pairs, settings = _pairs(training), training.settings
    learner = build_learner(
        pairs,
        settings.temperature,
        settings.label_smoothing,
        training.hardware,
        training.side_by_side,
        settings.source_noise,
    )
    return lambda batch, soft_factor, rate_factor: _quantities(pairs, learner.learn(soft_factor, rate_factor, *batch))


def _pairs(training: Training) -> list[Pair]:
    """Who learns beside whom: the two models, or each one beside its own moving average."""
    trainees, averages, weights = training.trainees, training.averages, training.method.weights
    terms = training.method.terms
    if averages:
        of_teacher = Weights(weights.teacher_hard, weights.teacher_soft, 0, 0)
        of_student = Weights(0, 0, weights.student_hard, weights.student_soft)
        by_learner = {role: [term for term in terms if term.learner == role] for role in ROLES}
        return [
            Pair(trainees["teacher"], averages["teacher"], of_teacher, by_learner["teacher"]),
            Pair(averages["student"], trainees["student"], of_student, by_learner["student"]),
        ]
    models: dict[Role, Model] = {**trainees}
    if training.method.frozen is not None:
        models[training.method.frozen] = training.frozen or NoModel()
    return [Pair(models["teacher"], models["student"], weights, terms)]


def _quantities(pairs: list[Pair], learned: Learned) -> Quantities:
    """A step's figures of the models that were trained, by role and metric."""
    quantities: Quantities = {}
    norms = iter(learned.norms)
    for pair, figures in zip(pairs, learned.figures.split([4 + len(pair.terms) for pair in pairs]), strict=True):
        four, of_terms = figures[:4].view(len(ROLES), 2), figures[4:]
        for role in pair.trainees:
            hard_loss, soft_loss = four[ROLES.index(role)].unbind()
            quantities |= {(role, "hard_loss"): hard_loss, (role, "soft_loss"): soft_loss}
            quantities[role, "gradient_norm"] = next(norms)
        quantities |= {
            (term.learner, term.metric): loss for term, loss in zip(pair.terms, of_terms.unbind(), strict=True)
        }
    return quantities
