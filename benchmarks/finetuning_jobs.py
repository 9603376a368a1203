"""The job that all contenders do: the same model, tokens, settings and seeds, task by task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import AutoConfig, PreTrainedTokenizerBase

from ctcd.corpus.settings import TokenizerParameters
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.finetuning.encoding import TextEncoding, TokenizedTask, tokenize_task
from ctcd.finetuning.finetune import TaskSettings, usual_batch_size, usual_learning_rate
from ctcd.modeling.architecture import build_model
from ctcd.modeling.model_folder import ModelFolder, find_model
from ctcd.modeling.settings import ModelParameters
from ctcd.tasks.files import FolderSuite
from ctcd.tasks.suite import TaskData
from ctcd.tasks.tasks import GLUE

LENGTH = 128
FEWEST = 8
# Examples of the splits of GLUE that a folder may hold in part.
FULL_SIZES = {
    ("qqp", "train"): 363_846,
    ("qqp", "validation"): 40_430,
    ("mnli", "train"): 392_702,
    ("qnli", "train"): 104_743,
}
TRAINED_VOCABULARY = TokenizerParameters(
    vocabulary_size=8192, lowercase=True, minimum_frequency=2, training_characters=2_000_000
)


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        model: what is fine-tuned.
        tasks: already tokenized, which is not timed.
        settings: of each task.
        seeds: fine-tunings of each task.
    """

    model: ModelFolder
    tasks: Sequence[TokenizedTask]
    settings: Sequence[TaskSettings]
    seeds: int


def read_data(root: Path, names: Sequence[str], share: float) -> list[TaskData]:
    """Read GLUE tasks, a share of the training and validation examples of each, drawn by a fixed seed."""
    suite = FolderSuite(root / "glue")
    return [_part(suite.read(GLUE[name]), share) for name in names]


def make_model(
    folder: Path, layers: int, width: int, data: Sequence[TaskData], tokenizer: PreTrainedTokenizerBase | None
) -> ModelFolder:
    """Save a BERT with random weights and BERT's dropout; without a tokenizer one is trained on the tasks' texts."""
    texts = (text for each in data for column in each.task.text_columns for text in each.frames["train"][column])
    tokenizer = tokenizer or train_tokenizer(texts, TRAINED_VOCABULARY)
    shape = ModelParameters(
        architecture="bert", layers=layers, width=width, heads=max(1, width // 64), feed_forward=4 * width, dropout=0.1
    )
    build_model(shape, tokenizer, LENGTH, 0, "model").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return find_model(str(folder))


def prepare(
    model: ModelFolder,
    data: Sequence[TaskData],
    epochs: int,
    batch_size: int | None,
    seeds: int,
    in_full_size: bool = False,
) -> Work:
    """Tokenize, and choose the settings that all contenders use.

    Args:
        model: to be fine-tuned.
        data: the tasks.
        epochs: of every task.
        batch_size: examples; None for the usual one of each task.
        seeds: fine-tunings of each task.
        in_full_size: whether to repeat the examples of partial tasks until they are as many as the whole of GLUE has.
    """
    configuration = AutoConfig.from_pretrained(model.folder)
    encoding = TextEncoding.of(configuration, model.tokenizer(), LENGTH)
    tasks = [tokenize_task(each, encoding) for each in data]
    if in_full_size:
        tasks = [_in_full_size(task) for task in tasks]
    rate = usual_learning_rate(configuration.hidden_size)
    sizes = [batch_size or usual_batch_size(len(task.splits["train"])) for task in tasks]
    return Work(model, tasks, [TaskSettings(epochs, size, rate, 0.1, 0.01, None) for size in sizes], seeds)


def _in_full_size(tokenized: TokenizedTask) -> TokenizedTask:
    splits = {
        name: split.take(np.resize(np.arange(len(split)), FULL_SIZES.get((tokenized.task.name, name), len(split))))
        for name, split in tokenized.splits.items()
    }
    return replace(tokenized, splits=splits)


def _part(data: TaskData, share: float) -> TaskData:
    random = np.random.default_rng(0)
    frames = {}
    for split, frame in data.frames.items():
        chosen = random.permutation(len(frame))[: max(FEWEST, round(share * len(frame)))]
        frames[split] = frame.iloc[np.sort(chosen)].reset_index(drop=True)
    return replace(data, frames=frames)
