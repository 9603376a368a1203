"""Fine-tuning of one encoder on one task with one seed, and its predictions."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ctcd.engine.cuda_graphs import Exclusive
from ctcd.engine.device_share import DeviceShare
from ctcd.engine.hardware import Hardware, choose_hardware
from ctcd.engine.learner import Learner
from ctcd.engine.optimiser import Optimiser
from ctcd.engine.schedule import learning_rate_factor
from ctcd.engine.settings import ExecutionParameters, OptimiserParameters
from ctcd.errors import InputError
from ctcd.finetuning.buckets import BatchShape, DeviceSplit, buckets_on, evaluation_batches, training_batches
from ctcd.finetuning.classifiers import write_classifier
from ctcd.finetuning.encoding import TokenizedTask
from ctcd.finetuning.settings import FinetuningParameters
from ctcd.modeling.model_folder import ModelFolder
from ctcd.tasks.tasks import Task

# Batches of 128 instead of 32 from so many training examples on, which MNLI and QQP have: Lan et al. 2020
# (ALBERT, table 14).
LARGE_TASK = 300_000
SECOND_BETA, MAXIMUM_GRADIENT_NORM = 0.999, 1.0  # of AdamW
# Rows at once in evaluation: what stays in a core's cache, or what fills a GPU.
EVALUATION_TOKENS = {"cpu": 2048, "cuda": 65536}


@dataclass(frozen=True)
class Predictions:
    """What a model says about a split, in the order of its examples.

    Attributes:
        values: (examples,) int64 classes, or float64 numbers for regression.
        confidences: (examples,) probability of the predicted class; None for regression.
        probabilities: (examples, classes) float16, which is enough to measure calibration by; None for regression.
    """

    values: NDArray[np.generic]
    confidences: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class TaskSettings:
    """How one task is learned: its own settings where it has them and else the suite's.

    A `dropout` of None leaves the model's own.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    weight_decay: float
    dropout: float | None

    @classmethod
    def of(cls, task: Task, settings: FinetuningParameters, width: int, examples: int) -> "TaskSettings":
        """Look a task up in `finetuning.task_training`; what is not set follows from the model and the data.

        Args:
            task: any.
            settings: of all tasks.
            width: of the model, for the learning rate.
            examples: to learn from, for the batch size.
        """
        own = settings.task_training.get(task.name)
        batch_size = (own and own.batch_size) or settings.batch_size or usual_batch_size(examples)
        enough = math.ceil(settings.minimum_steps / math.ceil(examples / batch_size))
        return cls(
            epochs=(own and own.epochs) or max(settings.epochs, enough),
            batch_size=batch_size,
            learning_rate=(own and own.learning_rate) or settings.learning_rate or usual_learning_rate(width),
            warmup_share=settings.warmup_share,
            weight_decay=settings.weight_decay,
            dropout=settings.dropout,
        )


def usual_batch_size(examples: int) -> int:
    """What published encoders are fine-tuned with on a task of so many training examples."""
    return 128 if examples >= LARGE_TASK else 32


def usual_learning_rate(width: int) -> float:
    """The rate for a model's width: 3e-5 at 768, 1.1e-4 at 384, 8e-4 at 128, 3e-3 at 64 and below.

    Wide ends: what published encoders are fine-tuned with. Narrow end: sweeps on parts of training data, where lower
    rates lose to random weights (docs/evidence/finetuning_recipe.md).
    """
    return min(3e-3, 3e-5 * (768 / width) ** 1.85)


def finetune(
    model: ModelFolder,
    tokenized: TokenizedTask,
    training: TaskSettings,
    seed: int,
    execution: ExecutionParameters,
    predicted: Sequence[str] | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    model_folder: Path | None = None,
) -> dict[str, Predictions]:
    """Fine-tune a model and predict with its last epoch's weights.

    On a CPU it uses one thread, so that the result does not depend on how many jobs run beside it. On a GPU others may
    run beside it in threads and streams of their own.

    Args:
        model: any encoder family.
        tokenized: the task.
        training: how long and how fast to learn.
        seed: of the new head, the order of examples and the dropout.
        execution: device and precision.
        predicted: splits to predict; the validation splits unless given.
        is_stopped: whether nobody wants the result any more; asked at every step.
        model_folder: where the fine-tuned model is written to; None to forget it.

    Raises:
        InputError: if the training diverges.
        StoppedError: if it was stopped.
    """
    configuration = _configuration(model, tokenized, training.dropout)
    hardware = choose_hardware(execution, configuration.hidden_size)
    predicted = tokenized.task.validation_splits if predicted is None else predicted
    on_gpu = hardware.device.type == "cuda"
    exclusive = DeviceShare().exclusive if on_gpu else nullcontext
    with nullcontext() if on_gpu else _in_one_thread():
        with exclusive():
            torch.manual_seed(seed)
            network = _load(model, configuration)
            hardware.move(network, is_padded=True)
            splits = {
                name: DeviceSplit.of(tokenized.splits[name], tokenized.padding_id, hardware.device)
                for name in ("train", *predicted)
            }
        weights = _train(network, tokenized, splits["train"], training, seed, hardware, exclusive, is_stopped)
        with exclusive():
            if model_folder is not None:
                with _quiet_transformers():
                    write_classifier(model_folder, model, tokenized, configuration, {**network.state_dict(), **weights})
            return {name: _predict(network, tokenized, name, splits[name], hardware) for name in predicted}


class StoppedError(Exception):
    """Nobody wants the result any more."""


