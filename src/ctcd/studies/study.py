"""A study: a question, the variants that answer it, and the claims that it tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Annotated, Any

from pydantic import AfterValidator

from ctcd.distillation.methods import Role
from ctcd.lineage.settings import Settings, known_in
from ctcd.pretraining.settings import GIVEN, referenced_model
from ctcd.reporting.measures import MEASURES, WHOLE


class Claim(Settings):
    """A sentence that a study tests: one model is better than another one.

    Attributes:
        better: variant and role, as in `ctcd student`.
        than: variant and role of the reference.
        on: a name of `MEASURES`: `scores` (mean over tasks, in points), `heldout_loss` (in nats; lower is better), ...
        part: one task, one source of text; `all` for the mean over tasks and for all held-out text.
        primary: whether the claim makes the headline.
        paper: the difference that the paper reports, in points.
    """

    better: str
    than: str
    on: Annotated[str, AfterValidator(known_in("measure", MEASURES))] = "scores"
    part: str = WHOLE
    primary: bool = False
    paper: float | None = None


@dataclass(frozen=True)
class Variant:
    """A variant as its study declares it.

    Attributes:
        name: its Kedro namespace.
        trained: the roles that its method trains.
        source: the variant whose model in the other role it learns from, or `given`; None if there is none.
        corpus: the name of the one that it is trained on; None for the one that has no name.
        settings: the method and where it differs from what all variants share, by the names of the settings.
        initial: what the models that it trains start from, by role: `standalone teacher`, `given`, or another name.
    """

    name: str
    trained: tuple[Role, ...]
    source: str | None
    corpus: str | None
    settings: Mapping[str, Any]
    initial: Mapping[Role, str] = field(default_factory=dict)

    @property
    def started_from(self) -> dict[Role, tuple[str, Role]]:
        """Variant and role of the models that its own start from, by role, where these are of variants."""
        found = {role: referenced_model(model) for role, model in self.initial.items()}
        return {role: model for role, model in found.items() if model is not None}

    @property
    def parents(self) -> list[str]:
        """The variants whose models it needs."""
        source = [self.source] if self.source not in (None, GIVEN) else []
        return [*filter(None, source), *(variant for variant, _ in self.started_from.values())]

    @property
    def needs_given_model(self) -> bool:
        """Whether it needs a model that the user names."""
        return self.source == GIVEN or GIVEN in self.initial.values()


@dataclass(frozen=True)
class Study:
    """A question with its variants and claims; one Kedro pipeline."""

    name: str
    question: str
    variants: Mapping[str, Variant]
    claims: tuple[Claim, ...]

    @property
    def corpora(self) -> list[str | None]:
        """The names of the corpora that its variants are trained on; None for the one that has no name."""
        return list(dict.fromkeys(variant.corpus for variant in self.variants.values()))

    def in_order(self) -> list[Variant]:
        """The variants, each behind those whose models it needs."""
        needs = {name: variant.parents for name, variant in self.variants.items()}
        return [self.variants[name] for name in TopologicalSorter(needs).static_order()]

    @property
    def is_self_contained(self) -> bool:
        """Whether it needs neither a model that the user names nor the text of a corpus with a name."""
        return all(variant.corpus is None and not variant.needs_given_model for variant in self.variants.values())
