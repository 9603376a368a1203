"""Tasks made from held-out documents by construction, in GLUE's formats.

All ask for what masked-language modelling teaches: which words fit together, and which sentences do. In each a text
is left as it is or spoilt by something that a bag of words does not show. Pairs are spoilt by exchanging texts among
the spoilt examples, so that one text of a pair alone tells nothing about the label. The exception is `topic`, which is
lexical, and so a check that fine-tuning works.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from ctcd.corpus.documents import Document
from ctcd.errors import InputError
from ctcd.evaluation.sentences import SentenceDocument, collect_sentences, split_by_document
from ctcd.evaluation.suite import LABEL
from ctcd.parameters import ProbesParameters
from ctcd.randomness import seed_from

logger = logging.getLogger(__name__)

FEWEST_EXAMPLES = 40
# More text than this per example is not read.
SENTENCES_PER_EXAMPLE = 20
REPLACED_SHARE = 0.2
SHUFFLED_WORDS = 4
TOPICS = 4

_LOWER_WORD = re.compile(r"[^\W\d_A-Z]+")


@dataclass(frozen=True)
class Text:
    """What the examples of one split are made of.

    Attributes:
        documents: of this split.
        ranked_words: lower-case words of both splits, most frequent first.
        ranks: a word's place in `ranked_words`.
        topics: sources that both splits have most of.
    """

    documents: list[SentenceDocument]
    ranked_words: list[str]
    ranks: Mapping[str, int]
    topics: list[str]


Item = TypeVar("Item")
# Makes up to a number of examples: (text, examples, random) -> table.
Builder = Callable[[Text, int, np.random.Generator], pd.DataFrame]


def make_probes(documents: Iterable[Document], settings: ProbesParameters) -> dict[str, dict[str, pd.DataFrame]]:
    """Every probe with a training and a validation split that share no document and no sentence.

    The same documents in the same order and the same settings give the same examples. Too little text gives fewer
    examples and a warning; a probe that the text cannot give at all (one source has no topics) is left out.

    Args:
        documents: held-out ones, read only as far as needed.
        settings: numbers of examples, seed.

    Returns:
        probe -> split (train, validation) -> table with GLUE's columns.

    Raises:
        InputError: if there is too little text for any probe.
    """
    examples = {"train": settings.train_examples, "validation": settings.validation_examples}
    collected = collect_sentences(documents, SENTENCES_PER_EXAMPLE * sum(examples.values()))
    splits = _split(collected, settings)
    probes: dict[str, dict[str, pd.DataFrame]] = {}
    for name, build in BUILDERS.items():
        frames = {
            split: build(text, examples[split], np.random.default_rng(seed_from(settings.seed, name, split)))
            for split, text in splits.items()
        }
        if _has_enough(name, frames, examples):
            probes[name] = {split: _shuffled(frame, settings.seed) for split, frame in frames.items()}
    if not probes:
        sentences = sum(len(document.sentences) for document in collected)
        raise InputError(
            f"The held-out text is too short: its {sentences} usable sentences make fewer than {FEWEST_EXAMPLES} "
            "examples of every probe; add text or raise corpus.heldout_share."
        )
    return probes


def _split(collected: list[SentenceDocument], settings: ProbesParameters) -> dict[str, Text]:
    share = settings.validation_examples / (settings.train_examples + settings.validation_examples)
    train, validation = split_by_document(collected, share, np.random.default_rng(seed_from(settings.seed, "split")))
    counts = Counter(
        word for document in collected for sentence in document.sentences for word in _lower_words(sentence)
    )
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    ranks = {word: rank for rank, word in enumerate(ranked)}
    topics = _topics(train, validation)
    return {
        "train": Text(train, ranked, ranks, topics),
        "validation": Text(validation, ranked, ranks, topics),
    }


def _topics(*splits: list[SentenceDocument]) -> list[str]:
    counts = [Counter[str]() for _ in splits]
    for count, documents in zip(counts, splits, strict=True):
        for document in documents:
            count[document.source] += len(document.sentences)
    common = [source for source in counts[0] if all(count[source] for count in counts)]
    return sorted(common, key=lambda source: (-min(count[source] / count.total() for count in counts), source))[:TOPICS]


def _has_enough(name: str, frames: Mapping[str, pd.DataFrame], examples: Mapping[str, int]) -> bool:
    numbers = {split: len(frame) for split, frame in frames.items()}
    if numbers["train"] < FEWEST_EXAMPLES or numbers["validation"] < FEWEST_EXAMPLES // 4:
        logger.warning("The held-out text is too short or too uniform for the probe '%s': it is left out.", name)
        return False
    if any(numbers[split] < examples[split] for split in examples):
        logger.warning(
            "The held-out text gives the probe '%s' only %d training and %d validation examples.",
            name,
            numbers["train"],
            numbers["validation"],
        )
    return True


def _shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.iloc[np.random.default_rng(seed_from(seed, "shuffle")).permutation(len(frame))].reset_index(drop=True)


def _replaced_words(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in CoLA's format whether some words were replaced by others of similar frequency."""
    return _spoilt_sentences(text, examples, random, lambda words: _replace(words, text, random))