def _configuration(model: ModelFolder, tokenized: TokenizedTask, dropout: float | None) -> PretrainedConfig:
    """Read the configuration, with a head for the task and one dropout rate under all its names."""
    configuration = AutoConfig.from_pretrained(model.folder, num_labels=tokenized.outputs)
    if configuration.pad_token_id is None:
        configuration.pad_token_id = tokenized.padding_id
    for name, value in configuration.to_dict().items():
        is_rate = "dropout" in name or name.endswith("pdrop")
        if dropout is not None and is_rate and (value is None or isinstance(value, float)):
            setattr(configuration, name, dropout)
    return configuration


def _load(model: ModelFolder, configuration: PretrainedConfig) -> PreTrainedModel:
    with _quiet_transformers():
        if model.has_random_weights:
            return AutoModelForSequenceClassification.from_config(configuration, dtype=torch.float32)
        network = AutoModelForSequenceClassification.from_pretrained(
            model.folder, config=configuration, dtype=torch.float32, ignore_mismatched_sizes=True
        )
        if type(network).__name__ in (configuration.architectures or ()):
            _draw_head(network, configuration)
        return network


def _draw_head(network: PreTrainedModel, configuration: PretrainedConfig) -> None:
    """Replace the head that a classifier of some other task brings along: every task and seed has its own."""
    fresh = AutoModelForSequenceClassification.from_config(configuration, dtype=torch.float32).state_dict()
    encoder = f"{network.base_model_prefix}."
    network.load_state_dict(
        {name: value for name, value in fresh.items() if not name.startswith(encoder)}, strict=False
    )


def _train(
    network: PreTrainedModel,
    tokenized: TokenizedTask,
    split: DeviceSplit,
    training: TaskSettings,
    seed: int,
    hardware: Hardware,
    exclusive: Exclusive,
    is_stopped: Callable[[], bool],
) -> Mapping[str, Tensor]:
    """All epochs; returns the weights in float32.

    What is not finite stays on the device; it is looked at once an epoch.
    """
    settings = OptimiserParameters(
        name="adamw",
        learning_rate=training.learning_rate,
        second_beta=SECOND_BETA,
        weight_decay=training.weight_decay,
        maximum_gradient_norm=MAXIMUM_GRADIENT_NORM,
    )
    optimiser = Optimiser(network, settings, hardware)
    no_figures = torch.zeros(0, device=hardware.device)

    def task_loss(shape: BatchShape, examples: Tensor) -> tuple[Tensor, Tensor]:
        inputs, labels = split.inputs(examples, shape)
        return _loss(network(**inputs).logits.float(), labels, tokenized.task), no_figures

    learner = Learner(task_loss, [optimiser], hardware.device, warm_up_once=True, exclusive=exclusive)
    lengths = tokenized.splits["train"].lengths
    steps = training.epochs * math.ceil(len(lengths) / training.batch_size)
    buckets = buckets_on(hardware.device, len(lengths))
    finite = torch.zeros((), device=hardware.device)
    step = 0
    network.train()
    for epoch in range(training.epochs):
        finite.zero_()
        batches = training_batches(lengths, tokenized.maximum_length, training.batch_size, seed, epoch, buckets)
        for batch, examples in zip(batches, split.examples(batches), strict=True):
            if is_stopped():
                raise StoppedError
            done = (step + 0.5) / steps  # the middle of the step stands for all of it
            rate_factor = learning_rate_factor(done, training.warmup_share)
            finite += learner.learn(batch.shape, rate_factor, examples).is_finite
            step += 1
        # A single batch that overflows has changed nothing; where most do, the weights themselves are too large.
        if finite < len(batches) / 2:
            raise _diverged(tokenized.task, f"epoch {epoch + 1}")
    return optimiser.weights.weights


def _diverged(task: Task, moment: str) -> InputError:
    return InputError(f"The fine-tuning on '{task.name}' diverged in {moment}: lower finetuning.learning_rate.")


def _loss(logits: Tensor, labels: Tensor, task: Task) -> Tensor:
    if task.regression:
        return nn.functional.mse_loss(logits.squeeze(-1), labels)
    return nn.functional.cross_entropy(logits, labels)


@torch.inference_mode()
def _predict(
    model: PreTrainedModel, tokenized: TokenizedTask, name: str, split: DeviceSplit, hardware: Hardware
) -> Predictions:
    model.eval()
    lengths = tokenized.splits[name].lengths
    budget = EVALUATION_TOKENS[hardware.device.type]
    batches = list(evaluation_batches(lengths, tokenized.maximum_length, budget))
    logits = torch.cat(
        [
            _logits(model, split, examples, batch.shape)
            for batch, examples in zip(batches, split.examples(batches), strict=True)
        ]
    )
    logits = logits.double().cpu()
    if not logits.isfinite().all():
        raise _diverged(tokenized.task, "its last step")
    in_order = torch.empty_like(logits)
    in_order[torch.from_numpy(np.concatenate([batch.examples for batch in batches]))] = logits
    if tokenized.task.regression:
        return Predictions(in_order.squeeze(-1).numpy())
    probabilities = in_order.softmax(-1)
    confidences, classes = probabilities.max(-1)
    return Predictions(classes.numpy(), confidences.numpy(), probabilities.half().numpy())


def _logits(model: PreTrainedModel, split: DeviceSplit, examples: Tensor, shape: BatchShape) -> Tensor:
    inputs, _ = split.inputs(examples, shape)
    return model(**inputs).logits.float()


@contextmanager
def _in_one_thread() -> Iterator[None]:
    """Compute in one thread; that and PyTorch's random numbers are as before afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No report that the head is new, which is what fine-tuning is about, and no progress bar."""
    verbosity, has_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_bars:
            transformers_logging.enable_progress_bar()
