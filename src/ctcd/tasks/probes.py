"""Tasks made from held-out documents by construction, in GLUE's formats.

Those about words ask for what masked-language modelling teaches first: which words go together, in which order. A
sentence is left as it is, or spoilt in a way that its words alone do not show. Those about pairs ask for more, and a
small model that has seen little text may well stay at chance. `topic` is lexical: random weights learn it as well, so
it shows that fine-tuning works.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from ctcd.corpus.documents import Document
from ctcd.corpus.settings import ProbesParameters
from ctcd.engine.randomness import seed_from
from ctcd.errors import InputError
from ctcd.tasks.probe_sentences import (
    SentenceDocument,
    collect_sentences,
    plain_places,
    split_by_document,
    words_by_frequency,
)
from ctcd.tasks.settings import LABEL
from ctcd.tasks.tasks import MASKED_WORD

logger = logging.getLogger(__name__)

FEWEST_EXAMPLES = 40  # for training; a quarter of it for validation
SENTENCES_PER_EXAMPLE = 20  # more text is not read
FEWEST_SHUFFLED_WORDS = 5
SHIFTED_BIGRAMS = 3
FUNCTION_WORDS = 60
MISSING_WORDS = 4
TOPICS = 4


@dataclass(frozen=True)
class Text:
    """What the examples of one split are made of.

    Attributes:
        documents: of this split.
        words: lower-case words of both splits, most frequent first.
        topics: sources that both splits have most of.
    """

    documents: list[SentenceDocument]
    words: list[str]
    topics: list[str]


Item = TypeVar("Item")
# Makes up to a number of examples: (text, examples, random) -> table.
Builder = Callable[[Text, int, np.random.Generator], pd.DataFrame]


def make_probes(documents: Iterable[Document], settings: ProbesParameters) -> dict[str, dict[str, pd.DataFrame]]:
    """Make every probe, with a training and a validation split that share no document and no sentence.

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
            probes[name] = {split: _shuffled_rows(frame, settings.seed) for split, frame in frames.items()}
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
    words = words_by_frequency(collected)
    topics = _topics(train, validation)
    return {"train": Text(train, words, topics), "validation": Text(validation, words, topics)}


def _topics(train: list[SentenceDocument], validation: list[SentenceDocument]) -> list[str]:
    """Sources with most sentences in the split where they have fewest, relative to the split's size."""
    shares = []
    for documents in (train, validation):
        counts: Counter[str] = Counter()
        for document in documents:
            counts[document.source] += len(document.sentences)
        shares.append({source: count / counts.total() for source, count in counts.items()})
    smallest = {source: min(shares[0][source], shares[1][source]) for source in shares[0] if source in shares[1]}
    return sorted(smallest, key=lambda source: (-smallest[source], source))[:TOPICS]


def _has_enough(name: str, frames: Mapping[str, pd.DataFrame], examples: Mapping[str, int]) -> bool:
    train, validation = len(frames["train"]), len(frames["validation"])
    if train < FEWEST_EXAMPLES or validation < FEWEST_EXAMPLES // 4:
        logger.warning("The held-out text is too short or too uniform for the probe '%s': it is left out.", name)
        return False
    # A few examples less, so that classes are equally many, are no news.
    if train < 0.95 * examples["train"] or validation < 0.95 * examples["validation"]:
        logger.warning("The held-out text gives the probe '%s' only %d + %d examples.", name, train, validation)
    return True


