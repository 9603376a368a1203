"""The finished models of a variant: one for each pre-training seed and role."""

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from ctcd.errors import InputError
from ctcd.modeling.pretrained import PretrainedModel

TABLE = "models.csv"


@dataclass(frozen=True)
class TrainedModel:
    """One model.

    Attributes:
        pretraining_seed: of its training.
        role: teacher or student.
        run: identity of its training.
        folder: a Hugging Face folder.
    """

    pretraining_seed: int
    role: str
    run: str
    folder: Path

    @property
    def name(self) -> str:
        """What its folder is called among the variant's models."""
        return f"{self.role}-seed-{self.pretraining_seed}"

    def load(self) -> PretrainedModel:
        """The model, its tokenizer and its card."""
        return PretrainedModel.load(self.folder)


@dataclass(frozen=True)
class TrainedModels:
    """A variant's models, in the order of seeds and roles."""

    models: tuple[TrainedModel, ...]

    def __iter__(self) -> Iterator[TrainedModel]:
        """Every model."""
        return iter(self.models)

    def find(self, role: str, pretraining_seed: int | None = None) -> TrainedModel:
        """The model of a role and seed; of the first seed unless one is given.

        Raises:
            InputError: if there is none.
        """
        for model in self.models:
            if model.role == role and pretraining_seed in (None, model.pretraining_seed):
                return model
        known = ", ".join(model.name for model in self.models)
        raise InputError(f"There is no {role} of seed {pretraining_seed}: choose from {known}.")

    def save(self, folder: Path) -> None:
        """Fill a folder with the table of the models and all of their files, as links where that is possible."""
        for model in self.models:
            link_folder(model.folder, folder / model.name)
        rows = [asdict(replace(model, folder=Path(model.name))) for model in self.models]
        pd.DataFrame(rows).to_csv(folder / TABLE, index=False)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModels":
        """Open a folder that `save` filled."""
        with (folder / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return cls(
            tuple(
                TrainedModel(int(row["pretraining_seed"]), row["role"], row["run"], folder / row["folder"])
                for row in rows
            )
        )


def link_folder(source: Path, target: Path) -> None:
    """Copy a folder that nobody changes, as hard links where that is possible."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
