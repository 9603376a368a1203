"""Settings of a model."""

from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from ctcd.lineage.settings import PositiveInteger, Settings, Share, known_in
from ctcd.modeling.families import FAMILIES


class ModelParameters(Settings):
    """A model's shape; `options` that are not null go to its Hugging Face configuration as they are."""

    architecture: Annotated[str, AfterValidator(known_in("architecture", FAMILIES))]
    layers: PositiveInteger
    width: PositiveInteger
    heads: PositiveInteger
    feed_forward: PositiveInteger
    dropout: Share = 0.0
    options: dict[str, Any] = {}

    def __hash__(self) -> int:
        """Equal shapes are counted once."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParameters":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