def _shuffled_rows(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.iloc[np.random.default_rng(seed_from(seed, "rows")).permutation(len(frame))].reset_index(drop=True)


# About words: one sentence, CoLA's format unless said otherwise.


def _shuffled_words(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask whether all plain lower-case words changed places; capitals and punctuation stay and give no hint."""

    def spoil(words: list[str]) -> list[str] | None:
        places = plain_places(words)
        return _shuffle(words, places, random) if len(places) >= FEWEST_SHUFFLED_WORDS else None

    return _spoilt_sentences(text, examples, random, spoil)


def _function_words(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask whether the sentence's most frequent words changed places among one another."""
    frequent = set(text.words[:FUNCTION_WORDS])

    def spoil(words: list[str]) -> list[str] | None:
        places = [place for place in plain_places(words) if words[place] in frequent]
        return _shuffle(words, places, random) if len(places) >= 3 else None

    return _spoilt_sentences(text, examples, random, spoil)


def _bigram_shift(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask whether neighbouring words were exchanged, after SentEval, but three times in a sentence instead of once."""

    def spoil(words: list[str]) -> list[str] | None:
        plain = set(plain_places(words))
        exchanged: list[int] = []
        for place in random.permutation(len(words) - 1).tolist():
            is_free = all(abs(place - other) > 1 for other in exchanged)
            if is_free and {place, place + 1} <= plain and words[place] != words[place + 1]:
                exchanged.append(place)
        if len(exchanged) < SHIFTED_BIGRAMS:
            return None
        for place in exchanged[:SHIFTED_BIGRAMS]:
            words[place : place + 2] = words[place + 1], words[place]
        return words

    return _spoilt_sentences(text, examples, random, spoil)


def _missing_word(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask, in SST-2's format with more classes, which of the four most frequent words is masked; as often each."""
    classes = {word: label for label, word in enumerate(text.words[:MISSING_WORDS])}
    sentences: list[list[str]] = [[] for _ in classes]
    for sentence in _drawn(_sentences(text), random):
        words = sentence.split()
        places = [place for place, word in enumerate(words) if word in classes]
        if places:
            # The rarest so far, or the classes would run out of sentences one after the other.
            place = min(places, key=lambda place: len(sentences[classes[words[place]]]))
            label = classes[words[place]]
            sentences[label].append(" ".join([*words[:place], MASKED_WORD, *words[place + 1 :]]))
    return _equally_many(sentences, examples)


def _topic(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask, in SST-2's format with more classes, which source a sentence is from; as often each."""
    sentences = [
        [sentence for document in text.documents if document.source == topic for sentence in document.sentences]
        for topic in text.topics
    ]
    return _equally_many([_drawn(group, random) for group in sentences], examples)


# About pairs: RTE's format unless said otherwise.


def _sentence_order(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask, after DiscoEval, whether neighbouring sentences are in order (1) or exchanged (0)."""
    pairs = _drawn(_neighbours(text), random)[:examples]
    rows = [(first, second, 1) for first, second, _ in pairs[::2]] + [
        (second, first, 0) for first, second, _ in pairs[1::2]
    ]
    return pd.DataFrame(rows, columns=["sentence1", "sentence2", LABEL])


def _same_document(text: Text, examples: int, random: np.random.Generator) -> pd.DataFrame:
    """Ask, in MRPC's format, whether two sentences are neighbours (1) or from different documents (0).

    The different ones exchange their second sentences among one another, so that one sentence alone tells nothing.
    """
    pairs = _drawn(_neighbours(text), random)[:examples]
    together, apart = pairs[::2], pairs[1::2]
    # Half a circle further is as good as random, and rarely the same document.
    others = [*apart[len(apart) // 2 :], *apart[: len(apart) // 2]]
    rows = [(first, second, 1) for first, second, _ in together] + [
        (pair[0], other[1], 0) for pair, other in zip(apart, others, strict=True) if pair[2] != other[2]
    ]
    return pd.DataFrame(rows, columns=["sentence1", "sentence2", LABEL])


BUILDERS: Mapping[str, Builder] = {
    "shuffled_words": _shuffled_words,
    "function_words": _function_words,
    "bigram_shift": _bigram_shift,
    "missing_word": _missing_word,
    "topic": _topic,
    "sentence_order": _sentence_order,
    "same_document": _same_document,
}


def _spoilt_sentences(
    text: Text, examples: int, random: np.random.Generator, spoil: Callable[[list[str]], list[str] | None]
) -> pd.DataFrame:
    """Leave half of the sentences as they are (1), spoil half (0); skip for both what cannot be spoilt."""
    rows: list[tuple[str, int]] = []
    for sentence in _drawn(_sentences(text), random):
        spoilt = spoil(sentence.split())
        if spoilt is not None:
            label = (len(rows) + 1) % 2
            rows.append((sentence if label else " ".join(spoilt), label))
        if len(rows) == examples:
            break
    return pd.DataFrame(rows, columns=["sentence", LABEL])


def _shuffle(words: list[str], places: Sequence[int], random: np.random.Generator) -> list[str] | None:
    """Change the words at some places among one another until most differ; None if that does not come about."""
    for _ in range(10):
        moved = [words[place] for place in _drawn(places, random)]
        different = sum(word != words[place] for place, word in zip(places, moved, strict=True))
        if different >= 0.7 * len(places):
            shuffled = list(words)
            for place, word in zip(places, moved, strict=True):
                shuffled[place] = word
            return shuffled
    return None


def _sentences(text: Text) -> list[str]:
    return [sentence for document in text.documents for sentence in document.sentences]


def _neighbours(text: Text) -> list[tuple[str, str, int]]:
    """Sentences that follow one another, each in one pair only, and the number of their document."""
    return [
        (run[place], run[place + 1], number)
        for number, document in enumerate(text.documents)
        for run in document.runs
        for place in range(0, len(run) - 1, 2)
    ]


def _equally_many(sentences: Sequence[Sequence[str]], examples: int) -> pd.DataFrame:
    """Label sentences by their group and take as many of each group; none if there is only one group."""
    each = min(examples // len(sentences), *map(len, sentences)) if len(sentences) > 1 else 0
    rows = [(sentence, label) for label, group in enumerate(sentences) for sentence in group[:each]]
    return pd.DataFrame(rows, columns=["sentence", LABEL])


def _drawn(items: Sequence[Item], random: np.random.Generator) -> list[Item]:
    return [items[index] for index in random.permutation(len(items))]
