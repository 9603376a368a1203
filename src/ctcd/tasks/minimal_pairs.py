"""Sets of minimal pairs: two sentences that differ in one point, of which a model should find the first more likely.

A table of pairs has the columns set, phenomenon, paradigm, pair, sentence_good and sentence_bad.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ctcd.engine.randomness import seed_from
from ctcd.errors import InputError, first_line
from ctcd.lineage.settings import HUB
from ctcd.tasks.settings import HELDOUT_TEXT, WHOLE, MinimalPairsParameters

SENTENCES = ["sentence_good", "sentence_bad"]
COLUMNS = ["set", "phenomenon", "paradigm", "pair", *SENTENCES]
ENDINGS = (".parquet", ".csv", ".jsonl", ".json")


@dataclass(frozen=True)
class PairFolder:
    """A folder with a file for each set, which need not exist until a set is read.

    Attributes:
        folder: `<set>.parquet`, `.csv`, or JSON lines as `.jsonl` or `.json`.
    """

    folder: Path

    def read(self, name: str) -> pd.DataFrame:
        """Read a set.

        Args:
            name: a file's stem in this folder, a file's path, or `hub:owner/name`.

        Raises:
            InputError: if there is no such set, or its table is no table of pairs, or that of what others published
                cannot be used.
        """
        if name.startswith(HUB):
            return _checked(_read_hub(name.removeprefix(HUB)), name.removeprefix(HUB), f"'{name}'")
        file = self._find(name)
        if file.stem == WHOLE:
            raise InputError(f"'{file}' is called as the mean over all sets: rename it.")
        self.published_accuracy(file.stem)  # the report reads it, when all is trained
        return _checked(_read_file(file), file.stem, f"'{file}'")

    def has(self, name: str) -> bool:
        """Whether the folder has a file of that set."""
        return any((self.folder / f"{name}{ending}").is_file() for ending in ENDINGS)

    def published_accuracy(self, name: str) -> pd.DataFrame | None:
        """What others report of a set, where `<set>_published_accuracy.csv` is there.

        Returns:
            paradigm, and for each model a column of accuracies from 0 to 1.

        Raises:
            InputError: if the file is no such table.
        """
        file = self.folder / f"{name}_published_accuracy.csv"
        if not file.is_file():
            return None
        table = _read_file(file)
        if "paradigm" not in table:
            raise InputError(f"'{file}' has no column paradigm: add it.")
        written = table.drop(columns=["paradigm", "phenomenon"], errors="ignore")
        accuracies = written.apply(pd.to_numeric, errors="coerce")
        if ((written != "") & ~((accuracies >= 0) & (accuracies <= 1))).to_numpy().any():
            raise InputError(f"'{file}' has an accuracy that is no number from 0 to 1: correct it.")
        return accuracies.assign(paradigm=table["paradigm"])

    def _find(self, name: str) -> Path:
        path = Path(name).expanduser()
        if path.suffix in ENDINGS and path.is_file():
            return path
        for ending in ENDINGS:
            if (file := self.folder / f"{name}{ending}").is_file():
                return file
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        there = ", ".join(sorted(file.stem for file in files if self._is_set(file))) or "none"
        raise InputError(
            f"There is no set of minimal pairs '{name}' in '{self.folder}' (there is {there}): say with --params "
            f"data_root=<folder> where minimal_pairs/ lies, or take '{name}' out of minimal_pairs.sets."
        )

    def _is_set(self, file: Path) -> bool:
        return file.suffix in ENDINGS and not file.stem.endswith("_published_accuracy")


def read_sets(settings: MinimalPairsParameters, made: PairFolder, given: PairFolder) -> dict[str, pd.DataFrame]:
    """Read the chosen sets, or a sample of each.

    Args:
        settings: which sets, and how many pairs of each paradigm.
        made: has `heldout_text`.
        given: has all others.

    Returns:
        Pairs by set, in the order of the settings.

    Raises:
        InputError: as `PairFolder.read`; if two sets have one name.
    """
    sets: dict[str, pd.DataFrame] = {}
    for name in settings.sets:
        pairs = (made if name == HELDOUT_TEXT else given).read(name)
        title = str(pairs["set"].iloc[0])
        if title in sets:
            raise InputError(f"minimal_pairs.sets names two sets '{title}': rename a file, or leave one out.")
        sets[title] = sample_pairs(pairs, settings.pairs_per_paradigm, settings.seed)
    return sets


def sample_pairs(pairs: pd.DataFrame, per_paradigm: int | None, seed: int) -> pd.DataFrame:
    """Draw so many pairs of each paradigm, or all it has, in their order; None draws all."""
    if per_paradigm is None:
        return pairs
    chosen: list[int] = []
    for (name, paradigm), rows in pairs.groupby(["set", "paradigm"], sort=False):
        random = np.random.default_rng(seed_from(seed, str(name), str(paradigm)))
        drawn = random.permutation(len(rows))[:per_paradigm]
        chosen += rows.index[np.sort(drawn)].tolist()
    return pairs.loc[chosen].reset_index(drop=True)


def _checked(table: pd.DataFrame, name: str, place: str) -> pd.DataFrame:
    """The columns of a table of pairs; a set without paradigms is one paradigm, without phenomena each is its own."""
    missing = [column for column in SENTENCES if column not in table]
    if missing:
        raise InputError(
            f"{place} has the columns {', '.join(map(str, table.columns))}; minimal pairs need "
            f"{' and '.join(SENTENCES)}: rename or add {' and '.join(missing)}."
        )
    if table.empty:
        raise InputError(f"{place} holds no pairs: give it some.")
    texts = table[SENTENCES]
    is_text = texts.map(lambda text: isinstance(text, str) and bool(text.strip()))
    if not is_text.to_numpy().all():
        row = int((~is_text).any(axis=1).to_numpy().argmax())
        raise InputError(f"{place} has a pair without two sentences (row {row + 1}): fill or remove it.")
    table = table.reset_index(drop=True)
    paradigm = table["paradigm"].astype(str) if "paradigm" in table else pd.Series(name, index=table.index)
    phenomenon = table["phenomenon"].astype(str) if "phenomenon" in table else paradigm
    pair = table.groupby(paradigm.to_numpy()).cumcount()
    return table.assign(set=name, phenomenon=phenomenon, paradigm=paradigm, pair=pair)[COLUMNS]


def _read_file(file: Path) -> pd.DataFrame:
    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        if file.suffix == ".csv":
            # The word "null" is a word.
            return pd.read_csv(file, dtype=str, keep_default_na=False)
        return pd.read_json(file, lines=True, dtype=False, convert_dates=False)
    except (OSError, ValueError) as error:  # the readers' own errors are such
        raise InputError(f"'{file}' cannot be read ({first_line(error)}): replace it.") from error


def _read_hub(name: str) -> pd.DataFrame:
    """A data set of the hub; where it has configurations, as BLiMP has, each is a paradigm."""
    import datasets

    try:
        configurations: Sequence[str] = datasets.get_dataset_config_names(name)
        tables = [_joined_splits(datasets.load_dataset(name, each), each) for each in configurations]
    except Exception as error:  # network, name, configuration: the libraries have many kinds
        raise InputError(
            f"The minimal pairs '{HUB}{name}' cannot be loaded ({first_line(error)}): check the name and the network, "
            "or give a local file."
        ) from error
    return pd.concat(tables, ignore_index=True)


def _joined_splits(splits: Any, configuration: str) -> pd.DataFrame:
    table = pd.concat([split.to_pandas() for split in splits.values()], ignore_index=True)
    if "paradigm" in table:
        return table
    named = {"linguistics_term": "phenomenon"}  # BLiMP's name for it
    return table.rename(columns=named).assign(paradigm=configuration)
