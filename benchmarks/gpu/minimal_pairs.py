"""Minimal pairs: how often a masked language model prefers the grammatical sentence, without any fine-tuning."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

SEQUENCES_AT_ONCE = 4096


def prepare_pairs(path: Path, per_paradigm: int) -> pd.DataFrame:
    """The first pairs of every paradigm of a file: paradigm, sentence_good, sentence_bad."""
    table = pd.read_parquet(path, columns=["paradigm", "sentence_good", "sentence_bad"])
    return table.groupby("paradigm", sort=True).head(per_paradigm).reset_index(drop=True)


def score_pairs(folder: Path, tokenizer: PreTrainedTokenizerBase, pairs: pd.DataFrame, device: str) -> pd.DataFrame:
    """Accuracy of a model on every paradigm.

    A sentence is scored by its pseudo-log-likelihood (Salazar et al. 2020): the sum, over its tokens, of the
    log-probability of each when it alone is masked. Ties count one half.

    Returns:
        paradigm, accuracy, pairs.
    """
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    sentences = [*pairs["sentence_good"], *pairs["sentence_bad"]]
    scores = _pseudo_log_likelihoods(model, tokenizer, sentences, device)
    good, bad = scores[: len(pairs)], scores[len(pairs) :]
    right = np.where(good == bad, 0.5, good > bad)
    table = pd.DataFrame({"paradigm": pairs["paradigm"], "right": right})
    grouped = table.groupby("paradigm")["right"]
    return pd.DataFrame({"accuracy": grouped.mean(), "pairs": grouped.size()}).reset_index()


@torch.inference_mode()
def _pseudo_log_likelihoods(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str], device: str
) -> np.ndarray:
    """(sentences,) sums of log-probabilities in float64; sentences of one length go through the model together."""
    by_length = defaultdict(list)
    for number, ids in enumerate(tokenizer(sentences)["input_ids"]):
        by_length[len(ids)].append((number, ids))
    totals = torch.zeros(len(sentences), dtype=torch.float64, device=device)
    for length, members in sorted(by_length.items()):
        numbers = torch.tensor([number for number, _ in members], device=device)
        tokens = torch.tensor([ids for _, ids in members], device=device)
        positions = torch.arange(1, length - 1, device=device)
        for rows in torch.arange(len(tokens), device=device).split(max(1, SEQUENCES_AT_ONCE // max(1, length - 2))):
            inputs = tokens[rows].repeat_interleave(len(positions), 0)
            at = positions.repeat(len(rows))
            each = torch.arange(len(inputs), device=device)
            labels = inputs[each, at]
            inputs[each, at] = tokenizer.mask_token_id
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                hidden = model.base_model(input_ids=inputs).last_hidden_state[each, at]
            logits = model.cls(hidden.float())
            chosen = logits.log_softmax(-1).gather(1, labels[:, None]).squeeze(1).double()
            totals.index_add_(0, numbers[rows].repeat_interleave(len(positions)), chosen)
    return totals.cpu().numpy()
