"""Settings of a model."""

from math import gcd
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from ctcd.lineage.settings import PositiveInteger, PositiveShare, Settings, Share, known_in
from ctcd.modeling.families import FAMILIES


class ModelParameters(Settings):
    """A model's shape; `options` that are not null go to its Hugging Face configuration as they are.

    `width_share` is a factor on `width` and `feed_forward`: so a variant says half as wide at every scale.
    """

    architecture: Annotated[str, AfterValidator(known_in("architecture", FAMILIES))]
    layers: PositiveInteger
    width: PositiveInteger
    heads: PositiveInteger
    feed_forward: PositiveInteger
    width_share: PositiveShare = 1.0
    dropout: Share = 0.0
    options: dict[str, Any] = {}

    def __hash__(self) -> int:
        """Equal shapes are counted once."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParameters":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if not (self.width * self.width_share).is_integer():
            raise ValueError(f"width {self.width} times width_share {self.width_share} is no whole number")
        return self

    def scaled(self) -> "ModelParameters":
        """The shape with `width_share` carried out; as many heads as before, or as divide the width."""
        width, feed_forward = round(self.width * self.width_share), max(1, round(self.feed_forward * self.width_share))
        changes = {"width": width, "heads": gcd(self.heads, width), "feed_forward": feed_forward, "width_share": 1.0}
        return self.model_copy(update=changes)
