"""Dynamic masking, drawn from (seed, step) alone: every variant and every resumed run sees the same batches."""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ctcd.randomness import seed_from

MASKED, RANDOM = 0.8, 0.1  # of the predicted positions; the rest keep their token (Devlin et al. 2018)


class Masking(NamedTuple):
    """What masking needs to know of a tokenizer."""

    special_ids: Tensor  # (specials,) ids that are never predicted
    mask_id: int
    vocabulary_size: int
    share: float


class MaskedBatch(NamedTuple):
    """A batch for masked-language modelling."""

    input_ids: Tensor  # (sequences, length), with masks
    positions: Tensor  # (positions,) indices into the flattened batch, ascending
    labels: Tensor  # (positions,) the true tokens there

    def to(self, device: torch.device) -> "MaskedBatch":
        """The same batch on a device."""
        return MaskedBatch(*(part.to(device) for part in self))


def masking_for(tokenizer: PreTrainedTokenizerBase, share: float) -> Masking:
    """Masking of `share` of the positions with a tokenizer's mask token."""
    return Masking(torch.tensor(sorted(tokenizer.all_special_ids)), tokenizer.mask_token_id, len(tokenizer), share)


def mask_tokens(token_ids: Tensor, masking: Masking, seed: int, step: int) -> MaskedBatch:
    """Choose positions and hide their tokens: 80 % by the mask, 10 % by a random token, 10 % not at all.

    The number of predicted positions depends on the batch's shape only (shapes stay static), unless a batch has fewer
    ordinary tokens than that.

    Args:
        token_ids: (sequences, length) on the CPU.
        masking: special tokens, vocabulary and share.
        seed: with `step` the only source of randomness.
        step: number of the training step.
    """
    generator = torch.Generator().manual_seed(seed_from(seed, step))
    tokens = token_ids.reshape(-1)
    ordinary = torch.isin(tokens, masking.special_ids, invert=True)
    wanted = max(1, round(masking.share * tokens.numel()))
    count = min(wanted, int(ordinary.sum()))
    order = torch.rand(tokens.numel(), generator=generator).masked_fill_(~ordinary, -1.0)
    positions = order.topk(count).indices.sort().values
    labels = tokens[positions]

    draw = torch.rand(count, generator=generator)
    random_ids = torch.randint(masking.vocabulary_size, (count,), generator=generator)
    shown = torch.where(draw < MASKED, masking.mask_id, torch.where(draw < MASKED + RANDOM, random_ids, labels))
    masked = tokens.clone()
    masked[positions] = shown
    return MaskedBatch(masked.view_as(token_ids), positions, labels)
