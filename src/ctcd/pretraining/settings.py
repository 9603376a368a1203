"""Settings of a pre-training."""

from typing import Annotated

from pydantic import Field, model_validator

from ctcd.distillation.methods import WeightName
from ctcd.engine.settings import OptimiserParameters
from ctcd.lineage.settings import PositiveInteger, PositiveNumber, Settings, Share
from ctcd.modeling.settings import ModelParameters


class SoftWeightsParameters(Settings):
    """How the method's soft weights change: from 0 in the warm-up, then linearly to `final_factor` times themselves."""

    warmup_share: Share = 0.0
    final_factor: Annotated[float, Field(ge=0.0)] = 1.0


class PretrainingParameters(Settings):
    """What all variants of a study share.

    The budget is `steps`, or what is set of `tokens`, `epochs` and `minutes`.
    """

    teacher: ModelParameters
    student: ModelParameters
    steps: Annotated[int, Field(ge=0)]
    tokens: PositiveInteger | None = None
    epochs: PositiveNumber | None = None
    minutes: PositiveNumber | None = None
    matched_operations: bool = False
    batch_size: PositiveInteger
    masking_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    temperature: PositiveNumber
    label_smoothing: Share = 0.0
    soft_weights: SoftWeightsParameters = SoftWeightsParameters()
    moving_average_decay: Share = 0.99
    warmup_share: Share
    optimiser: OptimiserParameters
    seed: int

    @model_validator(mode="after")
    def _has_one_budget(self) -> "PretrainingParameters":
        chosen = [name for name in ("tokens", "epochs", "minutes") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} are both set: set one of them to null")
        return self


class VariantParameters(Settings):
    """One variant: a method, and where it differs from the method's weights and from what all variants share."""

    method: str
    weights: dict[WeightName, Annotated[float, Field(ge=0.0)]] = {}
    teacher: ModelParameters | None = None
    student: ModelParameters | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    matched_operations: bool | None = None
    temperature: PositiveNumber | None = None
    label_smoothing: Share | None = None
    soft_weights: SoftWeightsParameters | None = None
    seed: int | None = None

    def applied_to(self, shared: PretrainingParameters) -> PretrainingParameters:
        """What all variants share, with this variant's differences."""
        own = ("method", "weights")
        differences = {name: value for name, value in self if name not in own and value is not None}
        if self.steps is not None:
            differences |= {"tokens": None, "epochs": None, "minutes": None}
        return shared.model_copy(update=differences)
