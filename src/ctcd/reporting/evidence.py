"""What studies came out with, kept as small tables and written as pages: an index, and a page for each study.

A folder `<scale>/<study>` holds `measurements.csv` and `study.json`. Seeds that were trained at another time join them,
if all settings are the same.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ctcd.errors import InputError
from ctcd.lineage.files import atomic_file
from ctcd.reporting.bootstrap import COLUMNS as BOOTSTRAP_COLUMNS
from ctcd.reporting.claims import check_claims
from ctcd.studies.study import Claim

MEASUREMENTS, FACTS = "measurements.csv", "study.json"
KEY = ["model", "pretraining_seed", "measure", "part"]
SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Evidence:
    """What one study measured at one scale.

    Attributes:
        study: its name.
        scale: the environment that it ran in.
        question: of the study.
        claims: that it tests.
        measurements: as `collect_measurements` makes it.
        settings: that all trainings share.
        differences: settings by name and by training, where trainings differ.
        facts: what the trainings were made by: commits, devices, packages, corpora.
        command: that repeats it.
    """

    study: str
    scale: str
    question: str
    claims: tuple[Claim, ...]
    measurements: pd.DataFrame
    settings: Mapping[str, Any]
    differences: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Sequence[str]]
    command: str

    @property
    def seeds(self) -> int:
        """How many pre-training seeds there are."""
        return int(self.measurements["pretraining_seed"].nunique())

    def checked_claims(self, confidence: float = 0.95) -> pd.DataFrame:
        """The claims with their verdicts, as `check_claims` makes them; intervals of scores are over seeds alone."""
        return check_claims(self.claims, self.measurements, pd.DataFrame(columns=BOOTSTRAP_COLUMNS), confidence)

    def joined(self, other: "Evidence") -> "Evidence":
        """These seeds and those of another time.

        Raises:
            InputError: if other settings made them.
        """
        for kind in ("settings", "differences"):
            own, others = getattr(self, kind), getattr(other, kind)
            for name in sorted(own.keys() | others.keys()):
                if own.get(name) != others.get(name):
                    raise InputError(
                        f"The seeds of '{self.study}' that are kept were trained with {name} = {own.get(name)}, the "
                        f"new ones with {others.get(name)}: remove '{self.scale}/{self.study}' to keep the new ones."
                    )
        table = pd.concat([other.measurements, self.measurements]).drop_duplicates(KEY)
        facts = {
            name: list(dict.fromkeys([*self.facts.get(name, []), *other.facts.get(name, [])]))
            for name in {**self.facts, **other.facts}
        }
        return Evidence(**{**vars(other), "measurements": _ordered(table), "facts": facts})

    def save(self, folder: Path) -> None:
        """Write both files into `<folder>/<scale>/<study>`."""
        target = folder / self.scale / self.study
        target.mkdir(parents=True, exist_ok=True)
        table = _ordered(self.measurements)
        with atomic_file(target / MEASUREMENTS) as file:
            table.to_csv(file, index=False, float_format=f"%.{SIGNIFICANT_DIGITS}g")
        values = {name: value for name, value in vars(self).items() if name != "measurements"}
        values["claims"] = [claim.model_dump(exclude_defaults=True) for claim in self.claims]
        with atomic_file(target / FACTS) as file:
            file.write(json.dumps(values, indent=1, ensure_ascii=False).encode() + b"\n")

    @classmethod
    def load(cls, folder: Path) -> "Evidence":
        """Read what `save` wrote into a folder of its own."""
        values = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        values["claims"] = tuple(Claim(**claim) for claim in values["claims"])
        return cls(**values, measurements=pd.read_csv(folder / MEASUREMENTS))


def load_all(folder: Path) -> list[Evidence]:
    """Everything that is kept in a folder, by scale and study."""
    return [Evidence.load(path.parent) for path in sorted(folder.glob(f"*/*/{FACTS}"))]


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(KEY, kind="stable", ignore_index=True)
