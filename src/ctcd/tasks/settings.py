"""Settings of tasks that do not come with the project."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from ctcd.lineage.settings import Names, PositiveInteger, Settings

# The set of minimal pairs that the corpus pipeline makes.
HELDOUT_TEXT = "heldout_text"

# What the column of labels is called unless a task says otherwise, and in all checked tables.
LABEL = "label"

PerturbationName = Literal["typos", "dropped_words", "casing"]
# What measurements call the validation split itself, and the mean over all parts (`ctcd.reporting.measures.WHOLE`).
UNCHANGED, WHOLE = "unchanged", "all"
FilePlace = Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]  # <task>/<split>


class ExtraTaskParameters(Settings):
    """A task beyond the suites that come with the project; its folder has its name.

    A classification task has as many classes as its files have labels, which may be text.
    """

    text_columns: Annotated[Names, Field(min_length=1, max_length=2)]
    metrics: Annotated[Names, Field(min_length=1)]
    regression: bool = False
    validation_splits: Annotated[Names, Field(min_length=1)] = ["validation"]
    label_column: str = LABEL
    further_splits: dict[str, FilePlace] = {}

    @model_validator(mode="after")
    def _splits_differ(self) -> "ExtraTaskParameters":
        others = {"train", *self.validation_splits, UNCHANGED, WHOLE, *get_args(PerturbationName)}
        if taken := others & self.further_splits.keys():
            raise ValueError(f"the further split '{min(taken)}' needs a name of its own: rename it")
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> "ExtraTaskParameters":
        if taken := {LABEL, self.label_column} & {*self.text_columns}:
            raise ValueError(f"the column '{min(taken)}' holds labels and no text: rename it in the files")
        return self

    @model_validator(mode="after")
    def _metrics_fit_the_labels(self) -> "ExtraTaskParameters":
        from ctcd.tasks.metrics import METRICS  # which imports NumPy

        fitting = [name for name, metric in METRICS.items() if metric.for_numbers == self.regression]
        for metric in self.metrics:
            problem = f"metric '{metric}' is not for {'numbers' if self.regression else 'classes'}"
            if metric not in METRICS:
                problem = f"there is no metric '{metric}'"
            if metric not in fitting:
                raise ValueError(f"{problem}: choose from {', '.join(fitting)}")
        return self


class MinimalPairsParameters(Settings):
    """Which sets of minimal pairs a model is scored on, and what is made from held-out text.

    A set is `heldout_text`, the stem of a file in data_root/minimal_pairs, a file's path, or `hub:owner/name`. Of
    larger paradigms than `pairs_per_paradigm` so many are drawn. `examples` are made for each paradigm.
    """

    sets: Names
    pairs_per_paradigm: PositiveInteger | None
    examples: PositiveInteger
    seed: int
