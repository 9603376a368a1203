"""What a pre-training takes before its first step: tokens, floating-point operations, time and memory."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from time import perf_counter
from typing import NamedTuple

import torch

from ctcd.corpus.settings import CorpusParameters
from ctcd.distillation.methods import Method, Role
from ctcd.engine.hardware import Hardware
from ctcd.engine.optimiser import layer_matrices
from ctcd.modeling.architecture import build_outline, parameter_count
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.budget import AssumedVocabulary, operations_of, predicted_share, spent_operations
from ctcd.pretraining.settings import PretrainingParameters

# English, mixed as by conf/paper: 14 in BookCorpus (66 bytes in a row), 31 in Wikipedia (counted in 400 articles).
PIECES_PER_SENTENCE = 21
# Share of the speed of large matrix products that a training step reaches: docs/speed.md has 0.35 to 0.5 on a CPU.
UTILISATION = 0.4
MEASURED_SECONDS = 0.2
FEWEST_PRODUCTS = 3
MEASURED_SIDES = {"cpu": 1024, "cuda": 8192}
FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak of a step, roughly; what the process takes without models is not in them."""

    weights: float
    gradients: float
    moments: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(astuple(self))


@dataclass(frozen=True)
class Estimate:
    """What one pre-training takes; `tokens` are those that each model reads."""

    tokens: float
    operations: float
    memory: Memory


def assumed_sequences(corpus: CorpusParameters) -> int | None:
    """Training sequences that a corpus of `corpus.sentences` sentences is going to have; None without this number."""
    if corpus.sentences is None:
        return None
    pieces = corpus.sentences * PIECES_PER_SENTENCE * (1 - corpus.heldout_share)
    return round(pieces / (corpus.sequence_length - 2))


def estimate(
    settings: PretrainingParameters,
    method: Method,
    tokenizer: AssumedVocabulary,
    sequence_length: int,
    hardware: Hardware,
    speed: float,
) -> Estimate:
    """Estimate one training.

    Args:
        settings: with the budget in steps or minutes.
        method: of the training.
        tokenizer: whose size the models' vocabulary has.
        sequence_length: tokens.
        hardware: what it is going to run on.
        speed: operations per second in training, for a budget in minutes.
    """
    per_token = spent_operations(method, operations_of(settings, tokenizer, sequence_length))
    if settings.minutes is not None:
        operations = 60 * settings.minutes * speed
        tokens = operations / per_token
    else:
        tokens = float(settings.steps * settings.batch_size * sequence_length)
        operations = tokens * per_token
    return Estimate(tokens, operations, estimate_memory(settings, method, tokenizer, sequence_length, hardware))


def combined(estimates: Sequence[Estimate]) -> Estimate:
    """What some trainings take one after the other; tokens of two models that read the same ones count twice."""
    return Estimate(
        sum(each.tokens for each in estimates),
        sum(each.operations for each in estimates),
        max((each.memory for each in estimates), key=lambda memory: memory.total),
    )


def estimate_memory(
    settings: PretrainingParameters,
    method: Method,
    tokenizer: AssumedVocabulary,
    sequence_length: int,
    hardware: Hardware,
) -> Memory:
    """Memory of a step.

    Activations follow Korthikanti et al. 2022 (34 bytes per token, layer and width in 16 bits with dropout and a
    feed-forward part of four widths), with the attention weights only where attention is not fused.
    """
    shapes: dict[Role, ModelParameters] = {"teacher": settings.teacher, "student": settings.student}
    sizes = {role: _size(shape, tokenizer, sequence_length) for role, shape in shapes.items()}
    trained = sum(sizes[role].weights for role in method.trained)
    sources = sum(sizes[role].weights for role in method.sources)
    in_muon = sum(sizes[role].matrices for role in method.trained) if settings.optimiser.name == "muon" else 0
    element = hardware.dtype.itemsize
    tokens = settings.batch_size * sequence_length
    kept_averages = 0 if settings.kept_average_decay is None else trained
    logits = predicted_share(settings.student, settings.masking_share) * tokens * len(tokenizer)
    # Layers have a copy of their weights in the narrower type; logits have a gradient of their own.
    return Memory(
        weights=(trained + sources) * (FLOAT32 + (element if element < FLOAT32 else 0)) + kept_averages * FLOAT32,
        gradients=trained * FLOAT32,
        moments=(2 * trained - in_muon) * FLOAT32,  # Muon keeps one number for each weight, AdamW two
        activations=tokens * sum(_activations(shapes[role], sequence_length, hardware) for role in method.trained),
        logits=logits * (2 * len(method.trained) + len(method.sources)) * element,
    )


def measure_speed(hardware: Hardware) -> float:
    """Floating-point operations per second of the fastest of some large matrix products."""
    side = MEASURED_SIDES[hardware.device.type]
    left, right = (torch.randn(side, side, device=hardware.device).to(hardware.dtype) for _ in range(2))
    seconds: list[float] = []
    while len(seconds) < FEWEST_PRODUCTS or sum(seconds) < MEASURED_SECONDS:
        started = perf_counter()
        left @ right
        if hardware.device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - started)
    return 2 * side**3 / min(seconds)


class _Size(NamedTuple):
    weights: int
    matrices: int  # weights in the matrices of the layers


@lru_cache(maxsize=8)
def _size(shape: ModelParameters, tokenizer: AssumedVocabulary, sequence_length: int) -> _Size:
    model = build_outline(shape, tokenizer, sequence_length)
    return _Size(parameter_count(model), sum(weight.numel() for weight in layer_matrices(model)))


def _activations(shape: ModelParameters, sequence_length: int, hardware: Hardware) -> float:
    """Bytes per token that the backward pass needs of all layers."""
    element, dropout = hardware.dtype.itemsize, 1 if shape.dropout else 0
    per_layer = element * (8 * shape.width + 2 * shape.feed_forward) + dropout * 2 * shape.width
    if hardware.device.type == "cpu" and element < FLOAT32:  # see Hardware.move
        per_layer += shape.heads * sequence_length * (2 * element + dropout)
    return shape.layers * per_layer
