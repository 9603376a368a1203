"""The training of one variant, from its first weights (or an unfinished state) to models and their history."""

import math
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from time import monotonic

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.corpus.shards import Shards
from ctcd.distillation.methods import Method, Role
from ctcd.distillation.soft_weights import soft_weight_factor
from ctcd.engine.progress import Progress, log_metrics
from ctcd.engine.randomness import seed_from
from ctcd.engine.schedule import learning_rate_factor
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.lineage.state import StateStore
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.pretraining.batches import prefetched, rows_of_step
from ctcd.pretraining.checkpoint import resume_training, save_training
from ctcd.pretraining.heldout import evaluate, evaluate_sources
from ctcd.pretraining.history import History
from ctcd.pretraining.joint_step import JointStep, build_joint_step
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.settings import PretrainingParameters
from ctcd.pretraining.setup import Training, start_training

HISTORY_ROWS = 100  # points of a training curve
ROUNDING = 1e-9


def pretrain(
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    method: Method,
    settings: PretrainingParameters,
    execution: ExecutionParameters,
    store: StateStore,
    frozen: PretrainedModel | None = None,
    initial: Mapping[Role, PretrainedModel] | None = None,
) -> tuple[dict[Role, PreTrainedModel], History]:
    """Train teacher and student together.

    Args:
        shards: packed sequences; the held-out part is only looked at.
        tokenizer: the one that made the shards.
        method: who learns from whom.
        settings: models, budget, optimiser, seed.
        execution: device, precision, intervals.
        store: where the state is kept while training; an unfinished one is gone on with. Its label names the
            training in messages.
        frozen: the model that the method does not train.
        initial: what trained models start from, as `settings` say, where that is not random weights.

    Returns:
        The trained models on the CPU by role, and the history.

    Raises:
        InputError: for what the user can put right, before the first step where possible.
    """
    try:
        training = start_training(shards, tokenizer, method, settings, execution, store.label, frozen, initial or {})
        resume_training(training, store)
        with training.side_by_side:
            _train(training, store)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"No GPU memory is left to pre-train '{store.label}': free some and give the same command again, or lower "
            "pretraining.batch_size."
        ) from error
    if training.frozen is not None:
        training.frozen.give_back()
    return {role: trainee.finished_model() for role, trainee in training.trainees.items()}, training.history


def _train(training: Training, store: StateStore) -> None:
    """All remaining steps, with evaluation, history and states at their intervals."""
    settings, execution = training.settings, training.execution
    saved_at = counted_at = monotonic()
    counted_step = training.step
    if training.step == 0:
        for role, trainee in training.trainees.items():
            training.history.add(0, 0, role, "parameters", trainee.parameters)
        _evaluate(training)
    training.started = monotonic()
    joint_step = build_joint_step(training)
    done = training.done(training.step)
    steps = count(training.step) if done < 1 else ()
    first_step = training.step + 1
    with Progress(training.label, settings.steps, execution.log_seconds) as progress, _stop_requests() as stopping:
        for batch in prefetched(training.batch, steps):
            rate_factor = _one_step(training, joint_step, batch)
            if training.hardware.compiles and training.step == first_step:
                _forget_compilation(training)
            before, done = done, training.done(training.step)
            is_stopping = bool(stopping)  # later requests are answered after the next step, or at the end
            is_saving = is_stopping or monotonic() - saved_at >= execution.checkpoint_seconds
            is_recording = _is_due(before, done, HISTORY_ROWS)
            # A GPU is not waited for at every step; gradients that are not finite have changed no weight meanwhile.
            if is_saving or is_recording or training.hardware.device.type == "cpu":
                _check_finite(training)
            if is_recording:
                now = monotonic()
                speed = (training.step - counted_step) * training.tokens_per_step / (now - counted_at)
                counted_step, counted_at = training.step, now
                losses = _record(training, speed, rate_factor)
                shown: dict[str, float] = {role: losses[f"{role}_hard_loss"] for role in training.trainees}
                progress.total = round(training.step / done)
                progress.update(training.step, shown, speed)
            if _is_due(before, done, execution.evaluations):
                started = monotonic()
                _evaluate(training)
                counted_at += monotonic() - started
            if is_saving:
                save_training(training, store)
                saved_at = monotonic()
            if is_stopping:
                raise _stopped(training, stopping)
            if done == 1:
                break
        _evaluate_at_the_end(training)
        if stopping:
            save_training(training, store)
            raise _stopped(training, stopping)


