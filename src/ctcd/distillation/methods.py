"""Methods: who is trained, and with which weights.

The weights are the paper's alpha_h, alpha_s, beta_h, beta_s (Lee et al. 2023): the teacher's hard and soft loss and the
student's hard and soft loss.
"""

from dataclasses import dataclass

from ctcd.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Weights of the four losses. A zero weight costs nothing: its term is not computed."""

    teacher_hard: float
    teacher_soft: float
    student_hard: float
    student_soft: float


METHODS: dict[str, Weights] = {
    # With both soft weights 0 the models never touch: one run gives both baselines.
    "standalone": Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=0),
    "one_way_online": Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=4),
    "reverse_online": Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=0),
    "ctcd": Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4),
}


def weights_of(method: str) -> Weights:
    """Look a method up by name.

    Raises:
        InputError: if there is no such method.
    """
    if method not in METHODS:
        raise InputError(f"There is no method '{method}': choose one of {', '.join(METHODS)}.")
    return METHODS[method]
