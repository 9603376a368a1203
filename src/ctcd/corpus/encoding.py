"""Documents to shards: split, tokenize on all cores, pack, count."""

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ctcd.corpus.documents import Document, Documents, split_documents
from ctcd.corpus.settings import CorpusParameters
from ctcd.corpus.shards import METADATA, ShardWriter
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
    folder: Path, documents: Documents, tokenizer: PreTrainedTokenizerBase, settings: CorpusParameters
) -> None:
    """Tokenize all documents and write them as packed sequences, in constant memory.

    Args:
        folder: an empty folder to fill.
        documents: where the text comes from.
        tokenizer: its vocabulary; it runs on all cores.
        settings: sequence length and share of documents held out.

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
    counts = {"train": Counts(), "heldout": Counts()}
    token_counts = np.zeros(len(tokenizer), np.int64)
    sample: dict[str, object] = {}

    def writer(split: str) -> ShardWriter:
        return ShardWriter(folder, split, settings.sequence_length, first, last, len(tokenizer))

    with writer("train") as train, writer("heldout") as heldout:
        writers = {"train": train, "heldout": heldout}
        for batch in _batches(split_documents(documents, settings.heldout_share)):
            encodings = backend.encode_batch_fast([document.text for document, _ in batch], add_special_tokens=False)
            learned = [np.empty(0, train.dtype)]
            for (document, is_heldout), encoding in zip(batch, encodings, strict=True):
                split = "heldout" if is_heldout else "train"
                token_ids = np.array([*encoding.ids, last], train.dtype)
                writers[split].add(token_ids)
                _count(counts[split], document.text, len(encoding.ids))
                if split == "train":
                    learned.append(token_ids[:-1])
                elif not sample and len(encoding.ids) >= settings.sequence_length:
                    sample = _sample(document, tokenizer)
            # Once a batch: it looks at the whole vocabulary, which may be far larger than a document.
            token_counts += np.bincount(np.concatenate(learned), minlength=len(token_counts))
            logger.debug("tokenized %d documents", counts["train"].documents + counts["heldout"].documents)
    for split, split_writer in writers.items():
        counts[split].sequences = split_writer.sequences
    _check(counts, documents, settings)

    made_with = tokenizer_fingerprint(tokenizer)
    metadata = {
        "fingerprint": digest(train.digest.value, heldout.digest.value, made_with),
        "source": documents.name,
        "source_fingerprint": documents.fingerprint(),
        "tokenizer_fingerprint": made_with,
        "vocabulary_size": len(tokenizer),
        "sequence_length": settings.sequence_length,
        "heldout_share": settings.heldout_share,
        "splits": {split: asdict(count) for split, count in counts.items()},
        "unknown_rate": float(token_counts[tokenizer.unk_token_id] / max(1, token_counts.sum())),
        "unigram_entropy": unigram_entropy(token_counts),
        "sample": sample,
    }
    (folder / METADATA).write_text(json.dumps(metadata, indent=2, ensure_ascii=False), encoding="utf-8")


def unigram_entropy(counts: np.ndarray) -> float:
    """Entropy in nats of drawing tokens by their frequency: what a model reaches that ignores all context."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum()) if len(shares) else math.nan


def _batches(documents: Iterable[tuple[Document, bool]]) -> Iterator[list[tuple[Document, bool]]]:
    """Enough text at once to keep all cores busy, little enough to stay small in memory."""
    batch: list[tuple[Document, bool]] = []
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
    return {"source": document.source, "raw": raw, "tokens": tokenizer.tokenize(raw)}


def _check(counts: dict[str, Counts], documents: Documents, settings: CorpusParameters) -> None:
    total = counts["train"].documents + counts["heldout"].documents
    if not total:
        raise InputError(f"The corpus '{documents.name}' has no documents: check its path and format.")
    for split, count in counts.items():
        if not count.sequences:
            raise InputError(
                f"The corpus '{documents.name}' is too short: its {split} part of {count.documents} documents and "
                f"{count.tokens} tokens fills no sequence of {settings.sequence_length} tokens; add text or lower "
                "corpus.sequence_length."
            )
