"""How long a training is: so many steps, tokens, epochs or minutes."""

from dataclasses import dataclass
from functools import lru_cache

from ctcd.distillation.methods import Method, Role
from ctcd.modeling.architecture import Vocabulary, build_model, build_outline
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.operations import Operations, count_operations
from ctcd.modeling.settings import ModelParameters
from ctcd.pretraining.settings import PretrainingParameters


@dataclass(unsafe_hash=True)
class AssumedVocabulary:
    """Stands in for a tokenizer of which only the size matters."""

    size: int
    pad_token_id: int = 0
    cls_token_id: int = 0
    sep_token_id: int = 0

    def __len__(self) -> int:
        """Number of ids."""
        return self.size


def in_steps(
    settings: PretrainingParameters,
    method: Method,
    tokenizer: Vocabulary,
    sequence_length: int,
    sequences: int,
) -> PretrainingParameters:
    """The settings with the budget as a number of steps, unless it is in minutes: they are counted by a clock.

    Args:
        settings: with a budget of any kind.
        method: whose operations are to match a pair's, where that is asked for.
        tokenizer: whose vocabulary the models have.
        sequence_length: tokens.
        sequences: in an epoch.
    """
    if settings.minutes is not None:
        minutes = settings.minutes * settings.budget
        return settings.model_copy(update={"steps": 0, "minutes": minutes or None, "budget": 1.0})
    steps: float = settings.steps
    if settings.tokens is not None:
        steps = settings.tokens / (settings.batch_size * sequence_length)
    if settings.epochs is not None:
        steps = settings.epochs * sequences / settings.batch_size
    if settings.matched_operations and steps:
        steps *= _pair_share(settings, method, tokenizer, sequence_length)
    steps *= settings.budget
    least = 1 if steps else 0
    resolved = {"steps": max(least, round(steps)), "tokens": None, "epochs": None}
    return settings.model_copy(update=resolved | {"budget": 1.0, "matched_operations": False})


def operations_of(
    settings: PretrainingParameters, tokenizer: Vocabulary, sequence_length: int
) -> dict[Role, Operations]:
    """What a token costs either model."""
    shapes: dict[Role, ModelParameters] = {"teacher": settings.teacher, "student": settings.student}
    return {role: _count(shape, tokenizer, sequence_length, settings.masking_share) for role, shape in shapes.items()}


@lru_cache(maxsize=8)
def _count(shape: ModelParameters, tokenizer: Vocabulary, sequence_length: int, masking_share: float) -> Operations:
    share = predicted_share(shape, masking_share)
    try:
        return count_operations(build_outline(shape, tokenizer, sequence_length), sequence_length, share)
    except RuntimeError:  # some families look at values, which an outline has not
        model = build_model(shape, tokenizer, sequence_length, seed=0, role="outline")
        return count_operations(model, sequence_length, share)


def spent_operations(method: Method, operations: dict[Role, Operations]) -> float:
    """What a token costs a method: forward and backward of what it trains, forward of what else it learns from."""
    trained = sum(operations[role].training for role in method.trained)
    return trained + sum(operations[role].forward for role in method.sources)


def _pair_share(settings: PretrainingParameters, method: Method, tokenizer: Vocabulary, sequence_length: int) -> float:
    """The operations of training both models by those of the method."""
    operations = operations_of(settings, tokenizer, sequence_length)
    return sum(each.training for each in operations.values()) / spent_operations(method, operations)


def predicted_share(shape: ModelParameters, masking_share: float) -> float:
    """Share of the positions that a model predicts: causal models predict all."""
    return masking_share if FAMILIES[shape.architecture].objective == "mlm" else 1.0
