"""Every call into `ctcd` that the pre-training benchmark makes: when its interface changes, this file alone follows."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from configuration import execution_parameters
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from workload import LAYERS, PREDICTED_SHARE, ROLES, SPECIAL_TOKENS, Shape, token_ids_of

from ctcd.distillation.losses import distillation_losses
from ctcd.distillation.methods import METHODS, Weights
from ctcd.engine.hardware import Hardware, choose_hardware
from ctcd.engine.settings import OptimiserParameters
from ctcd.engine.side_by_side import SideBySide
from ctcd.modeling.architecture import build_model
from ctcd.modeling.logits import PredictedLogits
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.batches import to_device
from ctcd.pretraining.masking import Masking, PredictionBatch, mask_tokens, masking_for
from ctcd.pretraining.models import FrozenModel, Model, NoModel, Trainee
from ctcd.pretraining.setup import can_share_a_step
from ctcd.pretraining.step import Pair, build_learner

LEARNING_RATE = 1e-4
BETAS = (0.9, 0.98)  # the ones of ctcd.engine.optimiser
WEIGHT_DECAY = 0.01
MAXIMUM_NORM = 1.0
SEED = 1
MEASURED_METHODS = ("teacher_alone", "student_alone", "standalone", "one_way", "ctcd")

Compile = Literal["auto", "always", "never"]
Terms = tuple[float, float, float, float]  # teacher's hard and soft loss, student's hard and soft loss, unweighted


@dataclass(frozen=True)
class Execution:
    """How ctcd's step is run."""

    device: str
    bfloat16: bool = False
    compiled: bool = False
    side_by_side: bool = True
    plain_attention: bool = True  # where ctcd chooses it: bfloat16 on a CPU


@lru_cache(maxsize=1)
def make_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of so many made-up words: models and masking only ask for its size and its special tokens."""
    words = [*SPECIAL_TOKENS, *(f"word{number}" for number in range(vocabulary - len(SPECIAL_TOKENS)))]
    backend = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def masked_batch(shape: Shape, step: int, device: str) -> PredictionBatch:
    """The batch of a step, the same for every contender."""
    tokens = to_device(token_ids_of(shape, step), torch.device(device))
    return mask_tokens(tokens, _masking(shape.vocabulary, device), SEED, step)


@lru_cache(maxsize=1)
def _masking(vocabulary: int, device: str) -> Masking:
    """Made once: a new tensor of special tokens would have a GPU waited for at every step."""
    return masking_for(make_tokenizer(vocabulary), PREDICTED_SHARE, torch.device(device))


def make_model(shape: Shape, role: str) -> PreTrainedModel:
    """BERT of a shape and role with ctcd's initial weights, without dropout."""
    parameters = ModelParameters(
        architecture="bert",
        layers=LAYERS[role],
        width=shape.width,
        heads=shape.heads,
        feed_forward=shape.feed_forward,
    )
    return build_model(parameters, make_tokenizer(shape.vocabulary), shape.length, SEED, role)


def joint_weights() -> Weights:
    """The paper's weights of the four losses."""
    return METHODS["ctcd"].weights


def closed_form_losses(teacher_logits: Tensor, student_logits: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The weighted total, which carries the gradient, and the four unweighted terms."""
    losses = distillation_losses(teacher_logits, student_logits, labels, joint_weights())
    return losses.total, list(losses[1:])


def logits_at_positions(model: PreTrainedModel) -> Callable[[Tensor, Tensor], Tensor]:
    """Ctcd's logits of a model: neither its head nor the end of its last layer sees other positions."""
    return PredictedLogits(model)


def chosen_execution(shape: Shape, device: str, compile: Compile = "auto") -> Execution:
    """What ctcd chooses by itself: bfloat16 where the hardware is fast at it and the models are wide enough."""
    execution = execution_parameters(device="cuda" if device == "cuda" else "cpu", compile=compile)
    hardware = choose_hardware(execution, shape.width)
    return Execution(device, bfloat16=hardware.dtype == torch.bfloat16, compiled=hardware.compiles)


class EngineTraining:
    """Models in training by one of `MEASURED_METHODS`, with ctcd's own step."""

    def __init__(self, shape: Shape, method: str, execution: Execution) -> None:
        """Build the models that the method needs."""
        self._shape, self._device = shape, execution.device
        self._step_number = 0
        self._hardware = Hardware(
            torch.device(execution.device),
            torch.bfloat16 if execution.bfloat16 else torch.float32,
            compiles=execution.compiled,
        )
        self._method = METHODS[method]
        self._models = {role: self._start(role, execution) for role in ROLES}
        self._running = ExitStack()
        models = [each.model for each in self._models.values() if isinstance(each, Trainee)]
        in_threads = execution.side_by_side and can_share_a_step(self._hardware, models, shape.tokens_per_step)
        side_by_side = self._running.enter_context(SideBySide(in_threads))
        pair = Pair(self._models["teacher"], self._models["student"], self._method.weights)
        self._learner = build_learner([pair], 1.0, 0.0, self._hardware, side_by_side)

    def advance(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            self.step(self._next_batch())

    def next_losses(self) -> Terms:
        """Train for one step and say its losses."""
        teacher_hard, teacher_soft, student_hard, student_soft = self.step(self._next_batch())
        return float(teacher_hard), float(teacher_soft), float(student_hard), float(student_soft)

    def close(self) -> None:
        """End the threads."""
        self._running.close()

    def _start(self, role: str, execution: Execution) -> Model:
        if role not in self._method.trained and not self._method.has_source:
            return NoModel()
        settings = OptimiserParameters(
            name="adamw",
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            maximum_gradient_norm=MAXIMUM_NORM,
        )
        model = make_model(self._shape, role)
        if self._method.frozen == role:
            return FrozenModel(model, self._hardware)
        trainee = Trainee.start(model, settings, self._hardware)
        if not execution.plain_attention:
            model.set_attn_implementation("sdpa")
        return trainee

    def step(self, batch: PredictionBatch) -> list[Tensor]:
        """Train on a batch; gives the losses of `Terms`, on the device."""
        return list(self._learner.learn(1.0, 1.0, *batch).figures.unbind())

    def _next_batch(self) -> PredictionBatch:
        self._step_number += 1
        return masked_batch(self._shape, self._step_number, self._device)
