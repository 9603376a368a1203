"""A study: a question, the variants that answer it, and the claims that it tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from ctcd.distillation.methods import Role
from ctcd.lineage.settings import Settings, known_in
from ctcd.reporting.measures import MEASURES, WHOLE

# As the source of a variant: the model that the user names.
GIVEN = "given"


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
    """

    name: str
    trained: tuple[Role, ...]
    source: str | None
    corpus: str | None
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """A question with its variants and claims; one Kedro pipeline."""

    name: str
    question: str
    variants: Mapping[str, Variant]
    claims: tuple[Claim, ...]

    def in_order(self) -> list[Variant]:
        """The variants, those that learn from another one last."""
        return sorted(self.variants.values(), key=lambda variant: variant.source is not None)

    @property
    def needs_given_model(self) -> bool:
        """Whether a variant learns from a model that the user names."""
        return any(variant.source == GIVEN for variant in self.variants.values())
