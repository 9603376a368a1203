"""How often a language model finds the good sentence of a minimal pair more likely than the bad one."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import transformers
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.engine.hardware import choose_hardware
from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.lineage.array_store import Arrays, ArrayStore
from ctcd.lineage.digest import digest, table_fingerprint, tokenizer_fingerprint
from ctcd.modeling.families import FAMILIES
from ctcd.modeling.model_folder import ModelFolder
from ctcd.tasks.minimal_pairs import SENTENCES
from ctcd.tasks.sentence_scoring import score_sentences
from ctcd.tasks.suite import joined

logger = logging.getLogger(__name__)

# Stands for the code in the identity of what is kept. Raise it with every change after which a sentence may get another
# score, beyond rounding.
PAIR_SCORING_VERSION = 1
# Scores that differ by no more than this share of their size are a tie: float32 does not tell them apart.
TIE = 1e-6
PARADIGM = ["set", "phenomenon", "paradigm"]
ACCURACY_COLUMNS = [*PARADIGM, "pairs", "accuracy", "equal_length_pairs", "equal_length_accuracy"]


class NoLanguageModelError(InputError):
    """A model whose sentences cannot be scored, by its kind, by what was saved of it, or by its tokenizer."""


def score_pairs(
    model: ModelFolder, sets: Mapping[str, pd.DataFrame], execution: ExecutionParameters, results: ArrayStore
) -> pd.DataFrame:
    """Accuracy of a model on every paradigm of some sets; chance is one half.

    A tie counts one half. Of two sentences the one with fewer tokens has the easier sum, so the same is given for the
    pairs of equal length alone. A pair with a sentence that the model cannot read to its end is left out.

    Args:
        model: a language model's folder.
        sets: tables of pairs.
        execution: device; whether to score anew what is kept.
        results: keeps what was scored, by the model's weights and the pairs.

    Returns:
        set, phenomenon, paradigm, pairs, accuracy (0 to 1), equal_length_pairs, equal_length_accuracy (NaN for no
        pairs).

    Raises:
        NoLanguageModelError: if the folder has no language model of a family in `FAMILIES`, or its tokenizer does not
            say what is to be masked.
    """
    if not sets:
        return pd.DataFrame(columns=ACCURACY_COLUMNS)
    tokenizer = model.tokenizer()
    read_by = model.fingerprint(), tokenizer_fingerprint(tokenizer)
    keys = {name: _key(*read_by, pairs) for name, pairs in sets.items()}
    kept = {name: results.load(key) if execution.resume != "never" else None for name, key in keys.items()}
    scores = {name: arrays for name, arrays in kept.items() if arrays is not None}
    if scores.keys() != sets.keys():
        language_model = load_language_model(model)
        _check_tokenizer(tokenizer, model)
        for name in [name for name in sets if name not in scores]:
            scores[name] = _scored(language_model, tokenizer, sets[name], execution)
            results.save(keys[name], scores[name])
    return joined((_accuracy(sets[name], scores[name]) for name in sets), ACCURACY_COLUMNS)


def accuracy_by_paradigm(
    pairs: pd.DataFrame, log_likelihoods: NDArray[np.float64], tokens: NDArray[np.int64]
) -> pd.DataFrame:
    """Count the pairs whose good sentence is the more likely one.

    Args:
        pairs: a table of pairs.
        log_likelihoods: (pairs, 2), of the good and the bad sentence; a pair with NaN is left out.
        tokens: (pairs, 2), their lengths.

    Returns:
        As `score_pairs`.
    """
    lead = log_likelihoods[:, 0] - log_likelihoods[:, 1]
    is_tie = np.abs(lead) <= TIE * np.abs(log_likelihoods).sum(1)
    right = np.where(is_tie, 0.5, lead > 0)
    is_equal = tokens[:, 0] == tokens[:, 1]
    table = pairs[PARADIGM].assign(right=right, is_equal=is_equal, equal_right=np.where(is_equal, right, np.nan))
    grouped = table[~np.isnan(lead)].groupby(PARADIGM, sort=False)
    return grouped.agg(
        pairs=("right", "size"),
        accuracy=("right", "mean"),
        equal_length_pairs=("is_equal", "sum"),
        equal_length_accuracy=("equal_right", "mean"),
    ).reset_index()


def load_language_model(model: ModelFolder) -> PreTrainedModel:
    """Open a folder as what it was pre-trained as, in float32.

    Raises:
        NoLanguageModelError: if it is of no family in `FAMILIES`, or was saved without its output layer.
    """
    configuration = model.configuration()
    family = FAMILIES.get(configuration.model_type)
    if family is None:
        raise NoLanguageModelError(
            f"Minimal pairs need a language model of the families {', '.join(sorted(FAMILIES))}, and '{model.folder}' "
            f"is of '{configuration.model_type}': take the sets out of minimal_pairs.sets."
        )
    opened, details = family.model_class.from_pretrained(model.folder, dtype=torch.float32, output_loading_info=True)
    if missing := sorted(details["missing_keys"]):
        raise NoLanguageModelError(
            f"'{model.folder}' has no weights for the output layer ({missing[0]}), which minimal pairs need: give the "
            "language model itself, or take the sets out of minimal_pairs.sets."
        )
    language_model: PreTrainedModel = opened
    return language_model


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, model: ModelFolder) -> None:
    is_masked = FAMILIES[model.configuration().model_type].objective == "mlm"
    problem = ""
    if not tokenizer.is_fast:
        problem = "does not say which token is of which word: save it as a fast one (tokenizer.json)"
    elif is_masked and tokenizer.mask_token_id is None:
        problem = "has no mask token: name it in tokenizer_config.json"
    if problem:
        raise NoLanguageModelError(f"Minimal pairs cannot be scored, as the tokenizer in '{model.folder}' {problem}.")


def _scored(
    language_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: pd.DataFrame,
    execution: ExecutionParameters,
) -> Arrays:
    """(pairs, 2) log-likelihoods and token counts."""
    hardware = choose_hardware(execution, language_model.config.hidden_size)
    hardware = replace(hardware, dtype=torch.float32, compiles=False)
    sentences = pairs[SENTENCES].to_numpy().ravel().tolist()
    scores = score_sentences(language_model, tokenizer, sentences, hardware)
    return {
        "log_likelihoods": scores.log_likelihoods.reshape(-1, 2),
        "tokens": scores.tokens.reshape(-1, 2),
    }


def _accuracy(pairs: pd.DataFrame, scores: Arrays) -> pd.DataFrame:
    unread = int(np.isnan(scores["log_likelihoods"]).any(1).sum())
    if unread:
        name = pairs["set"].iloc[0]
        logger.warning("%d of %d pairs of '%s' are longer than a model reads and left out", unread, len(pairs), name)
    return accuracy_by_paradigm(pairs, scores["log_likelihoods"], scores["tokens"])


def _key(weights: str, tokenizer: str, pairs: pd.DataFrame) -> str:
    """Identity of all that decides a model's scores of a set; the device is no part of it."""
    code = (PAIR_SCORING_VERSION, torch.__version__, transformers.__version__)
    return digest("minimal pairs", weights, tokenizer, table_fingerprint(pairs[SENTENCES]), code)
