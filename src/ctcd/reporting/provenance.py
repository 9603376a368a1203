"""What made the models of a report, read from the records of their trainings."""

from collections.abc import Mapping, Sequence
from typing import Any

from ctcd.reporting.tables import model_name

Record = Mapping[str, Any]


def describe_runs(records: Sequence[Record]) -> dict[str, Any]:
    """Describe the trainings behind a report for a reader who wants to repeat it.

    Args:
        records: one for each training.

    Returns:
        runs (their number), facts (name -> the different values that the trainings have), settings (name -> the value
        that all have), differences (name -> label of the training -> value, where they differ). A model of one of
        these trainings, which another one learns or starts from, has its name, the same for every seed.
    """
    identities = _with_model_names(records)
    names = sorted({name for identity in identities for name in identity} - {"seed"})
    settings, differences = {}, {}
    for name in names:
        having = [
            (record, identity[name]) for record, identity in zip(records, identities, strict=True) if name in identity
        ]
        if len({repr(value) for _, value in having}) == 1:
            settings[name] = having[0][1]
        else:
            differences[name] = _by_training(having)
    return {"runs": len(records), "facts": _facts(records), "settings": settings, "differences": differences}


def _with_model_names(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The identity of each training, in which models of the others have their names."""
    names: dict[str, str] = {}
    for record in records:
        for role in record["roles"]:
            names.setdefault(f"{record['run']}/{role}", model_name(record["variant"], role))
    return [{name: names.get(str(value), value) for name, value in record["identity"].items()} for record in records]


def _by_training(values: Sequence[tuple[Record, Any]]) -> dict[str, Any]:
    """The values of a setting by the label of the training, and by seed only where its seeds differ."""
    by_label: dict[str, dict[int, Any]] = {}
    for record, value in values:
        by_label.setdefault(_label(record), {})[record["pretraining_seed"]] = value
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
    roles = record["roles"]
    return model_name(record["variant"], roles[0] if len(roles) == 1 else "")


def _commit(made_by: Mapping[str, Any]) -> str:
    changes = " with uncommitted changes" if made_by.get("is_modified") else ""
    return f"{made_by['commit']}{changes}" if "commit" in made_by else ""


def _device(made_by: Mapping[str, Any]) -> str:
    return made_by["processor"] if made_by["device"] == "cpu" else made_by["device"]


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