def _stopped(training: Training, requests: list[int]) -> BaseException:
    """What ends a training that is asked to stop and is saved."""
    if signal.SIGINT in requests:
        return KeyboardInterrupt()
    return InputError(
        f"Stopped at step {training.step}, {training.done(training.step):.0%} of the training; the state is saved and "
        "the same command goes on from there."
    )


def _forget_compilation(training: Training) -> None:
    """Start the clock anew: minutes are for training."""
    if training.hardware.device.type == "cuda":
        torch.cuda.synchronize()
    training.started = monotonic()


def _one_step(training: Training, joint_step: JointStep, batch: PredictionBatch) -> float:
    """Train on a batch; returns the share of the peak learning rate that it was done with."""
    settings, step = training.settings, training.step
    torch.manual_seed(seed_from(settings.seed, "dropout", step))
    done = training.done(step + 0.5)  # the middle of the step stands for all of it
    optimiser = settings.optimiser
    rate_factor = learning_rate_factor(done, settings.warmup_share, optimiser.schedule, optimiser.decay_share)
    soft_factor = soft_weight_factor(done, settings.soft_weights)
    training.history.collect(joint_step(batch, soft_factor, rate_factor))
    for trainee in training.trainees.values():
        trainee.follow(step)
    for role, average in training.averages.items():
        average.update(training.trainees[role].weights)
    training.step += 1
    return rate_factor


def _check_finite(training: Training) -> None:
    """Stop if something was not finite since the last record; no weights were changed by what was not.

    Raises:
        InputError: naming the first such step.
    """
    waiting = training.history.waiting
    # On a CPU every step is looked at, so that nothing but the new row can be wrong.
    if training.hardware.device.type == "cpu" and waiting[-1].isfinite().all():
        return
    is_finite = torch.stack(waiting).isfinite().all(1)
    if is_finite.all():
        return
    step = training.step - len(waiting) + int(is_finite.logical_not().nonzero()[0])
    settings = training.settings
    rows = rows_of_step(len(training.sequences), step, settings.batch_size, settings.seed)
    raise InputError(
        f"The loss of '{training.label}' is not finite at step {step + 1} (seed {settings.seed}, training sequences "
        f"{', '.join(map(str, rows[:8]))}{', ...' if len(rows) > 8 else ''}): lower pretraining.optimiser's learning "
        "rates."
    )


def _record(training: Training, tokens_per_second: float, rate_factor: float) -> dict[str, float]:
    step, rate = training.step, training.settings.optimiser.learning_rate * rate_factor
    metrics = training.history.flush(step, step * training.tokens_per_step, rate, tokens_per_second)
    log_metrics(training.label, step, metrics | {"tokens_per_second": tokens_per_second})
    return metrics


def _evaluate(training: Training) -> None:
    """Measure the learning curve, on some of the held-out sequences."""
    for role, trainee in training.trainees.items():
        score = evaluate(trainee, training.heldout_sample, training.side_by_side)
        _add(training, role, {"sampled_heldout_loss": score.loss, "sampled_heldout_accuracy": score.accuracy})


def _evaluate_at_the_end(training: Training) -> None:
    """Measure what models are compared by, on all held-out sequences."""
    if training.history.has(training.step, "heldout_loss"):
        return  # a state of the end was gone on with
    if not training.history.has(training.step, "sampled_heldout_loss"):
        _evaluate(training)  # the time budget ran out while saving: the end was not evaluated yet
    for role, trainee in training.trainees.items():
        score, by_source = evaluate_sources(trainee, training.heldout, training.side_by_side)
        measured = {"heldout_loss": score.loss, "heldout_accuracy": score.accuracy, "heldout_loss_error": score.error}
        if len(by_source) > 1:
            measured |= {f"heldout_loss/{source}": each.loss for source, each in by_source.items()}
        if FAMILIES[trainee.model.config.model_type].objective == "clm":
            measured["heldout_perplexity"] = math.exp(score.loss)
        _add(training, role, measured)


def _add(training: Training, role: Role, measured: Mapping[str, float]) -> None:
    """Keep measurements of a model, and track them."""
    step = training.step
    for metric, value in measured.items():
        training.history.add(step, step * training.tokens_per_step, role, metric, value)
    log_metrics(training.label, step, {f"{role}_{metric}": value for metric, value in measured.items()})


def _is_due(before: float, done: float, times: int) -> bool:
    """Whether one of `times` evenly spread moments of the training falls between two shares of it; its end is one."""
    passed, passed_before = (int(share * times + ROUNDING) for share in (done, before))
    return passed > passed_before


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
