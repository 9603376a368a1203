"""What made the models of a report, read from the records of their trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def describe_runs(records: Sequence[Record]) -> dict[str, Any]:
    """Describe the trainings behind a report for a reader who wants to repeat it.

    Args:
        records: one for each training.

    Returns:
        runs (their number), facts (name -> the different values that the trainings have), settings (name -> the value
        that all have), differences (name -> label of the training -> value, where they differ).
    """
    names = sorted({name for record in records for name in record["identity"]} - {"seed"})
    settings, differences = {}, {}
    for name in names:
        having = [record for record in records if name in record["identity"]]
        values = [record["identity"][name] for record in having]
        if len({repr(value) for value in values}) == 1:
            settings[name] = values[0]
        else:
            differences[name] = _by_training(having, name)
    return {"runs": len(records), "facts": _facts(records), "settings": settings, "differences": differences}


def _by_training(records: Sequence[Record], name: str) -> dict[str, Any]:
    """The values of a setting by the label of the training, and by seed only where its seeds differ."""
    by_label: dict[str, dict[int, Any]] = {}
    for record in records:
        by_label.setdefault(_label(record), {})[record["pretraining_seed"]] = record["identity"][name]
    result = {}
    for label, by_seed in by_label.items():
        if len({repr(value) for value in by_seed.values()}) == 1:
            result[label] = next(iter(by_seed.values()))
        else:
            result |= {f"{label}, seed {seed}": value for seed, value in by_seed.items()}
    return result


def _facts(records: Sequence[Record]) -> dict[str, list[str]]:
    """What each training was made by, every different value once."""
    facts: dict[str, list[str]] = {
        "Commit": [_commit(record["made_by"]) for record in records],
        "Device": [_device(record["made_by"]) for record in records],
        "Precision": [record["made_by"]["precision"] for record in records],
        "System": [record["made_by"]["platform"] for record in records],
        "Python": [record["made_by"]["python"] for record in records],
        "Packages": [_packages(record["made_by"]["versions"]) for record in records],
        "Corpus": [f"{record['data']['source']} ({record['data']['fingerprint']})" for record in records],
        "Pre-training seeds": [str(record["pretraining_seed"]) for record in records],
        "Started": sorted(record["made_by"]["started"] for record in records),
    }
    started = facts["Started"]
    facts["Started"] = [started[0], f"to {started[-1]}"] if started[0] != started[-1] else started[:1]
    return {name: [value for value in dict.fromkeys(values) if value] for name, values in facts.items()}


def _label(record: Record) -> str:
    role = f" {record['roles'][0]}" if len(record["roles"]) == 1 else ""
    return f"{record['variant']}{role}"


def _commit(made_by: Mapping[str, Any]) -> str:
    changes = " with uncommitted changes" if made_by.get("is_modified") else ""
    return f"{made_by['commit']}{changes}" if "commit" in made_by else ""


def _device(made_by: Mapping[str, Any]) -> str:
    return made_by["processor"] if made_by["device"] == "cpu" else made_by["device"]


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
