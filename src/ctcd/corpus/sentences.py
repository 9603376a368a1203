"""Sentences of a paragraph, and a collection that is cut down to some of its sentences."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial

from ctcd.corpus.documents import DEFAULT_LANGUAGE, Document, Documents
from ctcd.lineage.digest import digest

_AFTER_STOP = re.compile(r"(?<=[.!?])\s+")
# By language: what ends in a full stop within a sentence.
ABBREVIATIONS = {
    "en": r"e\.g|i\.e|cf|vs|etc|resp|approx|Mrs?|Ms|Dr|St|Prof|Fig|Eq|Sec|No",
    "de": r"[a-zäöü]|usw|bzw|bspw|vgl|ca|etc|evtl|ggf|inkl|sog|geb|gest|Dr|Prof|St|Nr|Abb|Bd|Hrsg|Jh|Jhd|Kap|Mio|Mrd"
    r"|Str|Tel"
    r"|\d{1,2}",  # letters as in "z. B.", and ordinals as in "am 3. Mai"
    "fr": r"M|MM|Mme|Mlle|Mgr|Dr|Me|St|Ste|etc|cf|p|pp|ch|chap|fig|av|apr|env|éd|n°|vol|art|c\.-à-d",
}


@cache
def _abbreviation(language: str) -> re.Pattern[str]:
    """An abbreviation of a language at the end of a text; of any language an initial."""
    known = ABBREVIATIONS.get(language)
    return re.compile(rf"(?<!\w)({known}|[^\W\d_a-z])\.$" if known else r"(?<!\w)[^\W\d_a-z]\.$")


def split_sentences(paragraph: str, language: str = DEFAULT_LANGUAGE) -> list[str]:
    """Cut a paragraph behind the marks that end a sentence; all white space becomes single spaces.

    What follows an abbreviation of the language or an initial, or begins with a small letter, goes on with the
    sentence. So a heading is a sentence, and a line of text without capitals is one.
    """
    sentences: list[str] = []
    abbreviation = _abbreviation(language)
    for piece in _AFTER_STOP.split(" ".join(paragraph.split())):
        if sentences and (piece[:1].islower() or abbreviation.search(sentences[-1])):
            sentences[-1] += f" {piece}"
        elif piece:
            sentences.append(piece)
    return sentences


def keep_sentences(documents: Documents, every: int = 1, most: int | None = None) -> Documents:
    """The documents with one sentence in `every`, and of these the first `most`.

    Sentences are counted through the whole collection, as it is read: the first of each `every` is kept. Kept sentences
    of a paragraph stay in one line. A document of which none is kept is left out.

    Args:
        documents: with one paragraph per line.
        every: 1 keeps all.
        most: None for no limit; behind it nothing is read.
    """
    if every == 1 and most is None:
        return documents
    name = documents.name + (f", 1 sentence in {every}" if every > 1 else "")
    name += "" if most is None else f", at most {most:,} sentences"
    read, identify = partial(_read_some, documents, every, most), partial(_identify, documents, every, most)
    return replace(documents, name=name, read=read, identify=identify)


def _read_some(documents: Documents, every: int, most: int | None) -> Iterator[Document]:
    read = kept = 0
    continues = False
    for document in documents:
        continues &= document.continues
        paragraphs = []
        for paragraph in document.text.split("\n"):
            sentences = split_sentences(paragraph, document.language)
            chosen = sentences[-read % every :: every][: None if most is None else most - kept]
            read += len(sentences)
            kept += len(chosen)
            if chosen:
                paragraphs.append(" ".join(chosen))
        if paragraphs:
            yield replace(document, text="\n".join(paragraphs), continues=continues)
            continues = True
        if kept == most:
            return


def _identify(documents: Documents, every: int, most: int | None) -> str:
    return digest(documents.fingerprint(), every, most)
