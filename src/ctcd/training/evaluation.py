"""Masked-language-model loss on held-out text."""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from ctcd.corpus.masking import MaskedBatch, Masking, mask_tokens
from ctcd.corpus.shards import Sequences
from ctcd.modeling.logits import predicted_logits
from ctcd.training.precision import Hardware

SEQUENCES_AT_ONCE = 64
SEED = 0  # the held-out masks are the same for every model, variant and seed


class HeldoutScore(NamedTuple):
    """Means over the predicted positions of held-out text."""

    loss: float  # nats
    accuracy: float


def heldout_batches(sequences: Sequences, masking: Masking, count: int, hardware: Hardware) -> list[MaskedBatch]:
    """The first `count` held-out sequences, masked once and for all."""
    indices = np.arange(min(count, len(sequences)))
    batches = []
    for number, start in enumerate(range(0, len(indices), SEQUENCES_AT_ONCE)):
        tokens = torch.from_numpy(sequences.rows(indices[start : start + SEQUENCES_AT_ONCE]))
        batches.append(mask_tokens(tokens, masking, SEED, number).to(hardware.device))
    return batches


@torch.no_grad()
def evaluate(model: PreTrainedModel, batches: list[MaskedBatch], hardware: Hardware) -> HeldoutScore:
    """Loss and accuracy of a model over all batches, every predicted position weighing the same."""
    was_training = model.training
    model.eval()
    loss = torch.zeros((), device=hardware.device)
    correct = torch.zeros((), device=hardware.device)
    for batch in batches:
        with hardware.autocast():
            logits = predicted_logits(model, batch.input_ids, batch.positions)
        loss += functional.cross_entropy(logits.float(), batch.labels, reduction="sum")
        correct += (logits.argmax(1) == batch.labels).sum()
    model.train(was_training)
    positions = sum(len(batch.labels) for batch in batches)
    return HeldoutScore(float(loss) / positions, float(correct) / positions)
