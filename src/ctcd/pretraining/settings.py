"""Settings of a pre-training: what all variants share, and where one differs."""

import re
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ctcd.distillation.methods import Role, Term, WeightName
from ctcd.distillation.soft_weights import SoftWeightsParameters
from ctcd.engine.settings import OptimiserParameters
from ctcd.lineage.settings import Listed, Names, PositiveInteger, PositiveNumber, Settings, Share, deep_merge
from ctcd.modeling.settings import ModelParameters

BUDGETS = ("steps", "tokens", "epochs", "minutes")
# The model that the user names, where a variant or a folder could stand as well.
GIVEN = "given"


def referenced_model(initial: str) -> tuple[str, Role] | None:
    """Variant and role that `initial` names, as in `standalone teacher`; None if it names a given model."""
    found = re.fullmatch(r"([a-z][a-z0-9_]*) (teacher|student)", initial)
    return (found[1], cast(Role, found[2])) if found else None


class Recipe(Settings):
    """What is learned, but for the method and the seed.

    The budget is `steps`, or what is set of `tokens`, `epochs` and `minutes`; `budget` is a factor on it.
    `kept_weights` says what a finished model has: its last weights, or their moving average.
    `source_noise` is the standard deviation of noise on the logits that are learned from.
    `sources` are those of the corpus that are trained on, all of them unless they are given; `training_share` is how
    much of their text there is: epochs are of that part.
    """

    teacher: ModelParameters
    student: ModelParameters
    steps: Annotated[int, Field(ge=0)]
    tokens: PositiveInteger | None = None
    epochs: PositiveNumber | None = None
    minutes: PositiveNumber | None = None
    budget: Annotated[float, Field(ge=0.0)] = 1.0
    matched_operations: bool = False
    training_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    sources: Annotated[Names, Field(min_length=1)] | None = None
    batch_size: PositiveInteger
    masking_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    temperature: PositiveNumber
    label_smoothing: Share = 0.0
    source_noise: Annotated[float, Field(ge=0.0)] = 0.0
    soft_weights: SoftWeightsParameters = SoftWeightsParameters()
    kept_weights: Literal["last", "average"] = "last"
    moving_average_decay: Share = 0.99
    warmup_share: Share
    optimiser: OptimiserParameters

    @model_validator(mode="after")
    def _has_one_budget(self) -> "Recipe":
        chosen = [name for name in BUDGETS[1:] if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} are both set: set one of them to null")
        return self

    @property
    def kept_average_decay(self) -> float | None:
        """The decay of the average that is kept; None where the last weights are."""
        return self.moving_average_decay if self.kept_weights == "average" else None


class PretrainingParameters(Recipe):
    """The settings of one training; shapes are in full widths."""

    seed: int

    @field_validator("teacher", "student")
    @classmethod
    def _has_its_width(cls, shape: ModelParameters) -> ModelParameters:
        return shape.scaled()


class SharedPretraining(Recipe):
    """The section `pretraining`: what all variants share, and the seeds that each is trained with."""

    seeds: Annotated[list[int], Listed, Field(min_length=1)]

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("one seed stands there twice: give every seed once")
        return seeds


class VariantParameters(BaseModel):
    """One variant: a method, and where it differs from the method and from the sections of the parameters.

    `weights` differ from the method's, `terms` come on top of it.
    `corpus` names what it is trained on, `finetuning` differs from the section `finetuning`. Every other name is one of
    `Recipe`; a mapping changes a part of it: `student: {layers: 3}`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    method: str
    weights: dict[WeightName, Annotated[float, Field(ge=0.0)]] = {}
    terms: tuple[Term, ...] = ()
    corpus: str | None = None
    finetuning: dict[str, Any] = {}

    def settings(self, shared: SharedPretraining, seed: int) -> PretrainingParameters:
        """What all variants share, with this variant's differences, for one seed.

        Raises:
            ValidationError: for a difference that `Recipe` does not know or allow.
        """
        differences = self.model_extra or {}
        values = shared.model_dump(exclude={"seeds"})
        if any(name in differences for name in BUDGETS):
            values |= dict.fromkeys(BUDGETS[1:])
        recipe = Recipe.model_validate(deep_merge(values, differences))  # which knows no seed: those are shared
        return PretrainingParameters(**recipe.model_dump(), seed=seed)
