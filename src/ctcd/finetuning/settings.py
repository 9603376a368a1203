"""Settings of fine-tuning."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ctcd.lineage.settings import Listed, Names, PositiveInteger, PositiveNumber, Settings, Share, deep_merge, known_in
from ctcd.tasks.settings import WHOLE, ExtraTaskParameters, PerturbationName
from ctcd.tasks.tasks import SUITES

Strength = Annotated[float, Field(gt=0.0, le=1.0)]


def _own_name(task: str) -> str:
    if task == WHOLE:
        raise ValueError(f"'{WHOLE}' is the mean over tasks: give the task another name")
    return task


ExtraTaskName = Annotated[str, AfterValidator(_own_name)]
SuiteName = Annotated[str, AfterValidator(known_in("suite", SUITES))]


class TaskTraining(Settings):
    """Fine-tuning settings of one task where they differ from the suite's.

    Of more than `training_examples` so many are drawn, the same for every model and seed.
    """

    epochs: PositiveInteger | None = None
    batch_size: PositiveInteger | None = None
    learning_rate: PositiveNumber | None = None
    training_examples: PositiveInteger | None = None


class SearchParameters(Settings):
    """A grid of fine-tuning settings, decided on a share of the training data; what is empty is not searched."""

    learning_rates: Annotated[list[PositiveNumber], Listed] = []
    epochs: Annotated[list[PositiveInteger], Listed] = []
    batch_sizes: Annotated[list[PositiveInteger], Listed] = []
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1


class RobustnessParameters(Settings):
    """Test sets that each fine-tuned model predicts besides: perturbed copies of the validation splits.

    `perturbations` gives each one that is wanted its strength: the share of the words that are hit.
    """

    perturbations: dict[PerturbationName, Strength] = {}


class AugmentationParameters(Settings):
    """Copies of the training examples in which the model that is fine-tuned replaces a share of the tokens."""

    copies: Annotated[int, Field(ge=0)] = 0
    share: Strength = 0.15


class FinetuningParameters(Settings):
    """Fine-tuning and scoring of one model on a suite of tasks."""

    suite: SuiteName
    tasks: dict[SuiteName, Names]
    extra_tasks: dict[ExtraTaskName, ExtraTaskParameters] = {}
    seeds: PositiveInteger
    epochs: PositiveInteger
    minimum_steps: Annotated[int, Field(ge=0)] = 0
    batch_size: PositiveInteger | None
    learning_rate: PositiveNumber | None
    warmup_share: Share
    weight_decay: Annotated[float, Field(ge=0.0)]
    dropout: Share | None
    maximum_length: Annotated[int, Field(ge=8)] | None
    task_training: dict[str, TaskTraining] = {}
    search: SearchParameters = SearchParameters()
    submission: bool = True
    robustness: RobustnessParameters = RobustnessParameters()
    keep_models: Names = []
    augmentation: AugmentationParameters = AugmentationParameters()

    def changed(self, differences: Mapping[str, Any]) -> "FinetuningParameters":
        """These settings with the differences of a variant; a mapping changes a part.

        Raises:
            ValidationError: for a difference that is not known or allowed.
        """
        return FinetuningParameters.model_validate(deep_merge(self.model_dump(), differences))
