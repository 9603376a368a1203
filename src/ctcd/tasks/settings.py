"""Settings of tasks that do not come with the project."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from ctcd.lineage.settings import Listed, Names, Settings

ClassMetric = Literal["accuracy", "f1", "macro_f1", "matthews"]
NumberMetric = Literal["pearson", "spearman"]


class ExtraTaskParameters(Settings):
    """A task beyond the suites that come with the project; its folder has its name.

    A classification task has as many classes as its files have labels, which may be text.
    """

    text_columns: Annotated[Names, Field(min_length=1, max_length=2)]
    metrics: Annotated[list[ClassMetric | NumberMetric], Listed, Field(min_length=1)]
    regression: bool = False
    validation_splits: Annotated[Names, Field(min_length=1)] = ["validation"]

    @model_validator(mode="after")
    def _metrics_fit_the_labels(self) -> "ExtraTaskParameters":
        fitting = get_args(NumberMetric if self.regression else ClassMetric)
        for metric in self.metrics:
            if metric not in fitting:
                kind = "numbers" if self.regression else "classes"
                raise ValueError(f"metric '{metric}' is not for {kind}: choose from {', '.join(fitting)}")
        return self
