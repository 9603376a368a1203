"""From two models as most people would train them to ctcd, one step at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM
from workload import LAYERS, ROLES, Shape

from engine import (
    BETAS,
    LEARNING_RATE,
    MAXIMUM_NORM,
    WEIGHT_DECAY,
    EngineTraining,
    Execution,
    Terms,
    closed_form_losses,
    joint_weights,
    logits_at_positions,
    make_model,
    masked_batch,
)

NOT_PREDICTED = -100


@dataclass(frozen=True)
class Rung:
    """What has been done so far; as it stands it is the plain baseline."""

    dropout: float = 0.1
    head_at_predicted_positions: bool = False
    closed_form: bool = False
    last_layer_at_predicted_positions: bool = False
    fused_optimiser: bool = False
    huge_pages: bool = False
    own_step: bool = False  # halves side by side where that pays, gradients of embeddings only where they are not zero
    bfloat16: bool = False
    plain_attention: bool = False
    compiled: bool = False


PLAIN = "plain"
# Each rung keeps what the ones before it changed.
CHANGES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "no dropout": {"dropout": 0.0},
    "head at predicted positions": {"head_at_predicted_positions": True},
    "closed-form loss": {"closed_form": True},
    "last layer at predicted positions": {"last_layer_at_predicted_positions": True},
    "fused AdamW": {"fused_optimiser": True},
    "huge pages": {"huge_pages": True},
    "ctcd's own step": {"own_step": True},
    "bfloat16": {"bfloat16": True},
    "attention as plain products": {"plain_attention": True},
    "torch.compile": {"compiled": True},
}


def climb() -> Iterator[tuple[str, Rung]]:
    """Every rung with its name."""
    rung = Rung()
    for name, change in CHANGES.items():
        rung = replace(rung, **change)
        yield name, rung


def start_rung(rung: Rung, shape: Shape, device: str, in_turn: bool = False) -> "PlainTraining | EngineTraining":
    """Models in training on a rung; `in_turn` has both run in one thread all the same."""
    if rung.own_step:
        execution = Execution(
            device,
            bfloat16=rung.bfloat16,
            compiled=rung.compiled,
            side_by_side=not in_turn,
            plain_attention=rung.plain_attention,
        )
        return EngineTraining(shape, "ctcd", execution)
    return PlainTraining(rung, shape, device)


class PlainTraining:
    """Two `BertForMaskedLM` trained together on one of the rungs below ctcd's own step."""

    def __init__(self, rung: Rung, shape: Shape, device: str) -> None:
        """Build both models and their optimisers."""
        self._rung, self._shape, self._device = rung, shape, device
        self._step_number = 0
        self.models = {role: plain_model(shape, role, rung.dropout).to(device).train() for role in ROLES}
        self._logits = {role: logits_at_positions(model) for role, model in self.models.items()}
        self._optimisers = [_optimiser(model, rung.fused_optimiser) for model in self.models.values()]

    def use_initial_weights(self) -> None:
        """Start from the very weights that ctcd's models start from."""
        for role, model in self.models.items():
            model.load_state_dict(make_model(self._shape, role).state_dict())

    def advance(self, steps: int) -> None:
        """Train for some steps."""
        for _ in range(steps):
            self.next_losses()

    def next_losses(self) -> Terms:
        """Train for one step and say its losses."""
        self._step_number += 1
        batch = masked_batch(self._shape, self._step_number, self._device)
        if self._rung.head_at_predicted_positions:
            total, terms = self._losses_at_predicted(batch.input_ids, batch.positions, batch.labels)
        else:
            labels = torch.full_like(batch.input_ids, NOT_PREDICTED).flatten()
            labels[batch.positions] = batch.labels
            total, terms = self._losses_everywhere(batch.input_ids, labels.view_as(batch.input_ids))
        for optimiser in self._optimisers:
            optimiser.zero_grad()
        total.backward()
        for model in self.models.values():
            nn.utils.clip_grad_norm_(model.parameters(), MAXIMUM_NORM)
        for optimiser in self._optimisers:
            optimiser.step()
        teacher_hard, teacher_soft, student_hard, student_soft = terms
        return teacher_hard.item(), teacher_soft.item(), student_hard.item(), student_soft.item()

    def close(self) -> None:
        """Nothing to end."""

    def _losses_everywhere(self, input_ids: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits and cross-entropy at all positions, as the models give them; KL where a token was predicted."""
        teacher, student = (self.models[role](input_ids=input_ids, labels=labels) for role in ROLES)
        predicted = labels != NOT_PREDICTED
        return _separate_losses(teacher.loss, student.loss, teacher.logits[predicted], student.logits[predicted])

    def _losses_at_predicted(self, input_ids: Tensor, positions: Tensor, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The head applied to the hidden states of predicted positions alone."""
        if self._rung.last_layer_at_predicted_positions:
            teacher_logits, student_logits = (self._logits[role](input_ids, positions) for role in ROLES)
        else:
            teacher_logits, student_logits = (
                model.cls(model.bert(input_ids=input_ids).last_hidden_state.flatten(0, 1)[positions])
                for model in self.models.values()
            )
        if self._rung.closed_form:
            return closed_form_losses(teacher_logits, student_logits, labels)
        teacher_hard, student_hard = (
            functional.cross_entropy(logits, labels) for logits in (teacher_logits, student_logits)
        )
        return _separate_losses(teacher_hard, student_hard, teacher_logits, student_logits)


def _separate_losses(
    teacher_hard: Tensor, student_hard: Tensor, teacher_logits: Tensor, student_logits: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Both divergences from scratch, each with its two softmaxes; the weighted total and the four terms."""
    teacher_soft = functional.kl_div(
        functional.log_softmax(teacher_logits, -1),
        functional.softmax(student_logits.detach(), -1),
        reduction="batchmean",
    )
    student_soft = functional.kl_div(
        functional.log_softmax(student_logits, -1),
        functional.softmax(teacher_logits.detach(), -1),
        reduction="batchmean",
    )
    weights = joint_weights()
    total = (
        weights.teacher_hard * teacher_hard
        + weights.teacher_soft * teacher_soft
        + weights.student_hard * student_hard
        + weights.student_soft * student_soft
    )
    return total, [teacher_hard, teacher_soft, student_hard, student_soft]


def plain_model(shape: Shape, role: str, dropout: float) -> BertForMaskedLM:
    """BERT as transformers makes it."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=LAYERS[role],
            num_attention_heads=shape.heads,
            intermediate_size=shape.feed_forward,
            max_position_embeddings=shape.length,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )


def _optimiser(model: nn.Module, fused: bool) -> optim.AdamW:
    """The usual two groups: biases and normalisation weights are not decayed."""
    weights = list(model.parameters())
    groups = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, fused=True if fused else None)
