"""Documents to shards: split, tokenize on all cores, pack, count."""

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ctcd.corpus.documents import Document, Documents
from ctcd.corpus.settings import CorpusParameters
from ctcd.corpus.shards import METADATA, ShardWriter
from ctcd.corpus.splitting import HELDOUT, SPLITS, TRAIN, count_repetitions, with_splits
from ctcd.errors import InputError
from ctcd.lineage.digest import digest, tokenizer_fingerprint

logger = logging.getLogger(__name__)

CHARACTERS_AT_ONCE = 4 << 20
SAMPLE_CHARACTERS = 400


@dataclass
class Counts:
    """What is counted of one split."""

    documents: int = 0
    words: int = 0
    characters: int = 0
    tokens: int = 0
    sequences: int = 0


def write_shards(
    folder: Path,
    documents: Documents,
    split: pd.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    settings: CorpusParameters,
) -> None:
    """Tokenize all documents and write them as packed sequences, in constant memory.

    Args:
        folder: an empty folder to fill.
        documents: where the text comes from.
        split: of them, as `split_documents` makes it.
        tokenizer: its vocabulary; it runs on all cores.
        settings: sequence length.

    Raises:
        InputError: if there is no document, or a split does not fill one sequence.
    """
    # The library asks for this to use all cores in a process that may fork later; we only ever spawn.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # A tokenizer keeps the truncation and padding of its last call or its file; documents must stay whole.
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    counts = {str(source): {name: Counts() for name in SPLITS} for source in split["source"].unique()}
    token_counts = np.zeros(len(tokenizer), np.int64)
    sample: dict[str, object] = {}

    def writer(name: str) -> ShardWriter:
        return ShardWriter(folder, name, settings.sequence_length, first, last, len(tokenizer))

    with writer(TRAIN) as train, writer(HELDOUT) as heldout:
        writers = {TRAIN: train, HELDOUT: heldout}
        last_source = ""
        for batch in _batches(with_splits(documents, split)):
            encodings = backend.encode_batch_fast([document.text for document, _ in batch], add_special_tokens=False)
            learned = [np.empty(0, train.dtype)]
            for (document, name), encoding in zip(batch, encodings, strict=True):
                if document.source != last_source:
                    _end_source(writers, counts.get(last_source))
                    last_source = document.source
                token_ids = np.array([*encoding.ids, last], train.dtype)
                writers[name].add(token_ids)
                _count(counts[document.source][name], document.text, len(encoding.ids))
                if name == TRAIN:
                    learned.append(token_ids[:-1])
                elif not sample and len(encoding.ids) >= settings.sequence_length:
                    sample = _sample(document, tokenizer)
            # Once a batch: it looks at the whole vocabulary, which may be far larger than a document.
            token_counts += np.bincount(np.concatenate(learned), minlength=len(token_counts))
        _end_source(writers, counts.get(last_source))
    repetitions = count_repetitions(split)
    _check(counts, repetitions, documents, settings)

    made_with = tokenizer_fingerprint(tokenizer)
    metadata = {
        "fingerprint": digest(train.digest.value, heldout.digest.value, made_with, *_borders(counts)),
        "source": documents.name,
        "source_fingerprint": documents.fingerprint(),
        "tokenizer_fingerprint": made_with,
        "vocabulary_size": len(tokenizer),
        "sequence_length": settings.sequence_length,
        "heldout_share": settings.heldout_share,
        "splits": {name: asdict(_total(each[name] for each in counts.values())) for name in SPLITS},
        "sources": {source: {name: asdict(count) for name, count in each.items()} for source, each in counts.items()},
        "duplicates": repetitions,
        "unknown_rate": float(token_counts[tokenizer.unk_token_id] / max(1, token_counts.sum())),
        "unigram_entropy": unigram_entropy(token_counts),
        "sample": sample,
    }
    (folder / METADATA).write_text(json.dumps(metadata, indent=2, ensure_ascii=False), encoding="utf-8")


def _end_source(writers: Mapping[str, ShardWriter], counts: Mapping[str, Counts] | None) -> None:
    """Let no sequence mix two sources, and count those of the one that ends."""
    for name, count in (counts or {}).items():
        count.sequences = writers[name].cut()


def _borders(counts: Mapping[str, Mapping[str, Counts]]) -> list[object]:
    """What tells apart equal sequences that belong to other sources; nothing where there is one source."""
    if len(counts) == 1:
        return []
    return [{source: {name: count.sequences for name, count in each.items()} for source, each in counts.items()}]


def _total(counts: Iterable[Counts]) -> Counts:
    return Counts(*np.array([astuple(count) for count in counts]).sum(0).tolist())


def unigram_entropy(counts: np.ndarray) -> float:
    """Entropy in nats of drawing tokens by their frequency: what a model reaches that ignores all context."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum()) if len(shares) else math.nan


def _batches(documents: Iterable[tuple[Document, str]]) -> Iterator[list[tuple[Document, str]]]:
    """Enough text at once to keep all cores busy, little enough to stay small in memory."""
    batch: list[tuple[Document, str]] = []
    characters = 0
    for item in documents:
        batch.append(item)
        characters += len(item[0].text)
        if characters >= CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _count(counts: Counts, text: str, tokens: int) -> None:
    counts.documents += 1
    counts.words += len(text.split())
    counts.characters += len(text)
    counts.tokens += tokens


def _sample(document: Document, tokenizer: PreTrainedTokenizerBase) -> dict[str, object]:
    raw = document.text[:SAMPLE_CHARACTERS]
    ids = tokenizer(raw, add_special_tokens=False).input_ids
    return {"topic": document.topic, "raw": raw, "tokens": tokenizer.tokenize(raw), "decoded": tokenizer.decode(ids)}


def _check(
    counts: Mapping[str, Mapping[str, Counts]],
    repetitions: dict[str, dict[str, int]],
    documents: Documents,
    settings: CorpusParameters,
) -> None:
    for source, split, count in ((source, *item) for source, each in counts.items() for item in each.items()):
        if not count.sequences:
            name = documents.name if len(counts) == 1 else source
            repeated = sum(each["documents"] for each in repetitions.values())
            raise InputError(
                f"The corpus '{name}' is too short: its {split} part of {count.documents} documents and "
                f"{count.tokens} tokens fills no sequence of {settings.sequence_length} tokens"
                f"{f', after {repeated} documents that repeat others were left out' if repeated else ''}; add text or "
                "lower corpus.sequence_length."
            )
