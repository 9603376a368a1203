"""Whether finished models are those of the present settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from ctcd.errors import InputError
from ctcd.pretraining.plan import PlannedRun, first_difference

Record = Mapping[str, Any]


def check_records(variant: str, records: Sequence[Record], planned: Sequence[PlannedRun]) -> None:
    """Refuse models of a variant that the present settings would not train.

    Args:
        variant: its name.
        records: of the runs that its models are from.
        planned: the runs that the present settings want.

    Raises:
        InputError: naming the first difference.
    """
    seeds, wanted_seeds = ({_seed(identity) for identity in each} for each in _identities(records, planned))
    if seeds != wanted_seeds:
        raise InputError(
            f"The models of '{variant}' have the seeds {_listed(seeds)} and this run has {_listed(wanted_seeds)}: run "
            f"a study with '{variant}', or give --params pretraining.seeds={'+'.join(map(str, sorted(seeds)))}."
        )
    by_part = {(_seed(record["identity"]), tuple(record["roles"])): record["identity"] for record in records}
    for plan in planned:
        found = by_part.get((plan.settings.seed, plan.method.trained))
        if found is None:
            raise InputError(f"The models of '{variant}' were trained with another method: run a study with it again.")
        wanted = plan.identity
        if str(found["source"]).startswith("given/"):
            wanted |= {"source": found["source"]}
        if difference := _first_difference(found, wanted):
            raise InputError(_sentence(variant, *difference))


def _first_difference(found: Record, wanted: Record) -> tuple[str, Any, Any] | None:
    """The first one, that of what models start from before all others: it decides their shapes."""
    starts = [{name: value for name, value in each.items() if ".initial." in name} for each in (found, wanted)]
    return first_difference(*starts) or first_difference(found, wanted)


def check_scores(variant: str, records: Sequence[Record], runs: Sequence[str], table: str = "scores") -> None:
    """Refuse scores of other models.

    Args:
        variant: its name.
        records: of the runs that its models are from.
        runs: that its scores are of.
        table: what the scores are called.

    Raises:
        InputError: if they are not the same.
    """
    if {record["run"] for record in records} != set(runs):
        raise InputError(f"The {table} of '{variant}' are of other models than its present ones: run a study with it.")


def _identities(records: Sequence[Record], planned: Sequence[PlannedRun]) -> tuple[list[Record], list[Record]]:
    return [record["identity"] for record in records], [plan.identity for plan in planned]


def _seed(identity: Record) -> int:
    return int(identity["seed"])


def _listed(seeds: set[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _sentence(variant: str, name: str, found: Any, wanted: Any) -> str:
    start = f"The models of '{variant}' were trained"
    if name == "data":
        return f"{start} on another corpus ({found}) than the present one ({wanted}): run a study with '{variant}'."
    if name == "source":
        return f"{start} by another frozen model than the present one: run a study with '{variant}'."
    if name == "version":
        return f"{start} by version {found} of the training, this is version {wanted}: run a study with '{variant}'."
    if ".initial." in name:
        return f"{start} from other first weights than at present: run a study with '{variant}'."
    if name.startswith("method.weights."):
        setting = f"variants.{variant}.weights.{name.removeprefix('method.weights.')}"
    elif name.startswith("method."):
        return f"{start} with another method: run a study with '{variant}'."
    else:
        setting = f"pretraining.{name}"
    return (
        f"{start} with {setting} = {found} and this run has {wanted}: run a study with '{variant}', or give --params "
        f"{setting}={found}."
    )
