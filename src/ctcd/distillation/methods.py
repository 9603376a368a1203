"""Methods: who is trained, from whom it learns, and with which weights.

The weights are the paper's alpha_h, alpha_s, beta_h, beta_s (Lee et al. 2023): the teacher's hard and soft loss and the
student's hard and soft loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ctcd.errors import InputError

Role = Literal["teacher", "student"]
ROLES: tuple[Role, Role] = ("teacher", "student")
WeightName = Literal["teacher_hard", "teacher_soft", "student_hard", "student_soft"]


def roles_except(frozen: Role | None) -> tuple[Role, ...]:
    """The roles that are trained if one of them is frozen, or none."""
    return tuple(role for role in ROLES if role != frozen)


@dataclass(frozen=True)
class Weights:
    """Weights of the four losses. A zero weight costs nothing: its term is not computed."""

    teacher_hard: float
    teacher_soft: float
    student_hard: float
    student_soft: float

    def with_soft(self, factor: float) -> "Weights":
        """The same hard weights and the soft ones times a factor."""
        return replace(self, teacher_soft=self.teacher_soft * factor, student_soft=self.student_soft * factor)


@dataclass(frozen=True)
class Method:
    """A way to train the pair.

    Attributes:
        weights: of the four losses.
        frozen: the role that is not trained; its model is ready before, where the other one learns from it.
        learns_from_itself: whether the source of each soft loss is a moving average of the model's own weights instead
            of the other model.
    """

    weights: Weights
    frozen: Role | None = None
    learns_from_itself: bool = False

    @property
    def trained(self) -> tuple[Role, ...]:
        """The roles that are trained."""
        return roles_except(self.frozen)

    @property
    def has_source(self) -> bool:
        """Whether the frozen role's model is learned from; else there is none."""
        return self.frozen is not None and bool(self.weights.teacher_soft or self.weights.student_soft)

    @property
    def sources(self) -> tuple[Role, ...]:
        """The roles of the models that are learned from without being trained: moving averages, or a frozen model."""
        if self.learns_from_itself:
            return self.trained
        return (self.frozen,) if self.has_source and self.frozen else ()

    def independent_parts(self) -> tuple["Method", ...]:
        """The method itself, or one for each model if both are trained and learn from the true tokens alone."""
        weights = self.weights
        if self.frozen is not None or weights.teacher_soft or weights.student_soft:
            return (self,)
        return (
            Method(replace(weights, student_hard=0), frozen="student"),
            Method(replace(weights, teacher_hard=0), frozen="teacher"),
        )


METHODS: dict[str, Method] = {
    # With both soft weights 0 the models never touch: one run gives both baselines.
    "standalone": Method(Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=0)),
    "teacher_alone": Method(Weights(teacher_hard=1, teacher_soft=0, student_hard=0, student_soft=0), frozen="student"),
    "student_alone": Method(Weights(teacher_hard=0, teacher_soft=0, student_hard=1, student_soft=0), frozen="teacher"),
    # A finished, frozen teacher teaches the student (Hinton et al. 2015), or a student the teacher.
    "one_way": Method(Weights(teacher_hard=0, teacher_soft=0, student_hard=1, student_soft=4), frozen="teacher"),
    "reverse": Method(Weights(teacher_hard=1, teacher_soft=1, student_hard=0, student_soft=0), frozen="student"),
    # The source is trained at the same time, on the true tokens alone.
    "one_way_online": Method(Weights(teacher_hard=1, teacher_soft=0, student_hard=1, student_soft=4)),
    "reverse_online": Method(Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=0)),
    "ctcd": Method(Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4)),
    # The control: soft targets as in ctcd, but no other model.
    "self_distillation": Method(
        Weights(teacher_hard=1, teacher_soft=1, student_hard=1, student_soft=4), learns_from_itself=True
    ),
}


def find_method(name: str, weights: Mapping[WeightName, float] | None = None) -> Method:
    """Look a method up by name, with some of its weights replaced.

    Raises:
        InputError: if there is no such method, a weight is set for a model that it does not train, or one that it
            trains is left with nothing to learn from.
    """
    if name not in METHODS:
        raise InputError(f"There is no method '{name}': choose one of {', '.join(METHODS)}.")
    method = METHODS[name]
    for weight in weights or {}:
        if method.frozen is not None and weight.startswith(method.frozen):
            raise InputError(f"The method '{name}' does not train the {method.frozen}: remove its weight '{weight}'.")
    own: Mapping[Any, float] = weights or {}
    changed = replace(method.weights, **own)
    for role in method.trained:
        if not any(getattr(changed, f"{role}_{kind}") for kind in ("hard", "soft")):
            raise InputError(
                f"The method '{name}' would train the {role} with both weights 0: give {role}_hard or {role}_soft, or "
                f"choose '{roles_except(role)[0]}_alone'."
            )
    return replace(method, weights=changed)
