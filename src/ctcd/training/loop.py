"""The training of one variant, from random weights (or an unfinished state) to two models and their history."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.corpus.masking import MaskedBatch, Masking, mask_tokens, masking_for
from ctcd.corpus.shards import Sequences, Shards
from ctcd.corpus.tokenizer import tokenizer_hash
from ctcd.distillation.methods import Weights, weights_of
from ctcd.errors import InputError
from ctcd.modeling.architecture import build_model, parameter_count
from ctcd.parameters import ExecutionParameters, PretrainingParameters
from ctcd.progress import Progress, log_metrics
from ctcd.randomness import seed_from
from ctcd.training.batches import batch_of
from ctcd.training.evaluation import evaluate, heldout_batches
from ctcd.training.history import History
from ctcd.training.precision import Hardware, choose_hardware
from ctcd.training.schedule import learning_rate_factor
from ctcd.training.side_by_side import SideBySide
from ctcd.training.state import StateStore, check_identity, flatten
from ctcd.training.step import NonFiniteLossError, Trainee, train_step

logger = logging.getLogger(__name__)

HISTORY_ROWS = 100  # points of a training curve


@dataclass
class Training:
    """Everything that changes while a variant is trained, and what it is made of."""

    label: str
    settings: PretrainingParameters
    weights: Weights
    execution: ExecutionParameters
    hardware: Hardware
    train_sequences: Sequences
    heldout: list[MaskedBatch]
    masking: Masking
    teacher: Trainee
    student: Trainee
    side_by_side: SideBySide
    identity: dict[str, Any]
    step: int = 0
    history: History = field(default_factory=History)

    @property
    def trainees(self) -> dict[str, Trainee]:
        """Both models by role."""
        return {"teacher": self.teacher, "student": self.student}

    @property
    def tokens_per_step(self) -> int:
        """Tokens that each model reads in a step."""
        return self.settings.batch_size * self.train_sequences.blocks[0].shape[1]


def pretrain(
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    method: str,
    settings: PretrainingParameters,
    execution: ExecutionParameters,
    store: StateStore,
) -> tuple[PreTrainedModel, PreTrainedModel, History]:
    """Train teacher and student together.

    Args:
        shards: packed sequences; the held-out part is only looked at.
        tokenizer: the one that made the shards.
        method: name of a method.
        settings: models, budget, optimiser, seed.
        execution: device, precision, intervals.
        store: where the state is kept while training; an unfinished one is gone on with. Its label names the
            training in messages.

    Returns:
        teacher and student on the CPU, and the history.

    Raises:
        InputError: for what the user can put right, before the first step where possible.
    """
    shards.check_tokenizer(tokenizer_hash(tokenizer))
    training = _start(shards, tokenizer, method, settings, execution, store.label)
    _resume(training, store)
    with training.side_by_side:
        _train(training, store)
    return training.teacher.model.cpu().eval(), training.student.model.cpu().eval(), training.history


def _start(
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    method: str,
    settings: PretrainingParameters,
    execution: ExecutionParameters,
    label: str,
) -> Training:
    hardware = choose_hardware(execution, max(settings.teacher.width, settings.student.width))
    masking = masking_for(tokenizer, settings.masking_share)
    teacher, student = (
        Trainee.start(
            build_model(shape, tokenizer, shards.sequence_length, settings.seed, role), settings.optimiser, hardware
        )
        for role, shape in (("teacher", settings.teacher), ("student", settings.student))
    )
    return Training(
        label=label,
        settings=settings,
        weights=weights_of(method),
        execution=execution,
        hardware=hardware,
        train_sequences=shards.sequences("train"),
        heldout=heldout_batches(shards.sequences("heldout"), masking, execution.evaluation_sequences, hardware),
        masking=masking,
        teacher=teacher,
        student=student,
        side_by_side=SideBySide(
            hardware.device, has_dropout=bool(settings.teacher.dropout or settings.student.dropout)
        ),
        identity=flatten({"method": method, "data": shards.metadata["fingerprint"], **settings.model_dump()}),
    )


def _train(training: Training, store: StateStore) -> None:
    """All remaining steps, with evaluation, history and states at their intervals."""
    settings, execution = training.settings, training.execution
    saved_at = counted_at = monotonic()
    counted_step = training.step
    if training.step == 0:
        for role, trainee in training.trainees.items():
            training.history.add(0, 0, role, "parameters", parameter_count(trainee.model))
        _evaluate(training)
    with Progress(training.label, settings.steps, execution.log_seconds) as progress, _stop_requests() as stopping:
        while training.step < settings.steps:
            _one_step(training)
            if _is_due(training.step, settings.steps, HISTORY_ROWS):
                now = monotonic()
                speed = (training.step - counted_step) * training.tokens_per_step / (now - counted_at)
                counted_step, counted_at = training.step, now
                losses = _record(training, speed)
                shown = {role: losses[f"{role}_hard_loss"] for role in training.trainees}
                progress.update(training.step, shown, speed)
            if _is_due(training.step, settings.steps, execution.evaluations):
                started = monotonic()
                _evaluate(training)
                counted_at += monotonic() - started
            if stopping or monotonic() - saved_at >= execution.checkpoint_seconds:
                _save(training, store)
                saved_at = monotonic()
            if signal.SIGINT in stopping:
                raise KeyboardInterrupt
            if stopping:
                raise InputError(
                    f"Stopped at step {training.step} of {settings.steps}; the state is saved and the same command "
                    "goes on from there."
                )
    if settings.steps:
        _save(training, store)


def _one_step(training: Training) -> None:
    settings, step = training.settings, training.step
    tokens = batch_of(training.train_sequences, step, settings.batch_size, settings.seed)
    batch = mask_tokens(tokens, training.masking, settings.seed, step).to(training.hardware.device)
    torch.manual_seed(seed_from(settings.seed, "dropout", step))
    try:
        losses, teacher_norm, student_norm = train_step(
            training.teacher,
            training.student,
            batch,
            training.weights,
            settings.temperature,
            settings.optimiser.maximum_gradient_norm,
            learning_rate_factor(step, settings.steps, settings.warmup_share),
            training.side_by_side,
        )
    except NonFiniteLossError:
        raise InputError(
            f"The loss of '{training.label}' is not finite at step {step + 1} (seed {settings.seed}): lower "
            "pretraining.optimiser's learning rates; the state before it is kept."
        ) from None
    training.step += 1
    training.history.collect(losses, teacher_norm, student_norm)


def _record(training: Training, tokens_per_second: float) -> dict[str, float]:
    settings, step = training.settings, training.step
    rate = settings.optimiser.learning_rate * learning_rate_factor(step - 1, settings.steps, settings.warmup_share)
    metrics = training.history.flush(step, step * training.tokens_per_step, rate, tokens_per_second)
    log_metrics(training.label, step, metrics | {"tokens_per_second": tokens_per_second})
    return metrics


def _evaluate(training: Training) -> None:
    step, metrics = training.step, {}
    scores = training.side_by_side(
        lambda: evaluate(training.teacher.model, training.heldout, training.hardware),
        lambda: evaluate(training.student.model, training.heldout, training.hardware),
    )
    for role, score in zip(training.trainees, scores, strict=True):
        for name, value in (("heldout_loss", score.loss), ("heldout_accuracy", score.accuracy)):
            training.history.add(step, step * training.tokens_per_step, role, name, value)
            metrics[f"{role}_{name}"] = value
    log_metrics(training.label, step, metrics)


def _save(training: Training, store: StateStore) -> None:
    state = {
        "identity": training.identity,
        "step": training.step,
        "history": training.history.rows,
        "waiting": training.history.waiting,
    }
    for role, trainee in training.trainees.items():
        state[role] = trainee.model.state_dict()
        state[f"{role}_optimisers"] = [optimiser.state_dict() for optimiser in trainee.optimisers]
    store.save(state, training.step, training.execution.keep_checkpoints)


def _resume(training: Training, store: StateStore) -> None:
    """Go on with an unfinished state if there is one and the user wants it."""
    wish = training.execution.resume
    if wish == "never":
        store.clear()
        return
    state = store.latest()
    if state is None:
        if wish == "require":
            raise InputError(f"There is no training state of '{training.label}' to go on with in '{store.folder}'.")
        return
    check_identity(state["identity"], training.identity, training.label)
    training.step = state["step"]
    training.history = History(state["history"], state["waiting"])
    for role, trainee in training.trainees.items():
        trainee.model.load_state_dict(state[role])
        for optimiser, saved in zip(trainee.optimisers, state[f"{role}_optimisers"], strict=True):
            optimiser.load_state_dict(saved)
    logger.info("%s: going on from step %d of %d", training.label, training.step, training.settings.steps)


def _is_due(step: int, steps: int, times: int) -> bool:
    """Whether one of `times` evenly spread moments of the training falls on this step; the last step always is one."""
    return step * times // steps > (step - 1) * times // steps


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Collect SIGTERM and Ctrl-C as requests that the loop answers between two steps."""
    requests: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield requests  # signals reach the main thread only
        return
    previous = {
        number: signal.signal(number, lambda received, _: requests.append(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield requests
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
