"""Loss on held-out text."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ctcd.corpus.shards import Sequences
from ctcd.engine.side_by_side import SideBySide
from ctcd.pretraining.masking import PredictionBatch
from ctcd.pretraining.models import Trainee

SEQUENCES_AT_ONCE = 64
# The held-out masks are the same for every model, variant and seed, whatever they train with.
SEED, MASKING_SHARE = 0, 0.15


class HeldoutScore(NamedTuple):
    """Means over the predicted positions of held-out text.

    Attributes:
        loss: in nats.
        accuracy: a share.
        error: of the loss, by the choice of the text: its standard error over sequences; NaN of a single one.
    """

    loss: float
    accuracy: float
    error: float


def heldout_batches(
    sequences: Sequences, prepare: Callable[[torch.Tensor, int, int], PredictionBatch]
) -> list[PredictionBatch]:
    """All held-out sequences, with what is to be predicted chosen once and for all.

    Args:
        sequences: held-out text.
        prepare: makes a batch of tokens, a seed and a number.
    """
    indices = np.arange(len(sequences))
    batches = []
    for number, start in enumerate(range(0, len(indices), SEQUENCES_AT_ONCE)):
        tokens = torch.from_numpy(sequences.rows(indices[start : start + SEQUENCES_AT_ONCE]))
        batches.append(prepare(tokens, SEED, number))
    return batches


def sample_of(batches: Mapping[str, list[PredictionBatch]], count: int) -> list[PredictionBatch]:
    """The first batches of every source, with about `count` sequences, as many of each source."""
    each = max(1, count // SEQUENCES_AT_ONCE // len(batches))
    return [batch for of_source in batches.values() for batch in of_source[:each]]


def evaluate(trainee: Trainee, batches: list[PredictionBatch], side_by_side: SideBySide) -> HeldoutScore:
    """Score a model on all batches, every predicted position weighing the same."""
    return _score(_measure(trainee, batches, side_by_side))


def evaluate_sources(
    trainee: Trainee, batches: Mapping[str, list[PredictionBatch]], side_by_side: SideBySide
) -> tuple[HeldoutScore, dict[str, HeldoutScore]]:
    """Score a model on all text, and on each source of it."""
    measured = {source: _measure(trainee, each, side_by_side) for source, each in batches.items()}
    return _score(torch.cat(list(measured.values()))), {source: _score(each) for source, each in measured.items()}


def _score(sequences: Tensor) -> HeldoutScore:
    """The means; the loss is a ratio of two sums over sequences, and so is its error (Cochran 1977, section 6.3)."""
    loss, correct, positions = sequences.sum(0).tolist()
    mean, count = loss / positions, len(sequences)
    residuals = sequences[:, 0] - mean * sequences[:, 2]
    error = float(residuals.square().sum()) * count / (count - 1) if count > 1 else math.nan
    return HeldoutScore(mean, correct / positions, math.sqrt(error) / positions)


def _measure(trainee: Trainee, batches: list[PredictionBatch], side_by_side: SideBySide) -> Tensor:
    """Summed loss, number of correct predictions and of predictions of each sequence: (sequences, 3)."""
    trainee.model.eval()
    halves = [half for half in (batches[0::2], batches[1::2]) if half]
    with trainee.kept_weights():
        measured = torch.cat(side_by_side(*(partial(_sums, trainee, half) for half in halves)))
    trainee.model.train()
    return measured.double().cpu()


@torch.no_grad()
def _sums(trainee: Trainee, batches: list[PredictionBatch]) -> Tensor:
    sums = []
    for batch in batches:
        # Not the compiled function: the last batch is smaller, and every new shape would be compiled anew.
        logits = trainee.logits(batch.input_ids, batch.positions)
        loss = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
        correct = logits.argmax(1) == batch.labels
        values = torch.stack([loss, correct.float(), torch.ones_like(loss)], dim=1)
        sequences, length = batch.input_ids.shape
        everywhere = values.new_zeros(sequences * length, 3).index_copy_(0, batch.positions, values)
        sums.append(everywhere.view(sequences, length, 3).sum(1))
    return torch.cat(sums)
