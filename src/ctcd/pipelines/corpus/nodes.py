"""Nodes of the corpus pipeline."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ctcd.corpus.settings import CorpusParameters
from ctcd.tasks.settings import HELDOUT_TEXT, MinimalPairsParameters

# Probes and minimal pairs need a few thousand sentences; a corpus of gigabytes is not read to its end for them.
PROBE_CHARACTERS = 20_000_000


def make_tokenizer(documents: Any, ready_tokenizer: Any, corpus: CorpusParameters) -> Any:
    """The ready tokenizer if there is one, else one trained on the documents that are not held out."""
    from ctcd.corpus.documents import split_documents
    from ctcd.corpus.tokenizer import train_tokenizer

    if ready_tokenizer is not None:
        return ready_tokenizer
    split = split_documents(_kept(documents, corpus), corpus.heldout_share)
    texts = (document.text for document, held_out in split if not held_out)
    return train_tokenizer(texts, corpus.tokenizer)


def tokenize_documents(documents: Any, tokenizer: Any, corpus: CorpusParameters) -> Callable[[Path], None]:
    """What fills a shards folder; it runs when the catalog saves, so that nothing is held in memory."""
    from ctcd.corpus.encoding import write_shards

    return partial(write_shards, documents=_kept(documents, corpus), tokenizer=tokenizer, settings=corpus)


def make_probing_tasks(documents: Any, corpus: CorpusParameters) -> dict[str, dict[str, pd.DataFrame]]:
    """Tasks in GLUE's format, made from held-out documents: task -> split -> examples."""
    from ctcd.tasks.probes import make_probes

    return make_probes(_heldout_documents(_kept(documents, corpus), corpus.heldout_share), corpus.probes)


def make_minimal_pairs(
    documents: Any, corpus: CorpusParameters, minimal_pairs: MinimalPairsParameters
) -> dict[str, pd.DataFrame]:
    """Pairs of a held-out sentence and itself with one point spoilt: set -> pairs."""
    from ctcd.tasks.made_pairs import make_pairs

    heldout = _heldout_documents(_kept(documents, corpus), corpus.heldout_share)
    return {HELDOUT_TEXT: make_pairs(heldout, minimal_pairs)}


def report_corpus(shards: Any) -> dict[str, Any]:
    """Counts, vocabulary, unknown rate, unigram entropy, fingerprint and a sample."""
    return dict(shards.metadata)


def _kept(documents: Any, corpus: CorpusParameters) -> Any:
    from ctcd.corpus.sentences import keep_sentences

    return keep_sentences(documents, corpus.keep_every, corpus.sentences)


def _heldout_documents(documents: Any, share: float) -> Iterator[Any]:
    from ctcd.corpus.documents import split_documents

    characters = 0
    for document, held_out in split_documents(documents, share):
        if held_out:
            yield document
            characters += len(document.text)
            if characters >= PROBE_CHARACTERS:
                return
