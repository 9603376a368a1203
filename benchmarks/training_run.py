"""Every call into `ctcd` that `convergence.py` makes: when its interface changes, this file alone follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from transformers import PreTrainedTokenizerBase

from ctcd.corpus.documents import Documents, split_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.installed_packages import find_installed_packages, harvest, identify_packages
from ctcd.corpus.shards import Shards
from ctcd.corpus.tokenizer import train_tokenizer
from ctcd.distillation.methods import method_of
from ctcd.parameters import CorpusParameters, ExecutionParameters, PretrainingParameters
from ctcd.training.loop import pretrain
from ctcd.training.state import StateStore

CONFIGURATION = Path(__file__).parents[1] / "conf" / "base"
LONG = 1e9  # seconds between two training states: none is needed


@dataclass(frozen=True)
class Corpus:
    """Packed sequences and the tokenizer that made them."""

    shards: Shards
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Outcome:
    """What a training came to, by role."""

    tokens: int
    tokens_per_second: float
    heldout_loss: dict[str, float]
    heldout_accuracy: dict[str, float]
    parameters: dict[str, int]


def prepare_corpus(folder: Path, names: Sequence[str] | None) -> Corpus:
    """The documentation of the installed packages, or of those named, as base's configuration prepares it."""
    packages = [package for package in find_installed_packages() if names is None or package.name in names]
    gathered = harvest(packages)
    documents = Documents(
        f"documentation of {len(packages)} installed packages",
        read=lambda: iter(gathered),
        identify=lambda: identify_packages(packages),
    )
    settings = CorpusParameters(**_read_configuration("corpus"))
    texts = (document.text for document, held_out in split_documents(documents, settings.heldout_share) if not held_out)
    tokenizer = train_tokenizer(texts, settings.tokenizer)
    write_shards(folder, documents, tokenizer, settings)
    return Corpus(Shards(folder), tokenizer)


def run_training(
    corpus: Corpus, label: str, method: str, changes: dict[str, Any], tokens: int, seed: int, device: str
) -> Outcome:
    """Train a pair from scratch on about so many tokens.

    Args:
        corpus: what to train on.
        label: what to call the training in messages.
        method: name of a method.
        changes: where the settings differ from base's, nested like them.
        tokens: that each model reads.
        seed: of weights, order and masks.
        device: `auto`, `cpu` or `cuda`.
    """
    settings = PretrainingParameters(**_merge(_read_configuration("pretraining"), changes))
    tokens_per_step = settings.batch_size * corpus.shards.sequence_length
    settings = settings.model_copy(update={"steps": max(1, tokens // tokens_per_step), "seed": seed})
    execution = ExecutionParameters(
        **_read_configuration("execution")
        | {"device": device, "resume": "never", "checkpoint_seconds": LONG, "evaluations": 1}
    )
    with TemporaryDirectory() as folder:
        store = StateStore(Path(folder), label)
        _, history = pretrain(corpus.shards, corpus.tokenizer, method_of(method), settings, execution, store)
    table = history.table()
    last = table[table["step"] == settings.steps]

    def by_role(metric: str) -> dict[str, float]:
        rows = last[last["metric"] == metric]
        return {str(role): float(value) for role, value in zip(rows["role"], rows["value"], strict=True)}

    counts = table[table["metric"] == "parameters"]
    return Outcome(
        tokens=settings.steps * tokens_per_step,
        tokens_per_second=float(table.loc[table["metric"] == "tokens_per_second", "value"].median()),
        heldout_loss=by_role("heldout_loss"),
        heldout_accuracy=by_role("heldout_accuracy"),
        parameters={str(role): int(value) for role, value in zip(counts["role"], counts["value"], strict=True)},
    )


def _read_configuration(group: str) -> dict[str, Any]:
    """A group of settings of the default configuration."""
    text = (CONFIGURATION / f"parameters_{group}.yml").read_text(encoding="utf-8")
    settings: dict[str, Any] = yaml.safe_load(text)[group]
    return settings


def _merge(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested settings with some changed; an empty mapping replaces, anything else is merged."""
    merged = dict(settings)
    for name, value in changes.items():
        nested = isinstance(value, dict) and value and isinstance(merged.get(name), dict)
        merged[name] = _merge(merged[name], value) if nested else value
    return merged
