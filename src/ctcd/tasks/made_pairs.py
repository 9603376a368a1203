"""Minimal pairs made from held-out sentences by construction: each against itself with one point spoilt.

Nothing says that the spoilt sentence is wrong: another word may fit as well. So the best model stays below 100 %, and
chance is 50 %.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ctcd.corpus.documents import Document
from ctcd.engine.randomness import seed_from
from ctcd.errors import InputError
from ctcd.tasks.minimal_pairs import COLUMNS
from ctcd.tasks.probe_sentences import collect_sentences, plain_places, words_by_frequency
from ctcd.tasks.settings import HELDOUT_TEXT, MinimalPairsParameters

logger = logging.getLogger(__name__)

SENTENCES_PER_PAIR = 20  # more text is not read
# Words of a sentence: a masked model reads it once for each token, so long ones cost most and tell no more.
LONGEST = 12
NEIGHBOURS = 10  # by rank of frequency, on either side

# Spoils a sentence's words: (words, random) -> other words, or None where that cannot be done.
Spoil = Callable[[Sequence[str], np.random.Generator], list[str] | None]


def make_pairs(documents: Iterable[Document], settings: MinimalPairsParameters) -> pd.DataFrame:
    """Make `settings.examples` pairs of each paradigm; too little text gives fewer, and a warning.

    `two_words_exchanged`: two different plain lower-case words changed places. `word_replaced`: a word gave its place
    to one of similar frequency in the text. Sentences have at most 12 words, and none is in two pairs.

    Args:
        documents: held-out ones, read only as far as needed.
        settings: number of pairs, seed.

    Returns:
        A table of pairs; the same documents in the same order and the same settings give the same one.

    Raises:
        InputError: if the text gives no pair, and some are wanted.
    """
    collected = collect_sentences(documents, SENTENCES_PER_PAIR * settings.examples * 2)
    spoilers: Mapping[str, Spoil] = {
        "two_words_exchanged": _exchange,
        "word_replaced": _Replacement(words_by_frequency(collected)),
    }
    sentences = [each for document in collected for each in document.sentences if len(each.split()) <= LONGEST]
    order = np.random.default_rng(seed_from(settings.seed, HELDOUT_TEXT)).permutation(len(sentences)).tolist()
    tables = []
    for number, (paradigm, spoil) in enumerate(spoilers.items()):
        random = np.random.default_rng(seed_from(settings.seed, HELDOUT_TEXT, paradigm))
        own = [sentences[place] for place in order[number :: len(spoilers)]]
        rows = _spoilt(own, settings.examples, spoil, random)
        if len(rows) < settings.examples:
            logger.warning("The held-out text gives only %d minimal pairs of '%s'.", len(rows), paradigm)
        tables.append(pd.DataFrame(rows, columns=["sentence_good", "sentence_bad"]).assign(paradigm=paradigm))
    table = pd.concat(tables, ignore_index=True)
    if table.empty and HELDOUT_TEXT in settings.sets:
        raise InputError(
            f"The held-out text has no sentence that makes a minimal pair: take '{HELDOUT_TEXT}' out of "
            "minimal_pairs.sets, or add text."
        )
    pair = table.groupby("paradigm").cumcount()
    return table.assign(set=HELDOUT_TEXT, phenomenon=table["paradigm"], pair=pair)[COLUMNS]


def _spoilt(
    sentences: Iterable[str], examples: int, spoil: Spoil, random: np.random.Generator
) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for sentence in sentences:
        if len(rows) == examples:
            break
        words = spoil(sentence.split(), random)
        if words is not None:
            rows.append((" ".join(sentence.split()), " ".join(words)))
    return rows


def _exchange(words: Sequence[str], random: np.random.Generator) -> list[str] | None:
    places = plain_places(words)
    pairs = [(one, other) for one in places for other in places if one < other and words[one] != words[other]]
    if not pairs:
        return None
    one, other = pairs[random.integers(len(pairs))]
    exchanged = list(words)
    exchanged[one], exchanged[other] = words[other], words[one]
    return exchanged


class _Replacement:
    """Puts a word of similar frequency in the place of one."""

    def __init__(self, words_by_frequency: Sequence[str]) -> None:
        self._words = words_by_frequency
        self._ranks = {word: rank for rank, word in enumerate(words_by_frequency)}

    def __call__(self, words: Sequence[str], random: np.random.Generator) -> list[str] | None:
        places = plain_places(words)
        if not places or len(self._words) < 2:
            return None
        place = places[random.integers(len(places))]
        rank = self._ranks[words[place]]
        start = max(0, rank - NEIGHBOURS)
        others = [word for word in self._words[start : rank + NEIGHBOURS + 1] if word != words[place]]
        return [*words[:place], others[random.integers(len(others))], *words[place + 1 :]]
