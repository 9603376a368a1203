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


def split_corpus(documents: Any, corpus: CorpusParameters) -> pd.DataFrame:
    """Which documents are trained on, held out, or left out because they repeat others."""
    from ctcd.corpus.splitting import split_documents

    return split_documents(_kept(documents, corpus), corpus.heldout_share, corpus.near_duplicates)


def make_tokenizer(documents: Any, split: pd.DataFrame, ready_tokenizer: Any, corpus: CorpusParameters) -> Any:
    """The ready tokenizer if there is one, else one trained on the documents that are not held out."""
    from ctcd.corpus.splitting import TRAIN, documents_of
    from ctcd.corpus.tokenizer import train_tokenizer

    if ready_tokenizer is not None:
        return ready_tokenizer
    texts = (document.text for document in documents_of(_kept(documents, corpus), split, TRAIN))
    return train_tokenizer(texts, corpus.tokenizer)


def tokenize_documents(
    documents: Any, split: pd.DataFrame, tokenizer: Any, corpus: CorpusParameters
) -> Callable[[Path], None]:
    """What fills a shards folder; it runs when the catalog saves, so that nothing is held in memory."""
    from ctcd.corpus.encoding import write_shards

    return partial(write_shards, documents=_kept(documents, corpus), split=split, tokenizer=tokenizer, settings=corpus)


def make_probing_tasks(
    documents: Any, split: pd.DataFrame, corpus: CorpusParameters
) -> dict[str, dict[str, pd.DataFrame]]:
    """Tasks in GLUE's format, made from held-out documents: task -> split -> examples."""
    from ctcd.tasks.probes import make_probes

    return make_probes(_heldout_documents(_kept(documents, corpus), split), corpus.probes)


def make_minimal_pairs(
    documents: Any, split: pd.DataFrame, corpus: CorpusParameters, minimal_pairs: MinimalPairsParameters
) -> dict[str, pd.DataFrame]:
    """Pairs of a held-out sentence and itself with one point spoilt: set -> pairs."""
    from ctcd.tasks.made_pairs import make_pairs

    heldout = _heldout_documents(_kept(documents, corpus), split)
    return {HELDOUT_TEXT: make_pairs(heldout, minimal_pairs)}


def report_corpus(shards: Any) -> dict[str, Any]:
    """Counts, vocabulary, unknown rate, unigram entropy, fingerprint and a sample."""
    return dict(shards.metadata)


def _kept(documents: Any, corpus: CorpusParameters) -> Any:
    from ctcd.corpus.sentences import keep_sentences
    from ctcd.corpus.sources import apply_sources

    return keep_sentences(apply_sources(documents, corpus.sources), corpus.keep_every, corpus.sentences)


def _heldout_documents(documents: Any, split: pd.DataFrame) -> Iterator[Any]:
    from ctcd.corpus.splitting import HELDOUT, documents_of

    characters = 0
    for document in documents_of(documents, split, HELDOUT):
        yield document
        characters += len(document.text)
        if characters >= PROBE_CHARACTERS:
            return
