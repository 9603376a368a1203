"""Sentences of held-out documents, cleaned and kept in their order."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ctcd.corpus.documents import Document
from ctcd.corpus.sentences import split_sentences

SHORTEST, LONGEST = 5, 20  # words of a sentence
PLAIN_SHARE = 0.8  # of a sentence's words
# With fewer documents than this they are cut into sections, and sections are told apart instead.
FEW_DOCUMENTS = 20
SECTION_SENTENCES = 40

_LETTERS = re.compile(r"[^\W\d_]+")
_PLAIN_WORD = re.compile(r"[(\"'“‘«]*[^\W\d_]+(['’-][^\W\d_]+)*[)\"'”’».,;:!?]*")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class SentenceDocument:
    """The good sentences of a document (or of a section of a long one).

    Attributes:
        source: the document's topic.
        runs: sentences that follow one another in a paragraph, without a gap.
    """

    source: str
    runs: tuple[tuple[str, ...], ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences in their order."""
        return tuple(sentence for run in self.runs for sentence in run)


def collect_sentences(documents: Iterable[Document], enough: int) -> list[SentenceDocument]:
    """Read documents until there are `enough` sentences; a sentence that occurs again counts only the first time."""
    seen: set[str] = set()
    collected, count = [], 0
    for document in documents:
        runs = tuple(
            run for paragraph in document.text.split("\n") for run in _runs(paragraph, document.language, seen)
        )
        if runs:
            collected.append(SentenceDocument(document.topic, runs))
            count += sum(map(len, runs))
        if count >= enough:
            break
    if len(collected) < FEW_DOCUMENTS:
        return [section for document in collected for section in _sections(document)]
    return collected


def split_by_document(
    documents: Sequence[SentenceDocument], validation_share: float, random: np.random.Generator
) -> tuple[list[SentenceDocument], list[SentenceDocument]]:
    """Train and validation documents; the latter have about `validation_share` of the sentences."""
    wanted = validation_share * sum(len(document.sentences) for document in documents)
    train, validation, count = [], [], 0.0
    for index in random.permutation(len(documents)):
        document = documents[index]
        # The half: a document goes where it leaves the shares closer to what is wanted.
        if count + len(document.sentences) / 2 <= wanted:
            validation.append(document)
            count += len(document.sentences)
        else:
            train.append(document)
    return train, validation


def words_by_frequency(documents: Iterable[SentenceDocument]) -> list[str]:
    """The plain lower-case words, most frequent first."""
    counts = Counter(
        word
        for document in documents
        for sentence in document.sentences
        for word in sentence.split()
        if _is_plain(word)
    )
    return sorted(counts, key=lambda word: (-counts[word], word))


def plain_places(words: Sequence[str]) -> list[int]:
    """Where plain lower-case words stand: they can change places and leave no hint in capitals or punctuation."""
    return [place for place, word in enumerate(words) if _is_plain(word)]


def _is_plain(word: str) -> bool:
    """Whether a word is letters without capitals; those of scripts without case are."""
    return word == word.lower() and _LETTERS.fullmatch(word) is not None


def looks_like_a_sentence(text: str) -> bool:
    """Whether a text has 5 to 20 words, nearly all plain, a capital first and an end."""
    words = text.split()
    return (
        SHORTEST <= len(words) <= LONGEST
        and not text[0].islower()
        and text[-1] in ".!?"
        and sum(bool(_PLAIN_WORD.fullmatch(word)) for word in words) >= PLAIN_SHARE * len(words)
    )


def _runs(paragraph: str, language: str, seen: set[str]) -> Iterator[tuple[str, ...]]:
    run: list[str] = []
    for sentence in split_sentences(paragraph, language):
        key = " ".join(_WORD.findall(sentence.casefold()))
        if looks_like_a_sentence(sentence) and key not in seen:
            seen.add(key)
            run.append(sentence)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def _sections(document: SentenceDocument) -> Iterator[SentenceDocument]:
    runs: list[tuple[str, ...]] = []
    for run in document.runs:
        runs.append(run)
        if sum(map(len, runs)) >= SECTION_SENTENCES:
            yield SentenceDocument(document.source, tuple(runs))
            runs = []
    if runs:
        yield SentenceDocument(document.source, tuple(runs))
