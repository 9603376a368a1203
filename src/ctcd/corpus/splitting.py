"""Which documents are trained on, held out, or left out because they repeat others."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import pandas as pd

from ctcd.corpus.documents import UNNAMED, Document, Documents
from ctcd.corpus.duplicates import find_repetitions
from ctcd.errors import InputError

logger = logging.getLogger(__name__)

TRAIN, HELDOUT = "train", "heldout"
SPLITS = (TRAIN, HELDOUT)
REPETITIONS = ("exact_duplicate", "near_duplicate")
# Whole files that are held out and hold less than this share of what was wanted are too little.
LEAST = 0.25


def split_documents(documents: Documents, share: float, similarity: float | None = None) -> pd.DataFrame:
    """Decide for each document where it goes.

    Repetitions are left out, so nothing that is held out was trained on. What belongs together stays together: the
    pieces of one file, of one row of a table, or of one book. Of every source as large a share is held out.

    Args:
        documents: read once.
        share: of the text that is held out, about.
        similarity: see `find_repetitions`.

    Returns:
        source, whole (number of the file, row or book), characters, split (train, heldout, exact_duplicate,
        near_duplicate); a row for each document, in order.
    """
    sources: list[str] = []
    wholes: list[int] = []
    characters: list[int] = []

    def texts() -> Iterator[str]:
        for document in documents:
            sources.append(document.source)
            wholes.append(wholes[-1] + (not document.continues) if wholes else 0)
            characters.append(len(document.text))
            yield document.text

    found = (None for _ in texts()) if documents.is_distinct else find_repetitions(texts(), similarity)
    splits = [repetition or TRAIN for repetition in found]
    table = pd.DataFrame({"source": sources, "whole": wholes, "characters": characters, "split": splits})
    for source, kept in table[table["split"] == TRAIN].groupby("source", sort=False):
        name = documents.name if source == UNNAMED else str(source)
        table.loc[_heldout(kept, share, name), "split"] = HELDOUT
    return table


def documents_of(documents: Documents, table: pd.DataFrame, split: str) -> Iterator[Document]:
    """The documents of one split."""
    return (document for document, found in with_splits(documents, table) if found == split)


def with_splits(documents: Documents, table: pd.DataFrame) -> Iterator[tuple[Document, str]]:
    """Each document that is kept, and its split.

    Raises:
        InputError: on the way, if these are not the documents that were split.
    """
    rows = zip(table["characters"], table["split"], strict=True)
    for document, (characters, split) in zip_longest(documents, rows, fillvalue=(None, None)):
        if not isinstance(document, Document) or len(document.text) != characters:
            raise InputError(
                f"The text of {documents.name} or its settings changed since it was split: prepare the corpus from "
                "the node split_documents on."
            )
        if split in SPLITS:
            yield document, split


def count_repetitions(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many documents and characters were left out, by kind."""
    counts = {}
    for kind in REPETITIONS:
        characters = table.loc[table["split"] == kind, "characters"]
        counts[kind] = {"documents": len(characters), "characters": int(characters.sum())}
    return counts


def is_heldout(position: int, share: float) -> bool:
    """Whether what stands at `position` (from 0) is held out.

    Of every round(1 / share) consecutive ones exactly one is, at a pseudo-random place; of the first ones it is
    the second.
    """
    size = round(1 / share)
    block, place = divmod(position, size)
    if block == 0:
        return place == min(1, size - 1)
    # A draw, not an identity: another one would hold other documents out.
    drawn = hashlib.blake2b(f"{block}/{size}".encode(), digest_size=8).digest()
    return place == int.from_bytes(drawn, "big") % size


def _heldout(kept: pd.DataFrame, share: float, name: str) -> "pd.Index[Any]":
    """The rows that are held out: whole files, or the end of the largest where there are too few of them.

    A file with more than twice the wanted text is held out only where all are that large; then it is the smallest.
    """
    sizes = kept.groupby("whole")["characters"].sum()
    wanted = share * sizes.sum()
    small = sizes[sizes <= 2 * wanted]
    if small.empty and len(sizes) > 1:
        small = sizes[::-1].nsmallest(1)  # the last of equals
    places = [place for place in range(len(small)) if len(small) == 1 or is_heldout(place, share)]
    chosen = small.iloc[places]
    if chosen.sum() >= LEAST * wanted:
        return kept.index[kept["whole"].isin(chosen.index)]
    largest = kept[kept["whole"] == sizes.idxmax()] if len(sizes) else kept
    after = largest["characters"][::-1].cumsum()[::-1] - largest["characters"]
    end = largest.index[1:][after.iloc[1:] < wanted]
    logger.warning("'%s' has no whole file for the held-out text: the end of the longest one is held out.", name)
    return end
