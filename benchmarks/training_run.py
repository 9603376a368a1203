"""Every call into `ctcd` that `convergence.py` makes: when its interface changes, this file alone follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from configuration import execution_parameters, merged, read_configuration
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.corpus.documents import Documents, read_documents
from ctcd.corpus.encoding import write_shards
from ctcd.corpus.installed_packages import find_installed_packages, harvest, identify_packages
from ctcd.corpus.settings import CorpusParameters
from ctcd.corpus.shards import Shards
from ctcd.corpus.splitting import TRAIN, documents_of, split_documents
from ctcd.corpus.tokenizer import load_tokenizer, train_tokenizer
from ctcd.distillation.methods import find_method
from ctcd.engine.hardware import choose_hardware
from ctcd.engine.settings import ExecutionParameters
from ctcd.engine.side_by_side import SideBySide
from ctcd.lineage.state import StateStore
from ctcd.pretraining.batches import to_device
from ctcd.pretraining.heldout import MASKING_SHARE, evaluate, heldout_batches
from ctcd.pretraining.loop import pretrain
from ctcd.pretraining.masking import mask_tokens, masking_for
from ctcd.pretraining.models import Trainee
from ctcd.pretraining.settings import PretrainingParameters

HEAD_WIDTH = 64
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
    curve: dict[str, dict[int, float]]  # held-out loss by tenths of the tokens, on some of the sequences
    loss_at_shortest: dict[str, float]  # on held-out sequences of the shortest length that any recipe has


@dataclass(frozen=True)
class Scale:
    """What all recipes of a table share: an environment's configuration, and how far it is scaled down.

    Attributes:
        environment: a folder of `conf/`.
        width: of both models, in heads of 64 and feed-forward layers four times as wide; None leaves the shapes alone.
        batch_size: in sequences; None leaves it alone.
        tokens: that each model reads; or
        minutes: of each training.
        device: `auto`, `cpu` or `cuda`.
    """

    environment: str
    width: int | None
    batch_size: int | None
    tokens: int | None
    minutes: float | None
    device: str

    def with_batch(self, factor: float) -> "Scale":
        """The same with another multiple of its batch."""
        own = self.batch_size or read_configuration("pretraining", self.environment)["batch_size"]
        return replace(self, batch_size=round(factor * own))

    def settings(self, changes: dict[str, Any], seed: int) -> PretrainingParameters:
        """The environment's settings at this scale, with a recipe's changes."""
        settings = read_configuration("pretraining", self.environment)
        del settings["seeds"]
        if self.width is not None:
            shape = {"width": self.width, "heads": max(1, self.width // HEAD_WIDTH), "feed_forward": 4 * self.width}
            settings = merged(settings, {"teacher": shape, "student": shape})
        if self.batch_size is not None:
            settings["batch_size"] = self.batch_size
        budget = {"tokens": self.tokens, "epochs": None, "minutes": self.minutes, "seed": seed}
        return PretrainingParameters(**merged(settings, changes | budget))


def open_corpus(shards: Path, tokenizer: Path) -> Corpus:
    """A corpus that has been prepared."""
    return Corpus(Shards(shards), load_tokenizer(tokenizer))


def prepare_corpus(
    folder: Path, sources: Sequence[str] | None, names: Sequence[str] | None, length_factor: float
) -> Corpus:
    """Text as base's configuration prepares it, with a vocabulary of its own.

    Args:
        folder: for the shards.
        sources: files, folders or globs; without them the documentation of the installed packages is read,
        names: or of those named.
        length_factor: of the sequences' length.
    """
    documents = read_documents(list(sources)) if sources else _documentation(names)
    configured = read_configuration("corpus")
    length = round(length_factor * configured["sequence_length"])
    settings = CorpusParameters(**configured | {"sequence_length": length})
    split = split_documents(documents, settings.heldout_share, settings.near_duplicates)
    texts = (document.text for document in documents_of(documents, split, TRAIN))
    tokenizer = train_tokenizer(texts, settings.tokenizer)
    write_shards(folder, documents, split, tokenizer, settings)
    return Corpus(Shards(folder), tokenizer)


def _documentation(names: Sequence[str] | None) -> Documents:
    packages = [package for package in find_installed_packages() if names is None or package.name in names]
    gathered = harvest(packages)
    return Documents(
        f"documentation of {len(packages)} installed packages",
        read=lambda: iter(gathered),
        identify=lambda: identify_packages(packages),
    )


def run_training(
    corpus: Corpus, shortest: Corpus, label: str, method: str, changes: dict[str, Any], scale: Scale, seed: int
) -> Outcome:
    """Train a pair from scratch.

    Args:
        corpus: what to train on.
        shortest: the same text in the shortest sequences that the models are judged on.
        label: what to call the training in messages.
        method: name of a method.
        changes: where the settings differ from the environment's, nested like them.
        scale: environment, size and budget.
        seed: of weights, order and masks.
    """
    settings = scale.settings(changes, seed)
    execution = execution_parameters(
        scale.environment, device=scale.device, resume="never", checkpoint_seconds=LONG, evaluations=10
    )
    with TemporaryDirectory() as folder:
        store = StateStore(Path(folder), label)
        models, history = pretrain(corpus.shards, corpus.tokenizer, find_method(method), settings, execution, store)
    table = history.table()
    last = table[table["step"] == table["step"].max()]

    def by_role(metric: str) -> dict[str, float]:
        rows = last[last["metric"] == metric]
        return {str(role): float(value) for role, value in zip(rows["role"], rows["value"], strict=True)}

    counts = table[table["metric"] == "parameters"]
    losses = table[table["metric"] == "sampled_heldout_loss"]
    return Outcome(
        tokens=int(table["tokens"].max()),
        tokens_per_second=float(table.loc[table["metric"] == "tokens_per_second", "value"].median()),
        heldout_loss=by_role("heldout_loss"),
        heldout_accuracy=by_role("heldout_accuracy"),
        parameters={str(role): int(value) for role, value in zip(counts["role"], counts["value"], strict=True)},
        curve={
            str(role): {
                round(10 * tokens / table["tokens"].max()): float(loss)
                for tokens, loss in zip(rows["tokens"], rows["value"], strict=True)
                if tokens
            }
            for role, rows in losses.groupby("role", sort=False)
        },
        loss_at_shortest=by_role("heldout_loss")
        if shortest is corpus
        else {role: _heldout_loss(model, shortest, settings, execution) for role, model in models.items()},
    )


def _heldout_loss(
    model: PreTrainedModel, corpus: Corpus, settings: PretrainingParameters, execution: ExecutionParameters
) -> float:
    """A trained model's loss on the held-out text of a corpus, in nats."""
    hardware = choose_hardware(execution, model.config.hidden_size)
    masking = masking_for(corpus.tokenizer, MASKING_SHARE, hardware.device)
    batches = heldout_batches(
        corpus.shards.sequences("heldout"),
        lambda tokens, seed, step: mask_tokens(to_device(tokens, hardware.device), masking, seed, step),
    )
    return evaluate(Trainee.start(model, settings.optimiser, hardware), batches, SideBySide(in_threads=False)).loss
