"""The project's settings, as its configuration files have them."""

from pathlib import Path
from typing import Any

import yaml

from ctcd.engine.settings import ExecutionParameters

CONFIGURATION = Path(__file__).parents[1] / "conf"
BASE = "base"


def read_configuration(group: str, environment: str = BASE) -> dict[str, Any]:
    """A group of settings of the default configuration, with what an environment changes."""
    text = (CONFIGURATION / BASE / f"parameters_{group}.yml").read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)[group]
    if environment == BASE:
        return settings
    changes = yaml.safe_load((CONFIGURATION / environment / "parameters.yml").read_text(encoding="utf-8"))
    return merged(settings, changes.get(group, {}))


def execution_parameters(environment: str = BASE, **changes: Any) -> ExecutionParameters:
    """How things are run, but for some changes."""
    return ExecutionParameters(**read_configuration("execution", environment) | changes)


def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with some changed; an empty mapping replaces, anything else is merged."""
    result = dict(settings)
    for name, value in changes.items():
        nested = isinstance(value, dict) and value and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if nested else value
    return result
