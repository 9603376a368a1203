"""The tasks: what each one's files hold and how it is scored."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ctcd.errors import InputError
from ctcd.parameters import FinetuningParameters


@dataclass(frozen=True)
class Task:
    """One downstream data set with its metrics.

    Attributes:
        name: also the name of its folder.
        text_columns: one for single sentences, two for pairs.
        metrics: names in `ctcd.evaluation.metrics.METRICS`; the task's main value is their mean.
        classes: number of labels; None if it is read from the training labels.
        regression: whether the label is a number instead of a class.
        validation_splits: scored splits; none if the task has no public labels.
    """

    name: str
    text_columns: tuple[str, ...]
    metrics: tuple[str, ...]
    classes: int | None = None
    regression: bool = False
    validation_splits: tuple[str, ...] = ("validation",)

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that fine-tuning and scoring read."""
        return ("train", *self.validation_splits)


PAIR = ("sentence1", "sentence2")


def _table(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


GLUE = _table(
    Task("cola", ("sentence",), ("matthews",), classes=2),
    Task("sst2", ("sentence",), ("accuracy",), classes=2),
    Task("mrpc", PAIR, ("accuracy", "f1"), classes=2),
    Task("stsb", PAIR, ("pearson", "spearman"), regression=True),
    Task("qqp", ("question1", "question2"), ("accuracy", "f1"), classes=2),
    Task(
        "mnli",
        ("premise", "hypothesis"),
        ("accuracy",),
        classes=3,
        validation_splits=("validation_matched", "validation_mismatched"),
    ),
    Task("qnli", ("question", "sentence"), ("accuracy",), classes=2),
    Task("rte", PAIR, ("accuracy",), classes=2),
    Task("wnli", PAIR, ("accuracy",), classes=2),
    Task("ax", ("premise", "hypothesis"), ("matthews",), classes=3, validation_splits=()),
)

# Made by `ctcd.evaluation.probes`, in GLUE's formats.
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

SUITES: Mapping[str, Mapping[str, Task]] = {"glue": GLUE, "probes": PROBES}


def find_tasks(suite: str, names: Iterable[str]) -> list[Task]:
    """Tasks of a suite by name, each once.

    Raises:
        InputError: if a name is unknown, or the task has no labels to learn from and be scored by.
    """
    known = SUITES[suite]
    found: dict[str, Task] = {}
    for name in names:
        if name not in known:
            raise InputError(f"There is no task '{name}' in the suite '{suite}': choose from {', '.join(known)}.")
        if not known[name].validation_splits:
            raise InputError(
                f"Task '{name}' has no public labels and cannot be scored: take it out of finetuning.tasks.{suite}."
            )
        found[name] = known[name]
    return list(found.values())


def chosen_tasks(settings: FinetuningParameters) -> list[Task]:
    """Find the tasks that `finetuning.suite` and `finetuning.tasks` name.

    Raises:
        InputError: if there are none, or one is unknown.
    """
    names = settings.tasks.get(settings.suite, [])
    if not names:
        raise InputError(
            f"finetuning.tasks.{settings.suite} names no task: choose from {', '.join(SUITES[settings.suite])}."
        )
    unknown = [name for name in settings.task_training if all(name not in tasks for tasks in SUITES.values())]
    if unknown:
        raise InputError(
            f"finetuning.task_training has settings for '{unknown[0]}', which is no task: correct the name."
        )
    return find_tasks(settings.suite, names)
