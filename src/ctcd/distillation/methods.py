"""Methods: who is trained, from whom it learns, and with which weights.

The weights are the paper's alpha_h, alpha_s, beta_h, beta_s (Lee et al. 2023): the teacher's hard and soft loss and the
student's hard and soft loss. Terms come on top of them: what else one model learns from the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ctcd.errors import InputError
from ctcd.lineage.settings import PositiveInteger, Settings
from ctcd.modeling.families import InnerSignal

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


class Term(Settings):
    """One loss beside the four: who learns from the other model, by which signal, how strongly.

    `hidden_states` is TinyBERT's loss on them (Jiao et al. 2020), `attention_relations` that of MiniLMv2 (Wang et al.
    2021), which cuts queries, keys and values into `relation_heads` parts.
    """

    learner: Role
    signal: InnerSignal
    weight: Annotated[float, Field(ge=0.0)] = 1.0
    relation_heads: PositiveInteger | None = None

    @model_validator(mode="after")
    def _relations_have_heads(self) -> "Term":
        if (self.signal == "attention_relations") != (self.relation_heads is not None):
            raise ValueError("relation_heads belong to attention_relations: give them there and nowhere else")
        return self

    @property
    def metric(self) -> str:
        """Its name in a training's history."""
        return f"{self.signal}_loss"


@dataclass(frozen=True)
class Method:
    """A way to train the pair.

    Attributes:
        weights: of the four losses.
        frozen: the role that is not trained; its model is ready before, where the other one learns from it.
        learns_from_itself: whether the source of each soft loss is a moving average of the model's own weights instead
            of the other model.
        terms: further losses; they learn from what the soft losses learn from.
    """

    weights: Weights
    frozen: Role | None = None
    learns_from_itself: bool = False
    terms: tuple[Term, ...] = ()

    @property
    def has_soft_losses(self) -> bool:
        """Whether a model learns from the logits of another one."""
        return bool(self.weights.teacher_soft or self.weights.student_soft)

    @property
    def trained(self) -> tuple[Role, ...]:
        """The roles that are trained."""
        return roles_except(self.frozen)

    @property
    def has_source(self) -> bool:
        """Whether the frozen role's model is learned from; else there is none."""
        return self.frozen is not None and (self.has_soft_losses or bool(self.terms))

    @property
    def sources(self) -> tuple[Role, ...]:
        """The roles of the models that are learned from without being trained: moving averages, or a frozen model."""
        if self.learns_from_itself:
            return self.trained
        return (self.frozen,) if self.has_source and self.frozen else ()

    def independent_parts(self) -> tuple["Method", ...]:
        """The method itself, or one for each model if both are trained and learn from the true tokens alone."""
        weights = self.weights
        if self.frozen is not None or self.has_soft_losses or self.terms:
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


def find_method(name: str, weights: Mapping[WeightName, float] | None = None, terms: Sequence[Term] = ()) -> Method:
    """Look a method up by name, with some of its weights replaced and with further terms.

    Raises:
        InputError: if there is no such method, a weight or a term is for a model that it does not train, one that it
            trains is left with nothing to learn from, or two terms are the same.
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
    _check_terms(name, method, terms)
    return replace(method, weights=changed, terms=tuple(term for term in terms if term.weight))


def _check_terms(name: str, method: Method, terms: Sequence[Term]) -> None:
    for term in terms:
        if term.learner == method.frozen:
            raise InputError(
                f"The method '{name}' does not train the {method.frozen}: remove its term '{term.signal}'."
            )
        if sum((each.learner, each.signal) == (term.learner, term.signal) for each in terms) > 1:
            raise InputError(f"The {term.learner} has two terms '{term.signal}': leave one of them.")


def check_relation_heads(terms: Sequence[Term], widths: Iterable[int]) -> None:
    """Check that relations can be cut into as many heads as the terms say.

    Args:
        terms: of a method.
        widths: of queries, keys and values of its models.

    Raises:
        InputError: if a width is no multiple of the heads.
    """
    for term in terms:
        for width in widths:
            if term.relation_heads is not None and width % term.relation_heads:
                raise InputError(
                    f"Attention {width} wide cannot be cut into {term.relation_heads} relation heads: give the terms "
                    "of the variant other relation_heads."
                )