def _shuffled_words(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in CoLA's format whether four words in a row were shuffled."""
    return _spoilt_sentences(text, examples, random, lambda words: _shuffle(words, SHUFFLED_WORDS, random))


def _bigram_shift(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in CoLA's format, after SentEval, whether two neighbouring words were exchanged."""
    return _spoilt_sentences(text, examples, random, lambda words: _shuffle(words, 2, random))


def _spoilt_sentences(
    text: Text, examples: int, random: np.random.Generator, spoil: Callable[[list[str]], list[str] | None]
) -> pd.DataFrame:
    """Leave half of the sentences as they are (1), spoil half (0); skip those that cannot be spoilt."""
    rows: list[dict[str, object]] = []
    for sentence in _drawn([sentence for document in text.documents for sentence in document.sentences], random):
        spoilt = spoil(sentence.split())
        if spoilt is not None:
            label = (len(rows) + 1) % 2
            rows.append({"sentence": sentence if label else " ".join(spoilt), LABEL: label})
        if len(rows) == examples:
            break
    return pd.DataFrame(rows, columns=["sentence", LABEL])


def _replace(words: list[str], text: Text, random: np.random.Generator) -> list[str] | None:
    places = [place for place, word in enumerate(words) if word in text.ranks]
    count = max(1, round(REPLACED_SHARE * len(words)))
    if len(places) < count:
        return None
    for place in random.choice(places, count, replace=False):
        rank = text.ranks[words[place]]
        low, high = rank // 2, min(2 * rank + 2, len(text.ranked_words) - 1)
        other = int(random.integers(low, high))
        words[place] = text.ranked_words[other + (other >= rank)]
    return words


def _shuffle(words: list[str], count: int, random: np.random.Generator) -> list[str] | None:
    """Reorder `count` neighbours among the plain lower-case words, so that capitals and punctuation give no hint."""
    is_plain = [bool(_LOWER_WORD.fullmatch(word)) for word in words]
    starts = [
        start
        for start in range(len(words) - count + 1)
        if all(is_plain[start : start + count]) and len(set(words[start : start + count])) == count
    ]
    if not starts:
        return None
    start = int(random.choice(starts))
    window = words[start : start + count]
    # Every word moves: a rotation of a random order would do, but a new draw is plainer.
    order = random.permutation(count)
    while (order == np.arange(count)).any():
        order = random.permutation(count)
    return [*words[:start], *(window[place] for place in order), *words[start + count :]]


def _sentence_halves(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in RTE's format whether two halves belong to one sentence (1) or to two (0)."""
    halves = []
    for sentence in _drawn([sentence for document in text.documents for sentence in document.sentences], random):
        words = sentence.split()
        if len(words) >= 8:
            halves.append((" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]), sentence))
    return _matched_pairs(halves[:examples])


def _same_document(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in MRPC's format whether two sentences are neighbours (1) or from different documents (0)."""
    pairs = [
        (run[place], run[place + 1], str(number))
        for number, document in enumerate(text.documents)
        for run in document.runs
        for place in range(0, len(run) - 1, 2)
    ]
    return _matched_pairs(_drawn(pairs, random)[:examples])


def _sentence_order(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in RTE's format, after DiscoEval, whether neighbouring sentences are in order (1) or exchanged (0)."""
    pairs = [
        (run[place], run[place + 1])
        for document in text.documents
        for run in document.runs
        for place in range(0, len(run) - 1, 2)
    ]
    rows = [
        (first, second, 1) if number % 2 == 0 else (second, first, 0)
        for number, (first, second) in enumerate(_drawn(pairs, random)[:examples])
    ]
    return pd.DataFrame(rows, columns=["sentence1", "sentence2", LABEL])


def _topic(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask in SST-2's format, with more classes, which source a sentence is from; equally many of each."""
    if len(text.topics) < 2:
        return pd.DataFrame(columns=["sentence", LABEL])
    by_topic = [
        [sentence for document in text.documents if document.source == topic for sentence in document.sentences]
        for topic in text.topics
    ]
    each = min(examples // len(by_topic), *map(len, by_topic))
    rows = [
        (sentence, label) for label, sentences in enumerate(by_topic) for sentence in _drawn(sentences, random)[:each]
    ]
    return pd.DataFrame(rows, columns=["sentence", LABEL])


BUILDERS: Mapping[str, Builder] = {
    "replaced_words": _replaced_words,
    "shuffled_words": _shuffled_words,
    "bigram_shift": _bigram_shift,
    "sentence_halves": _sentence_halves,
    "same_document": _same_document,
    "sentence_order": _sentence_order,
    "topic": _topic,
}


def _matched_pairs(pairs: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Every second pair as it is (1); the others exchange their second texts among one another (0).

    Each pair ends with its origin; no exchanged text comes from the same one.
    """
    together, apart = pairs[::2], pairs[1::2]
    rows = [(first, second, 1) for first, second, _ in together]
    for shift in range(1, len(apart)):
        moved = [*apart[shift:], *apart[:shift]]
        if all(pair[2] != other[2] for pair, other in zip(apart, moved, strict=True)):
            break
    else:
        moved = [*apart[1:], *apart[:1]]
    rows += [(pair[0], other[1], 0) for pair, other in zip(apart, moved, strict=True) if pair[2] != other[2]]
    return pd.DataFrame(rows, columns=["sentence1", "sentence2", LABEL])


def _drawn(items: Sequence[Item], random: np.random.Generator) -> list[Item]:
    return [items[index] for index in random.permutation(len(items))]


def _lower_words(sentence: str) -> list[str]:
    return [word for word in sentence.split() if _LOWER_WORD.fullmatch(word)]
