"""Identities of what a fine-tuning depends on, equal for equal content wherever it lies."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from transformers import PreTrainedTokenizerBase

WEIGHTS = ("*.safetensors", "*.bin", "*.index.json")
# What decides, beside the arguments, what comes out of a fine-tuning.
CODE = (
    "finetuning/finetune.py",
    "finetuning/buckets.py",
    "finetuning/encoding.py",
    "engine/hardware.py",
    "engine/schedule.py",
)


def digest(*parts: Any) -> str:
    """Hash plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def weights_fingerprint(folder: Path) -> str:
    """Identify a model folder by its configuration and weights."""
    names = ["config.json", *(path.name for pattern in WEIGHTS for path in sorted(folder.glob(pattern)))]
    content = hashlib.sha256()
    for name in names:
        content.update(name.encode())
        with (folder / name).open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()[:32]


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """Identify what a tokenizer does to text, whatever truncation its last call left behind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest(type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.special_tokens_map)
    content = {name: value for name, value in json.loads(backend.to_str()).items() if name not in STATE}
    return digest(content, tokenizer.special_tokens_map, tokenizer.truncation_side)


STATE = ("truncation", "padding")


def table_fingerprint(frame: pd.DataFrame) -> str:
    """Identify the rows of a table and their order."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(",".join(frame.columns).encode() + hashes.tobytes()).hexdigest()[:32]


@cache
def code_fingerprint() -> str:
    """Identify the code and the libraries that fine-tune."""
    content = [(Path(__file__).parents[1] / name).read_text(encoding="utf-8") for name in CODE]
    return digest(*content, torch.__version__, transformers.__version__)
