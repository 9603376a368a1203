"""Before a long pre-training starts: what it takes on this machine, in a few lines."""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from ctcd.errors import InputError
from ctcd.parameters import Parameters

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

    vocabulary: Any
    sequence_length: int
    sequences: int | None
    sentences: int | None = None


class EstimateHook:
    """Says before the first node what the pre-training of a run takes, and again when the corpus is counted."""

    def __init__(self) -> None:
        self._waits_for_corpus = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the parameters."""
        self._parameters = Parameters.model_validate(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Estimate what is going to be pre-trained, as far as it is known."""
        self._catalog = catalog
        self._waits_for_corpus = False
        made = pipeline.all_outputs()
        if run_params["only_missing_outputs"]:
            made = {name for name in made if not catalog.exists(name)}
        nodes = {node.name: node for node in pipeline.nodes}
        self._variants = [
            name
            for name in self._parameters.variants
            if f"{name}.pretrain" in nodes and made.intersection(nodes[f"{name}.pretrain"].outputs)
        ]
        if self._variants:
            self._say(made)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Estimate with the corpus as it is, where it was unknown or assumed."""
        if dataset_name == "shards" and self._waits_for_corpus:
            self._say(made=set())

    def _say(self, made: set[str]) -> None:
        try:
            corpus = _corpus(self._parameters, self._catalog, made)
            in_epochs = self._parameters.pretraining.epochs is not None
            self._waits_for_corpus = in_epochs and (corpus.sequences is None or corpus.sentences is not None)
            _log_estimate(self._parameters, self._variants, corpus)
        except InputError:
            raise
        except Exception as error:  # of a GPU without memory to measure on, of files that a later node will name
            logger.warning("The run goes on without an estimate (%s).", str(error).partition("\n")[0])


def _corpus(parameters: Parameters, catalog: DataCatalog, made: set[str]) -> Corpus:
    """What is known of the corpus, of whose datasets the run is going to make some."""
    from ctcd.pretraining.estimate import AssumedVocabulary, assumed_sequences

    ready: Any = catalog.get("ready_tokenizer")
    tokenizer = ready.load_local() if "tokenizer" in made else catalog.load("tokenizer")
    size = parameters.corpus.tokenizer.vocabulary_size if tokenizer is None else len(tokenizer)
    if "shards" in made:
        sequences, sentences = assumed_sequences(parameters.corpus), parameters.corpus.sentences
        return Corpus(AssumedVocabulary(size), parameters.corpus.sequence_length, sequences, sentences)
    shards = catalog.load("shards")
    return Corpus(AssumedVocabulary(size), shards.sequence_length, shards.metadata["splits"]["train"]["sequences"])


def _log_estimate(parameters: Parameters, variants: list[str], corpus: Corpus) -> None:
    from ctcd.distillation.methods import find_method
    from ctcd.engine.hardware import choose_hardware
    from ctcd.pretraining.estimate import UTILISATION, estimate

    widths = [shape.width for shape in (parameters.pretraining.teacher, parameters.pretraining.student)]
    hardware = choose_hardware(parameters.execution, max(widths))
    machine = _machine(hardware)
    speed = UTILISATION * machine.speed
    estimates: dict[str, Any] = {}
    for name in variants:
        variant = parameters.variants[name]
        settings = variant.applied_to(parameters.pretraining)
        method = find_method(variant.method, variant.weights)
        found = estimate(settings, method, corpus.vocabulary, corpus.sequence_length, corpus.sequences, hardware, speed)
        if found is not None and found.tokens:
            estimates[name] = found
    if not estimates:
        return
    seconds = sum(each.operations for each in estimates.values()) / speed
    if seconds < SHORT:
        tokens = sum(each.tokens for each in estimates.values())
        logger.info(
            "pre-training ahead: %s tokens in %s, about %s on %s",
            _count(tokens),
            ", ".join(estimates),
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
            f"model; vocabulary {len(corpus.vocabulary):,}"
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
