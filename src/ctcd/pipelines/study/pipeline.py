"""The studies: which variants answer which question, and their way from text to report."""

from collections.abc import Sequence
from dataclasses import dataclass

from kedro.pipeline import Pipeline

from ctcd.distillation.methods import Role, roles_except
from ctcd.pipelines import corpus, finetuning, pretraining, reporting
from ctcd.pipelines.finetuning.pipeline import create_majority_pipeline


@dataclass(frozen=True)
class Variant:
    """One variant of a study, as far as the wiring depends on it.

    Attributes:
        name: its namespace, and its name in `params:variants`.
        frozen: the role that its method does not train.
        ready: the catalog entry of the model in that role, where there is one.
    """

    name: str
    frozen: Role | None = None
    ready: str | None = None

    @property
    def trained(self) -> tuple[Role, ...]:
        """The roles that are trained."""
        return roles_except(self.frozen)


UNTRAINED, STANDALONE, CTCD = Variant("untrained"), Variant("standalone"), Variant("ctcd")
ONE_WAY = Variant("one_way", frozen="teacher", ready="standalone.teacher")
REVERSE = Variant("reverse", frozen="student", ready="standalone.student")

MATCHED = Variant("standalone_matched", frozen="student")

STUDIES: dict[str, tuple[Variant, ...]] = {
    # The paper's claim: the two models alone and together, beside untrained ones.
    "ctcd": (UNTRAINED, STANDALONE, CTCD),
    # Does it take a teacher that is trained at the same time?
    "methods": (UNTRAINED, STANDALONE, ONE_WAY, CTCD),
    # Or is the time for two models better spent on one?
    "matched": (UNTRAINED, STANDALONE, MATCHED, CTCD),
    # Is it the other model that helps, in which direction, or are soft targets of any kind enough?
    "controls": (
        STANDALONE,
        REVERSE,
        Variant("one_way_online"),
        Variant("label_smoothing"),
        Variant("self_distillation"),
        CTCD,
    ),
    # A student of a model that somebody else trained: --params teacher=<folder or hub name>.
    "from_teacher": (UNTRAINED, STANDALONE, Variant("from_teacher", frozen="teacher", ready="ready_teacher")),
}


def create_pipeline(variants: Sequence[Variant]) -> Pipeline:
    """Text to report.

    corpus ──> pretraining of each variant ──> finetuning of each model ──> reporting
    """
    return sum(
        [
            corpus.create_pipeline(),
            create_pretraining_pipeline(variants),
            create_finetuning_pipeline(variants),
            reporting.create_pipeline(trained_roles(variants)),
        ],
        Pipeline([]),
    )


def create_pretraining_pipeline(variants: Sequence[Variant]) -> Pipeline:
    """The pre-training of all variants."""
    pipelines = (pretraining.create_pipeline(each.name, each.trained, each.ready) for each in variants)
    return sum(pipelines, Pipeline([]))


def create_finetuning_pipeline(variants: Sequence[Variant]) -> Pipeline:
    """The fine-tuning of all variants' models, and the majority class."""
    return sum((finetuning.create_pipeline(each.name, each.trained) for each in variants), create_majority_pipeline())


def trained_roles(variants: Sequence[Variant]) -> dict[str, tuple[Role, ...]]:
    """The trained roles of each variant by its name."""
    return {each.name: each.trained for each in variants}
