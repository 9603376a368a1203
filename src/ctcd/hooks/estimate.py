"""Before a long pre-training starts: what it takes on this machine, in a few lines."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from ctcd.errors import InputError, first_line
from ctcd.parameters import Parameters
from ctcd.pipelines import of_corpus
from ctcd.pretraining.settings import GIVEN
from ctcd.studies.loading import all_studies
from ctcd.studies.study import Variant

if TYPE_CHECKING:
    from ctcd.lineage.run_store import RunStore
    from ctcd.pretraining.estimate import Estimate
    from ctcd.pretraining.plan import PlannedRun

logger = logging.getLogger(__name__)

MINUTE, HOUR, DAY, YEAR = 60, 3600, 24 * 3600, 365 * 24 * 3600
SHORT = HOUR / 2  # one line is enough
TOO_LONG = 14 * DAY
GIGABYTE = 1e9


@dataclass(frozen=True)
class Machine:
    """Where the models are going to be trained.

    Attributes:
        name: for people.
        memory: bytes.
        speed: operations per second of large matrix products.
        precision: of these.
        remedy: what would be faster.
        lacks_gpu: whether it is a CPU because there is no GPU.
    """

    name: str
    memory: float
    speed: float
    precision: str
    remedy: str = "use a faster one"
    lacks_gpu: bool = False


@dataclass(frozen=True)
class Corpus:
    """What is known of the corpus: `sequences` is None until it is prepared, unless `sentences` are assumed."""

    vocabulary_size: int
    sequence_length: int
    sequences: int | None
    sentences: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Corpus":
        """A corpus that is prepared."""
        sequences = metadata["splits"]["train"]["sequences"]
        return cls(metadata["vocabulary_size"], metadata["sequence_length"], sequences, metadata=metadata)


class EstimateHook:
    """Says before the first node what the pre-training of a run takes, and again when the corpus is counted."""

    def __init__(self) -> None:
        self._variants: dict[str | None, list[str]] = {}
        self._waiting: set[str | None] = set()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the parameters."""
        self._parameters = Parameters.model_validate(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Estimate what is going to be pre-trained, as far as it is known, corpus by corpus."""
        self._catalog = catalog
        nodes = {node.name for node in pipeline.nodes}
        self._variants, self._waiting = {}, set()
        for name, variant in self._parameters.variants.items():
            if f"{name}.pretrain" in nodes:
                self._variants.setdefault(variant.corpus, []).append(name)
        for corpus in self._variants:
            # A corpus that was prepared before is most likely the same again: what is trained on it is known soon.
            shards = of_corpus(corpus, "shards")
            if shards in pipeline.all_outputs() and catalog.exists(shards):
                self._waiting.add(corpus)
            else:
                self._say(corpus, made=pipeline.all_outputs())

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Estimate with the corpus as it is, where it was unknown or assumed."""
        for corpus in [each for each in self._waiting if of_corpus(each, "shards") == dataset_name]:
            self._say(corpus, made=set())

    def _say(self, name: str | None, made: AbstractSet[str]) -> None:
        self._waiting.discard(name)
        try:
            corpus = _corpus(name, self._parameters, self._catalog, made)
            in_epochs = _in_epochs(self._parameters, self._variants[name])
            if in_epochs and (corpus.sequences is None or corpus.sentences is not None):
                self._waiting.add(name)
            if in_epochs and corpus.sequences is None:
                return
            missing = _missing_runs(self._parameters, self._variants[name], corpus, self._catalog)
            _log_estimate(self._parameters, missing, corpus)
        except InputError:
            raise
        except Exception as error:  # e.g. no GPU memory to measure with, or a file problem that a later node reports
            logger.warning("The run goes on without an estimate (%s).", first_line(error))


def _in_epochs(parameters: Parameters, names: Sequence[str]) -> bool:
    """Whether the budget of one of some variants depends on how much text there is."""
    variants = [parameters.variants[name].settings(parameters.pretraining, seed=0) for name in names]
    return any(settings.epochs is not None for settings in variants)


def _corpus(name: str | None, parameters: Parameters, catalog: DataCatalog, made: AbstractSet[str]) -> Corpus:
    """What is known of a corpus, of whose datasets the run is going to make some."""
    from ctcd.pretraining.estimate import assumed_sequences

    shards, trained, given = (of_corpus(name, kind) for kind in ("shards", "tokenizer", "ready_tokenizer"))
    if shards not in made:
        return Corpus.of(catalog.load(shards).metadata)
    settings = parameters.corpus if name is None else parameters.corpora[name]
    ready: Any = catalog.get(given)
    tokenizer = ready.load_local() if trained in made else catalog.load(trained)
    size = settings.tokenizer.vocabulary_size if tokenizer is None else len(tokenizer)
    return Corpus(size, settings.sequence_length, assumed_sequences(settings), settings.sentences)


def _missing_runs(
    parameters: Parameters, names: Sequence[str], corpus: Corpus, catalog: DataCatalog
) -> dict[str, list["PlannedRun"]]:
    """The trainings of some variants on a corpus that are not finished, each under the first variant that needs it."""
    from ctcd.pretraining.initial import given_model
    from ctcd.pretraining.plan import plan_variants

    store: RunStore = catalog.load("run_store")
    declared = {variant.name: variant for study in all_studies().values() for variant in study.in_order()}
    needed = _with_parents(names, declared)
    variants = {name: parameters.variants[name] for name in declared if name in needed}
    metadata = corpus.metadata or {
        "vocabulary_size": corpus.vocabulary_size,
        "sequence_length": corpus.sequence_length,
        "splits": {"train": {"sequences": corpus.sequences or 0}},
        "fingerprint": "",
    }
    sources = {name: declared[name].source for name in variants}
    if GIVEN in sources.values() and (teacher := getattr(catalog.get("given_teacher"), "source", None)):
        given = given_model(teacher).id
        sources = {name: given if source == GIVEN else source for name, source in sources.items()}
    planned = plan_variants(variants, sources, parameters.pretraining, metadata)
    seen: set[str] = set()
    missing: dict[str, list[PlannedRun]] = {}
    for name in names:
        runs = [run for run in planned.get(name, []) if run.id not in seen and store.find(run.id) is None]
        seen |= {run.id for run in runs}
        missing[name] = runs
    return missing


def _with_parents(names: Sequence[str], declared: Mapping[str, Variant]) -> set[str]:
    """Some variants and all whose models they need."""
    needed: set[str] = set()
    waiting = [name for name in names if name in declared]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting += declared[name].parents
    return needed


def _log_estimate(parameters: Parameters, missing: Mapping[str, list["PlannedRun"]], corpus: Corpus) -> None:
    from ctcd.engine.hardware import choose_hardware
    from ctcd.pretraining.budget import AssumedVocabulary
    from ctcd.pretraining.estimate import UTILISATION, combined, estimate

    widths = [
        getattr(run.settings, role).width for runs in missing.values() for run in runs for role in run.method.trained
    ]
    if not widths:
        return
    hardware = choose_hardware(parameters.execution, max(widths))
    machine = _machine(hardware)
    speed = UTILISATION * machine.speed
    vocabulary = AssumedVocabulary(corpus.vocabulary_size)

    def estimated(run: "PlannedRun") -> "Estimate":
        return estimate(run.settings, run.method, vocabulary, corpus.sequence_length, hardware, speed)

    estimates = {name: combined(list(map(estimated, runs))) for name, runs in missing.items() if runs}
    estimates = {name: each for name, each in estimates.items() if each.tokens}
    if not estimates:
        return
    seconds = sum(each.operations for each in estimates.values()) / speed
    if seconds < SHORT:
        tokens = sum(each.tokens for each in estimates.values())
        seeds = len(parameters.pretraining.seeds)
        logger.info(
            "pre-training ahead: %s tokens in %s, %s, about %s on %s",
            _count(tokens),
            ", ".join(estimates),
            "1 seed" if seeds == 1 else f"{seeds} seeds",
            duration(seconds),
            machine.name,
        )
        return
    for line in _lines(estimates, machine, speed, corpus, parameters):
        logger.info(line)
    for warning in _warnings(estimates, machine, seconds):
        logger.warning(warning)


def _machine(hardware: Any) -> Machine:
    import torch

    from ctcd.pretraining.estimate import measure_speed

    speed = measure_speed(hardware)
    precision = str(hardware.dtype).removeprefix("torch.")
    if hardware.device.type == "cuda":
        memory = torch.cuda.get_device_properties(hardware.device).total_memory
        return Machine(torch.cuda.get_device_name(hardware.device), memory, speed, precision)
    bytes_ = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
    name = f"this CPU ({torch.get_num_threads()} threads)"
    return Machine(name, bytes_, speed, precision, "use a GPU", lacks_gpu=not torch.cuda.is_available())


def _lines(
    estimates: Mapping[str, Any], machine: Machine, speed: float, corpus: Corpus, parameters: Parameters
) -> list[str]:
    from ctcd.pretraining.estimate import PIECES_PER_SENTENCE, UTILISATION

    seconds = sum(each.operations for each in estimates.values()) / speed
    epochs = parameters.pretraining.epochs
    lines = ["pre-training ahead, estimated:"]
    lines += [
        f"  {name:18} {_count(each.tokens):>14} tokens  {each.operations:.1e} operations  "
        f"{duration(each.operations / speed):>10}"
        for name, each in estimates.items()
    ]
    if epochs is not None and corpus.sequences is not None:
        assumed = ""
        if corpus.sentences is not None:
            assumed = f"{corpus.sentences:,} sentences of {PIECES_PER_SENTENCE} word pieces (assumed) = "
        lines.append(
            f"  tokens: {assumed}{corpus.sequences:,} sequences of {corpus.sequence_length}, {epochs:g} times, by each "
            f"model; vocabulary {corpus.vocabulary_size:,}"
        )
    lines.append(
        f"  time: {'no GPU found; ' if machine.lacks_gpu else ''}{duration(seconds)} on {machine.name}: its "
        f"{machine.precision} matrix products reach {machine.speed / 1e12:.2g} TFLOP/s (measured), a training "
        f"{UTILISATION:.0%} of that (assumed); fine-tuning comes on top"
    )
    memory = max((each.memory for each in estimates.values()), key=lambda each: each.total)
    parts = ", ".join(f"{name} {size / GIGABYTE:.1f}" for name, size in vars(memory).items())
    lines.append(f"  memory: about {memory.total / GIGABYTE:.1f} GB ({parts}) of {machine.memory / GIGABYTE:.0f} GB")
    return lines


def _warnings(estimates: Mapping[str, Any], machine: Machine, seconds: float) -> list[str]:
    memory = max(each.memory.total for each in estimates.values())
    warnings = []
    if memory > machine.memory:
        warnings.append(
            f"Pre-training takes about {memory / GIGABYTE:.0f} GB, {machine.name} has "
            f"{machine.memory / GIGABYTE:.0f} GB: lower pretraining.batch_size."
        )
    if seconds > TOO_LONG:
        warnings.append(
            f"Pre-training takes about {duration(seconds)} on {machine.name}: {machine.remedy}, or lower the budget."
        )
    return warnings


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    units = ((1, "seconds", 100), (MINUTE, "minutes", 2 * HOUR), (HOUR, "hours", 2 * DAY), (DAY, "days", 2 * YEAR))
    unit, name = next(((unit, name) for unit, name, most in units if seconds < most), (YEAR, "years"))
    return f"{seconds / unit:.{1 if seconds < 10 * unit else 0}f} {name}"


def _count(number: float) -> str:
    for unit, name in ((1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number:,.0f}"
