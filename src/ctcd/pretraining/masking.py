"""Dynamic masking, drawn from (seed, step) alone: every variant and every resumed run sees the same batches."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ctcd.engine.randomness import random_bits, seed_from

MASKED, RANDOM = 0.8, 0.1  # of the predicted positions; the rest keep their token (Devlin et al. 2018)
_HALF = 1 << 62


class PredictionBatch(NamedTuple):
    """What a model reads and what it is to predict."""

    input_ids: Tensor  # (sequences, length)
    positions: Tensor  # (positions,) indices into the flattened batch, ascending
    labels: Tensor  # (positions,) the true tokens
    noise_seeds: Tensor  # (positions,) of the noise on the logits that are learned from; (0,) without noise

    def halves(self) -> "list[PredictionBatch]":
        """The first and the second half of the sequences; a half with nothing to predict is left out."""
        sequences, length = self.input_ids.shape
        middle = sequences // 2
        before = int(torch.searchsorted(self.positions, middle * length))
        first = PredictionBatch(
            self.input_ids[:middle], self.positions[:before], self.labels[:before], self.noise_seeds[:before]
        )
        second = PredictionBatch(
            self.input_ids[middle:],
            self.positions[before:] - middle * length,
            self.labels[before:],
            self.noise_seeds[before:],
        )
        return [half for half in (first, second) if len(half.labels)]


class Masking(NamedTuple):
    """What masking needs to know of a tokenizer."""

    special_ids: Tensor  # (specials,) ids that are never predicted while there are others
    mask_id: int
    vocabulary_size: int
    share: float


def masking_for(tokenizer: PreTrainedTokenizerBase, share: float, device: torch.device) -> Masking:
    """Masking of `share` of the positions with a tokenizer's mask token, on a device."""
    special_ids = torch.tensor(sorted(tokenizer.all_special_ids), device=device)
    return Masking(special_ids, tokenizer.mask_token_id, len(tokenizer), share)


def mask_tokens(token_ids: Tensor, masking: Masking, seed: int, step: int) -> PredictionBatch:
    """Choose positions and hide their tokens: 80 % by the mask, 10 % by a random token, 10 % not at all.

    Every sequence has its share of the predicted positions, up to rounding, and their numbers depend on the batch's
    shape only: so shapes stay static, also those of parts of the batch, and nothing waits for the device. Special
    tokens are chosen where ordinary ones do not suffice.

    Args:
        token_ids: (sequences, length), on the device where the batch is wanted; the result is the same on every one.
        masking: special tokens, vocabulary and share.
        seed: with `step` the only source of randomness.
        step: number of the training step.
    """
    tokens = token_ids.reshape(-1)
    counters = torch.arange(tokens.numel(), device=tokens.device)
    order = random_bits(counters, seed_from(seed, step, "positions")) >> 1
    order = order - _HALF * torch.isin(tokens, masking.special_ids)
    positions = _highest_of_each(order.view_as(token_ids), masking.share)
    labels = tokens[positions]

    draw = random_bits(positions, seed_from(seed, step, "replacement")) & ((1 << 31) - 1)
    random_ids = (random_bits(positions, seed_from(seed, step, "token")) >> 32) * masking.vocabulary_size >> 31
    replaced = torch.where(draw < round((MASKED + RANDOM) * (1 << 31)), random_ids, labels)
    shown = torch.where(draw < round(MASKED * (1 << 31)), masking.mask_id, replaced)
    input_ids = tokens.index_copy(0, positions, shown).view_as(token_ids)
    return PredictionBatch(input_ids, positions, labels, positions[:0])


def _highest_of_each(order: Tensor, share: float) -> Tensor:
    """Indices into the flattened (sequences, length) of each sequence's highest entries, ascending."""
    most, wanted = _places(*order.shape, share, order.device)
    starts = torch.arange(0, order.numel(), order.shape[1], device=order.device)
    highest = order.topk(most, dim=1).indices + starts.unsqueeze(1)
    return highest.flatten().index_select(0, wanted).sort().values


@lru_cache(maxsize=8)
def _places(sequences: int, length: int, share: float, device: torch.device) -> tuple[int, Tensor]:
    """How many entries to look for in each sequence, and which of all that are found to keep.

    Of the first i sequences `share` of all entries is kept, rounded; at least one.
    """
    last = torch.arange(1, sequences + 1, dtype=torch.float64).mul_(share * length).round_().clamp_(min=1).long()
    counts = last.diff(prepend=last.new_zeros(1))
    most = int(counts.max())
    return most, (torch.arange(most) < counts.unsqueeze(1)).flatten().nonzero().squeeze(1).to(device)


def next_tokens(token_ids: Tensor) -> PredictionBatch:
    """Predict every token but the first from those before it (causal models).

    Args:
        token_ids: (sequences, length).
    """
    sequences, length = token_ids.shape
    indices = torch.arange(sequences * length, device=token_ids.device).view(sequences, length)
    positions = indices[:, :-1].flatten()
    return PredictionBatch(token_ids, positions, token_ids[:, 1:].flatten(), positions[:0])


def with_noise_seeds(batch: PredictionBatch, seed: int, step: int) -> PredictionBatch:
    """The batch of a step with seeds of noise, one for each predicted position."""
    counters = torch.arange(len(batch.positions), device=batch.positions.device)
    return batch._replace(noise_seeds=random_bits(counters, seed_from(seed, step, "noise")))
