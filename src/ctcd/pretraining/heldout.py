"""Loss on held-out text."""

from collections.abc import Callable
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
    """Means over the predicted positions of held-out text."""

    loss: float  # nats
    accuracy: float


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


def first_sequences(batches: list[PredictionBatch], count: int) -> list[PredictionBatch]:
    """The first batches, with about `count` sequences."""
    return batches[: max(1, count // SEQUENCES_AT_ONCE)]


def evaluate(trainee: Trainee, batches: list[PredictionBatch], side_by_side: SideBySide) -> HeldoutScore:
    """Loss and accuracy of a model over all batches, every predicted position weighing the same."""
    trainee.model.eval()
    halves = (batches[0::2], batches[1::2])
    with trainee.kept_weights():
        loss, correct = torch.stack(side_by_side(*(partial(_sums, trainee, half) for half in halves))).sum(0)
    trainee.model.train()
    positions = sum(len(batch.labels) for batch in batches)
    return HeldoutScore(float(loss) / positions, float(correct) / positions)


@torch.no_grad()
def _sums(trainee: Trainee, batches: list[PredictionBatch]) -> Tensor:
    """Summed loss and number of correct predictions: (2,)."""
    sums = torch.zeros(2, device=trainee.hardware.device)
    for batch in batches:
        # Not the compiled function: the last batch is smaller, and every new shape would be compiled anew.
        logits = trainee.logits(batch.input_ids, batch.positions)
        loss = functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(1) == batch.labels).sum()])
    return sums
