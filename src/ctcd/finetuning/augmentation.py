"""More training examples: copies in which a masked model replaces some words by others that fit."""

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForMaskedLM, PreTrainedModel

from ctcd.engine.hardware import choose_hardware
from ctcd.engine.randomness import seed_from
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.finetuning.buckets import Batch, DeviceSplit, evaluation_batches
from ctcd.finetuning.encoding import TokenizedSplit, TokenizedTask
from ctcd.finetuning.settings import AugmentationParameters
from ctcd.lineage.array_store import ArrayStore
from ctcd.lineage.digest import digest
from ctcd.modeling.model_folder import ModelFolder

logger = logging.getLogger(__name__)

CANDIDATES = 15  # K of Jiao et al. 2020, algorithm 1
TOKENS_AT_ONCE = 2048  # logits of all of them are held at once
VERSION = 1  # of the code, in the names of kept tokens


def augment_training(
    tokenized: TokenizedTask,
    model: ModelFolder,
    settings: AugmentationParameters,
    execution: ExecutionParameters,
    store: ArrayStore,
) -> TokenizedTask:
    """Add copies of all training examples, in which the model itself proposes some of the tokens.

    After Jiao et al. 2020 (TinyBERT), algorithm 1, but by tokens: a share of them is masked at once, and each is
    replaced by one of the model's 15 likeliest others. Labels stay. Other splits stay.

    Args:
        tokenized: a task, by the model's tokenizer.
        model: a masked language model.
        settings: how many copies, and the share.
        execution: device.
        store: where the copies are kept.

    Raises:
        InputError: if the model is no masked language model.
    """
    if settings.copies == 0:
        return tokenized
    identity = (tokenized.fingerprint, VERSION, settings.model_dump())
    key = digest("augmentation", *identity, model.fingerprint())
    arrays = store.load(key)
    if arrays is None:
        logger.info("%s: %d copies of the training examples are made", tokenized.task.name, settings.copies)
        arrays = {"token_ids": _replaced_tokens(tokenized, model, settings, execution)}
        store.save(key, arrays)
    train = _with_copies(tokenized.splits["train"], arrays["token_ids"])
    return replace(tokenized, splits={**tokenized.splits, "train": train}, fingerprint=digest(*identity))


def _with_copies(split: TokenizedSplit, copies: NDArray[np.int32]) -> TokenizedSplit:
    """The examples and, behind them, their copies: (copies, tokens)."""
    times = 1 + len(copies)
    types = None if split.token_types is None else np.tile(split.token_types, times)
    starts = np.concatenate([[0], np.cumsum(np.tile(split.lengths, times))]).astype(np.int64)
    token_ids = np.concatenate([split.token_ids, *copies])
    return TokenizedSplit(token_ids, types, starts, np.tile(split.labels, times))


@torch.inference_mode()
def _replaced_tokens(
    tokenized: TokenizedTask, model: ModelFolder, settings: AugmentationParameters, execution: ExecutionParameters
) -> NDArray[np.int32]:
    """(copies, tokens) of the training split."""
    tokenizer = model.tokenizer()
    network = _masked_model(model, tokenizer.mask_token_id)
    device = choose_hardware(execution, network.config.hidden_size).device
    network.to(device)
    split = tokenized.splits["train"]
    is_special = np.isin(split.token_ids, tokenizer.all_special_ids)
    banned = torch.tensor(tokenizer.all_special_ids, device=device)
    copies = np.tile(split.token_ids, (settings.copies, 1))
    batches = list(evaluation_batches(split.lengths, tokenized.maximum_length, TOKENS_AT_ONCE))
    for number, copy in enumerate(copies):
        random = np.random.default_rng(seed_from("augmentation", tokenized.task.name, number))
        is_hit = (random.random(len(copy)) < settings.share) & ~is_special
        choices = random.integers(0, CANDIDATES, len(copy))
        masked = replace(split, token_ids=np.where(is_hit, tokenizer.mask_token_id, copy).astype(np.int32))
        on_device = DeviceSplit.of(masked, tokenized.padding_id, device)
        for batch, examples in zip(batches, on_device.examples(batches), strict=True):
            inputs, _ = on_device.inputs(examples, batch.shape)
            rows, columns, places = _hits(split, batch, is_hit)
            logits = network(**inputs).logits[torch.from_numpy(rows), torch.from_numpy(columns)].float()
            copy[places] = _chosen(logits, copy[places], choices[places], banned)
    return copies


def _hits(
    split: TokenizedSplit, batch: Batch, is_hit: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where the masked tokens of a batch are: rows and columns in it, and places in the split."""
    positions = np.arange(batch.shape.length)
    places = split.starts[batch.examples][:, None] + positions
    is_token = positions < split.lengths[batch.examples][:, None]
    rows, columns = np.nonzero(is_token & is_hit[np.minimum(places, len(is_hit) - 1)])
    return rows, columns, places[rows, columns]


def _chosen(logits: Tensor, own: NDArray[np.int32], choices: NDArray[np.int64], banned: Tensor) -> NDArray[np.int32]:
    """One of the likeliest tokens for each: neither a special one nor the token that stood there."""
    logits[:, banned] = -torch.inf
    logits.scatter_(1, torch.from_numpy(own.astype(np.int64)).to(logits.device)[:, None], -torch.inf)
    likeliest = logits.topk(CANDIDATES).indices.cpu().numpy()
    found: NDArray[np.int32] = likeliest[np.arange(len(choices)), choices].astype(np.int32)
    return found


def _masked_model(model: ModelFolder, mask: int | None) -> PreTrainedModel:
    configuration = model.configuration()
    is_masked_model = any(name.endswith("ForMaskedLM") for name in configuration.architectures or ())
    if mask is None or not is_masked_model:
        raise InputError(
            f"'{model.folder}' is no masked language model, which finetuning.augmentation needs: set its copies to 0."
        )
    if not model.has_random_weights:
        return AutoModelForMaskedLM.from_pretrained(model.folder, dtype=torch.float32).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForMaskedLM.from_config(configuration, dtype=torch.float32).eval()
