"""The tasks: what each one's files hold and how it is scored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from ctcd.errors import InputError
from ctcd.tasks.settings import LABEL, ExtraTaskParameters


@dataclass(frozen=True)
class FurtherSplit:
    """A test set that a task's fine-tuned models predict besides its validation splits.

    Attributes:
        name: in tables.
        split: of the files.
        folder: where they lie beside the task's folder; None for that folder.
        is_hidden: whether its labels are hidden: it is predicted for a leaderboard, where its files are there, and not
            scored.
    """

    name: str
    split: str
    folder: str | None = None
    is_hidden: bool = False


def hidden(*splits: str) -> tuple[FurtherSplit, ...]:
    """Splits of a task's own folder with hidden labels."""
    return tuple(FurtherSplit(split, split, is_hidden=True) for split in splits)


@dataclass(frozen=True)
class Task:
    """One downstream data set with its metrics.

    Attributes:
        name: also the name of its folder.
        text_columns: one for single sentences, two for pairs.
        label_column: what the files call the labels.
        metrics: names in `ctcd.tasks.metrics.METRICS`; the task's main value is their mean.
        classes: number of labels; None if it is read from the labels.
        regression: whether the label is a number instead of a class.
        validation_splits: scored splits.
        further_splits: what its fine-tuned models predict besides.
        label_names: of the classes 0, 1, ... in words, where the files have numbers.
    """

    name: str
    text_columns: tuple[str, ...]
    metrics: tuple[str, ...]
    classes: int | None = None
    regression: bool = False
    validation_splits: tuple[str, ...] = ("validation",)
    further_splits: tuple[FurtherSplit, ...] = ()
    label_names: tuple[str, ...] = ()
    label_column: str = LABEL

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that fine-tuning and scoring read."""
        return ("train", *self.validation_splits)


PAIR = ("sentence1", "sentence2")


def _table(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


HIDDEN = hidden("test")
# GLUE's diagnostic examples, which the models of MNLI predict.
DIAGNOSTIC = FurtherSplit("ax", "test", folder="ax", is_hidden=True)
PREMISE = ("premise", "hypothesis")

GLUE = _table(
    Task(
        "cola",
        ("sentence",),
        ("matthews",),
        classes=2,
        further_splits=HIDDEN,
        label_names=("unacceptable", "acceptable"),
    ),
    Task("sst2", ("sentence",), ("accuracy",), classes=2, further_splits=HIDDEN, label_names=("negative", "positive")),
    Task(
        "mrpc", PAIR, ("accuracy", "f1"), classes=2, further_splits=HIDDEN, label_names=("not_equivalent", "equivalent")
    ),
    Task("stsb", PAIR, ("pearson", "spearman"), regression=True, further_splits=HIDDEN),
    Task(
        "qqp",
        ("question1", "question2"),
        ("accuracy", "f1"),
        classes=2,
        further_splits=HIDDEN,
        label_names=("not_duplicate", "duplicate"),
    ),
    Task(
        "mnli",
        PREMISE,
        ("accuracy",),
        classes=3,
        validation_splits=("validation_matched", "validation_mismatched"),
        further_splits=(*hidden("test_matched", "test_mismatched"), DIAGNOSTIC),
        label_names=("entailment", "neutral", "contradiction"),
    ),
    Task(
        "qnli",
        ("question", "sentence"),
        ("accuracy",),
        classes=2,
        further_splits=HIDDEN,
        label_names=("entailment", "not_entailment"),
    ),
    Task("rte", PAIR, ("accuracy",), classes=2, further_splits=HIDDEN, label_names=("entailment", "not_entailment")),
    Task("wnli", PAIR, ("accuracy",), classes=2, further_splits=HIDDEN, label_names=("not_entailment", "entailment")),
)

# Made by `ctcd.tasks.probes`, in GLUE's formats.
PROBES = _table(
    Task("shuffled_words", ("sentence",), ("matthews",), classes=2),
    Task("function_words", ("sentence",), ("matthews",), classes=2),
    Task("bigram_shift", ("sentence",), ("matthews",), classes=2),
    Task("missing_word", ("sentence",), ("accuracy",)),
    Task("topic", ("sentence",), ("accuracy",)),
    Task("sentence_order", PAIR, ("accuracy",), classes=2),
    Task("same_document", PAIR, ("accuracy", "f1"), classes=2),
)
# How a text shows a masked word, whatever a tokenizer calls its own.
MASKED_WORD = "[MASK]"


EXTRA, NO_SUITE = "extra", "none"
# Every suite by name; the settings say what is in the suite `extra`. With `none` no model is fine-tuned.
SUITES: Mapping[str, Mapping[str, Task]] = {"probes": PROBES, "glue": GLUE, EXTRA: {}, NO_SUITE: {}}


class TaskChoice(Protocol):
    """What the settings say of tasks: see `ctcd.finetuning.settings.FinetuningParameters`."""

    @property
    def suite(self) -> str:
        """The suite that is chosen."""

    @property
    def tasks(self) -> Mapping[str, Collection[str]]:
        """Names of the tasks that are chosen in each suite."""

    @property
    def extra_tasks(self) -> Mapping[str, ExtraTaskParameters]:
        """Tasks of the suite `extra`."""

    @property
    def keep_models(self) -> Collection[str]:
        """Tasks whose fine-tuned models are kept."""

    @property
    def task_training(self) -> Mapping[str, object]:
        """Settings by task."""


def tasks_of_suite(settings: TaskChoice) -> Mapping[str, Task]:
    """All tasks of the suite that is chosen, by name."""
    if settings.suite == EXTRA:
        return {name: _configured(name, task) for name, task in settings.extra_tasks.items()}
    return SUITES[settings.suite]


def chosen_tasks(settings: TaskChoice) -> list[Task]:
    """Find the tasks that `finetuning.suite` and `finetuning.tasks` name, each once.

    Raises:
        InputError: if there are none, or one is unknown.
    """
    if settings.suite == NO_SUITE:
        return []
    known = tasks_of_suite(settings)
    names = dict.fromkeys(settings.tasks.get(settings.suite, []))
    if not known:
        raise InputError("The suite 'extra' has no tasks: describe some in finetuning.extra_tasks.")
    if not names:
        raise InputError(f"finetuning.tasks.{settings.suite} names no task: choose from {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise InputError(
                f"There is no task '{name}' in the suite '{settings.suite}': choose from {', '.join(known)}."
            )
    all_names = {*settings.extra_tasks, *(name for suite in SUITES.values() for name in suite)}
    if unknown := [name for name in settings.task_training if name not in all_names]:
        raise InputError(
            f"finetuning.task_training has settings for '{unknown[0]}', which is no task: correct the name."
        )
    if unknown := [name for name in settings.keep_models if name not in all_names]:
        raise InputError(f"finetuning.keep_models names '{unknown[0]}', which is no task: correct the name.")
    return [known[name] for name in names]


def _configured(name: str, settings: ExtraTaskParameters) -> Task:
    return Task(
        name,
        tuple(settings.text_columns),
        tuple(settings.metrics),
        regression=settings.regression,
        validation_splits=tuple(settings.validation_splits),
        label_column=settings.label_column,
        further_splits=tuple(
            FurtherSplit(further, split=place.rpartition("/")[2], folder=place.rpartition("/")[0])
            for further, place in settings.further_splits.items()
        ),
    )
