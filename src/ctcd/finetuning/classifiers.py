"""Fine-tuned models that are kept: Hugging Face folders that anybody can load."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ctcd.errors import InputError
from ctcd.modeling.trained_models import link_folder

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

    from ctcd.finetuning.encoding import TokenizedTask
    from ctcd.modeling.model_folder import ModelFolder

TABLE = "classifiers.csv"
COLUMNS = ["pretraining_seed", "role", "run", "task", "folder"]


@dataclass(frozen=True)
class Classifier:
    """A model that is fine-tuned on a task, by the first fine-tuning seed.

    Attributes:
        task: its name.
        folder: a Hugging Face folder.
        pretraining_seed: of the training of the model; None for a model that somebody gives.
        role: teacher or student; empty for a model that somebody gives.
        run: identity of the training of the model; empty for a model that somebody gives.
    """

    task: str
    folder: Path
    pretraining_seed: int | None = None
    role: str = ""
    run: str = ""

    @property
    def name(self) -> str:
        """What its folder is called among the others."""
        return f"{self.role}-seed-{self.pretraining_seed}-{self.task}" if self.role else self.task


@dataclass(frozen=True)
class Classifiers:
    """Kept classifiers, in the order in which they were fine-tuned."""

    classifiers: tuple[Classifier, ...]

    def __iter__(self) -> Iterator[Classifier]:
        """Every classifier."""
        return iter(self.classifiers)

    def find(self, task: str, role: str = "", pretraining_seed: int | None = None) -> Classifier:
        """The classifier of a task, and of a role and seed; of the first that fits where they are not given.

        Raises:
            InputError: if there is none.
        """
        for each in self.classifiers:
            if each.task == task and role in ("", each.role) and pretraining_seed in (None, each.pretraining_seed):
                return each
        known = ", ".join(each.name for each in self.classifiers) or "none at all"
        raise InputError(
            f"No such classifier of the task '{task}' was kept (there is {known}): name it in finetuning.keep_models."
        )

    def save(self, folder: Path) -> None:
        """Fill a folder with the table of the classifiers and all of their files, as links where that is possible."""
        for each in self.classifiers:
            link_folder(each.folder, folder / each.name)
        rows = [asdict(replace(each, folder=Path(each.name))) for each in self.classifiers]
        pd.DataFrame(rows, columns=COLUMNS, dtype=object).to_csv(folder / TABLE, index=False)

    @classmethod
    def load(cls, folder: Path) -> "Classifiers":
        """Open a folder that `save` filled."""
        with (folder / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        seeds = [int(row["pretraining_seed"]) if row["pretraining_seed"] else None for row in rows]
        return cls(
            tuple(
                Classifier(row["task"], folder / row["folder"], seed, row["role"], row["run"])
                for row, seed in zip(rows, seeds, strict=True)
            )
        )


def write_classifier(
    folder: Path,
    model: "ModelFolder",
    tokenized: "TokenizedTask",
    configuration: "PretrainedConfig",
    weights: Mapping[str, "Tensor"],
) -> None:
    """Write a Hugging Face folder that `transformers.pipeline` reads as it is; whole or not at all.

    Args:
        folder: where.
        model: that was fine-tuned, for its tokenizer.
        tokenized: the task, for the names of its labels.
        configuration: of the fine-tuned network.
        weights: all of its weights by name, in any number format.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from ctcd.lineage.files import atomic_folder

    names = tokenized.label_names
    configuration.id2label = dict(enumerate(names))
    configuration.label2id = {name: number for number, name in enumerate(names)}
    configuration.problem_type = "regression" if tokenized.task.regression else "single_label_classification"
    network = AutoModelForSequenceClassification.from_config(configuration, dtype=torch.float32)
    network.load_state_dict({name: weight.float().cpu().clone() for name, weight in weights.items()})
    tokenizer = model.tokenizer()
    tokenizer.model_max_length = tokenized.maximum_length
    with atomic_folder(folder) as partial:
        network.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
