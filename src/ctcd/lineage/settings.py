"""What settings are made of."""

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Before the name of a data set on the hub, where a folder could stand as well.
HUB = "hub:"

Share = Annotated[float, Field(ge=0.0, lt=1.0)]

PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]

PositiveInteger = Annotated[int, Field(ge=1)]

PositiveNumber = Annotated[float, Field(gt=0.0)]


def _listed(value: Any) -> Any:
    """Read `a+b`, or a single number, as a list: `--params` of Kedro's command line knows none."""
    if isinstance(value, str):
        return value.split("+")
    return [value] if isinstance(value, int | float) else value


Listed = BeforeValidator(_listed)

Names = Annotated[list[str], Listed]


def known_in(kind: str, names: Collection[str]) -> Callable[[str], str]:
    """A check that a setting names something that there is.

    Args:
        kind: what the names are of, for the message.
        names: those that are known.
    """

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"there is no {kind} '{name}': choose from {', '.join(sorted(names))}")
        return name

    return check


class Settings(BaseModel):
    """A group of settings: unknown names are refused and values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def deep_merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Copy `values` with `changes`; a mapping in both is merged in turn."""
    merged = dict(values)
    for name, change in changes.items():
        known = merged.get(name)
        both = isinstance(known, Mapping) and isinstance(change, Mapping)
        merged[name] = deep_merge(known, change) if both else change  # type: ignore[arg-type]
    return merged
