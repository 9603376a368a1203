"""Settings of a model."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from ctcd.lineage.settings import Listed, PositiveInteger, PositiveShare, Settings, Share, known_in
from ctcd.modeling.families import FAMILIES

Architecture = Annotated[str, AfterValidator(known_in("architecture", FAMILIES))]
EVEN = "even"


class InitialLayers(Settings):
    """Some layers of a model to start from, with its embeddings and its output layer (Sanh et al. 2019, DistilBERT).

    `layers` are their numbers from 0, or `even`: as many as the model that is trained is to have, evenly spread.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    source: str = Field(alias="from")
    layers: Literal["even"] | Annotated[list[Annotated[int, Field(ge=0)]], Listed, Field(min_length=1)]

    @field_validator("layers")
    @classmethod
    def _ascend(cls, layers: str | list[int]) -> str | list[int]:
        if isinstance(layers, list) and layers != sorted(set(layers)):
            raise ValueError("layers do not ascend: give every number once, the lowest one first")
        return layers


class ModelParameters(Settings):
    """A model's shape, and what it starts from.

    `width_share` is a factor on `width` and `feed_forward`: so a variant says half as wide at every scale.

    `options` go to its Hugging Face configuration as they are: those of its architecture, where they are not null.
    With `initial` it has the shape of the model that it starts from, and `dropout` alone is its own.
    """

    architecture: Architecture
    layers: PositiveInteger
    width: PositiveInteger
    heads: PositiveInteger
    feed_forward: PositiveInteger
    width_share: PositiveShare = 1.0
    dropout: Share = 0.0
    options: dict[Architecture, dict[str, Any]] = {}
    initial: str | InitialLayers | None = None

    def __hash__(self) -> int:
        """Equal shapes are counted once."""
        return hash(self.model_dump_json())

    @property
    def own_options(self) -> dict[str, Any]:
        """The options of its architecture; a file cannot remove a name that another one sets, but set it to null."""
        own = self.options.get(self.architecture, {})
        return {name: value for name, value in own.items() if value is not None}

    @property
    def starts_from(self) -> str | None:
        """Name the model that it starts from; None for random weights."""
        return self.initial.source if isinstance(self.initial, InitialLayers) else self.initial

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParameters":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    def scaled(self) -> "ModelParameters":
        """The shape with `width_share` carried out: as many heads as before, of the nearest even width."""
        if self.width_share == 1:
            return self
        head = max(1, round(self.width / self.heads * self.width_share / 2)) * 2  # rotary positions want pairs
        feed_forward = max(1, round(self.feed_forward * self.width_share))
        changes = {"width": self.heads * head, "feed_forward": feed_forward, "width_share": 1.0}
        return self.model_copy(update=changes)
