"""A training before its first step: models and data."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ctcd.corpus.shards import Sequences, Shards
from ctcd.distillation.methods import Method, Role, check_relation_heads, roles_except
from ctcd.distillation.term_losses import new_projection
from ctcd.engine.hardware import Hardware, choose_hardware
from ctcd.engine.settings import ExecutionParameters
from ctcd.engine.side_by_side import SideBySide
from ctcd.errors import InputError
from ctcd.lineage.digest import tokenizer_fingerprint
from ctcd.modeling.architecture import build_model, has_dropout, parameter_count, readable_length
from ctcd.modeling.families import FAMILIES, Objective
from ctcd.modeling.pretrained import PretrainedModel
from ctcd.modeling.settings import ModelParameters
from ctcd.modeling.signals import projected_widths
from ctcd.pretraining.batches import batch_of, limited, to_device
from ctcd.pretraining.budget import in_steps
from ctcd.pretraining.heldout import MASKING_SHARE, heldout_batches, sample_of
from ctcd.pretraining.history import History
from ctcd.pretraining.initial import build_initial
from ctcd.pretraining.masking import PredictionBatch, mask_tokens, masking_for, next_tokens, with_noise_seeds
from ctcd.pretraining.models import FrozenModel, MovingAverage, Trainee
from ctcd.pretraining.settings import PretrainingParameters

# Each half of a batch adds up all gradients for itself, and casts the output layers. With more weights than this to a
# token of the batch that costs more than working on both halves at the same time saves, and memory besides.
MOST_WEIGHTS_PER_TOKEN = 40_000

# Makes a batch of token ids (sequences, length), a seed and a step.
Prepare = Callable[[Tensor, int, int], PredictionBatch]


@dataclass
class Training:
    """Everything that changes while a variant is trained, and what it is made of."""

    label: str
    method: Method
    settings: PretrainingParameters
    execution: ExecutionParameters
    hardware: Hardware
    sequences: Sequences
    prepare: Prepare
    heldout: Mapping[str, list[PredictionBatch]]  # by source
    heldout_sample: list[PredictionBatch]
    trainees: dict[Role, Trainee]
    averages: dict[Role, MovingAverage]
    frozen: FrozenModel | None
    side_by_side: SideBySide
    step: int = 0
    seconds_before: float = 0.0  # spent on it before this process
    started: float = field(default_factory=monotonic)
    history: History = field(default_factory=History)

    @property
    def tokens_per_step(self) -> int:
        """Tokens that each model reads in a step."""
        return self.settings.batch_size * self.sequences.length

    @property
    def seconds(self) -> float:
        """Time spent on the training."""
        return self.seconds_before + monotonic() - self.started

    def done(self, step: float) -> float:
        """Which share of the training is done after a number of steps, which is the current one where time counts."""
        if self.settings.minutes is not None:
            return min(1.0, self.seconds / (60 * self.settings.minutes))
        return min(1.0, step / self.settings.steps) if self.settings.steps else 1.0

    def batch(self, step: int) -> PredictionBatch:
        """What a step sees."""
        tokens = batch_of(self.sequences, step, self.settings.batch_size, self.settings.seed)
        batch = self.prepare(tokens, self.settings.seed, step)
        return with_noise_seeds(batch, self.settings.seed, step) if self.settings.source_noise else batch


def start_training(
    shards: Shards,
    tokenizer: PreTrainedTokenizerBase,
    method: Method,
    settings: PretrainingParameters,
    execution: ExecutionParameters,
    label: str,
    frozen: PretrainedModel | None,
    initial: Mapping[Role, PretrainedModel],
) -> Training:
    """Build the models and open the data; see `ctcd.pretraining.loop.pretrain`."""
    shards.check_tokenizer(tokenizer_fingerprint(tokenizer))
    shapes: dict[Role, ModelParameters] = {"teacher": settings.teacher, "student": settings.student}
    objective = _common_objective([shapes[role] for role in method.trained], frozen)
    _check_frozen(method, frozen, tokenizer, shards)
    for given in initial.values():
        _check_fits(f"The model in '{given.folder}' to start from", given, tokenizer, shards)
    sequences = limited(shards.sequences("train", settings.sources), settings.training_share)
    settings = in_steps(settings, method, tokenizer, shards.sequence_length, len(sequences))
    hardware = choose_hardware(execution, max(shapes[role].width for role in method.trained))
    if hardware.compiles:
        torch.compiler.reset()  # PyTorch gives up compiling a function after eight models

    def preparing(masking_share: float) -> Prepare:
        masking = masking_for(tokenizer, masking_share, hardware.device)

        def prepare(token_ids: Tensor, seed: int, step: int) -> PredictionBatch:
            tokens = to_device(token_ids, hardware.device)
            return mask_tokens(tokens, masking, seed, step) if objective == "mlm" else next_tokens(tokens)

        return prepare

    heldout = {
        source: heldout_batches(shards.sequences("heldout", [source]), preparing(MASKING_SHARE))
        for source in shards.sources
    }

    models = {
        role: build_initial(shapes[role], initial[role].model)
        if role in initial
        else build_model(shapes[role], tokenizer, shards.sequence_length, settings.seed, role)
        for role in method.trained
    }
    followed = models if method.learns_from_itself else {}
    wanted = {term.signal for term in method.terms}
    projections = _projections(method, models, frozen, settings.seed)
    return Training(
        label=label,
        method=method,
        settings=settings,
        execution=execution,
        hardware=hardware,
        sequences=sequences,
        prepare=preparing(settings.masking_share),
        heldout=heldout,
        heldout_sample=sample_of(heldout, execution.evaluation_sequences),
        # Averages first: they copy the models as they are built.
        averages={
            role: MovingAverage(model, hardware, settings.moving_average_decay, wanted)
            for role, model in followed.items()
        },
        trainees={
            role: Trainee.start(
                model, settings.optimiser, hardware, settings.kept_average_decay, wanted, projections.get(role)
            )
            for role, model in models.items()
        },
        frozen=FrozenModel(frozen.model, hardware, wanted) if frozen is not None and method.has_source else None,
        side_by_side=SideBySide(
            can_share_a_step(hardware, models.values(), settings.batch_size * shards.sequence_length)
        ),
    )


def _projections(
    method: Method, models: Mapping[Role, PreTrainedModel], frozen: PretrainedModel | None, seed: int
) -> dict[Role, nn.Linear]:
    """Of the hidden states of those that learn by them, to the width of what they learn from."""
    all_models = [*models.values(), *([] if frozen is None else [frozen.model])]
    check_relation_heads(method.terms, [width for model in all_models for width in projected_widths(model.config)])
    projections: dict[Role, nn.Linear] = {}
    for term in method.terms:
        if term.signal == "hidden_states":
            role = term.learner
            (other,) = (role,) if method.learns_from_itself else roles_except(role)
            source = models[other] if other in models else all_models[-1]
            width, source_width = models[role].config.hidden_size, source.config.hidden_size
            projections[role] = new_projection(width, source_width, seed, role)
    return projections


def can_share_a_step(hardware: Hardware, models: Iterable[PreTrainedModel], tokens_per_step: int) -> bool:
    """Whether two threads may compute halves of a batch, and gain by it.

    Not on a GPU; not compiled, because every new shape would be compiled anew and halves may differ in their number of
    predicted positions; and not with dropout, which draws from the one generator that all threads share.
    """
    models = list(models)
    if hardware.device.type != "cpu" or hardware.compiles or any(map(has_dropout, models)):
        return False
    return sum(map(parameter_count, models)) <= MOST_WEIGHTS_PER_TOKEN * tokens_per_step


def _common_objective(shapes: list[ModelParameters], frozen: PretrainedModel | None) -> Objective:
    names = [shape.architecture for shape in shapes] + ([] if frozen is None else [frozen.model.config.model_type])
    objectives = {FAMILIES[name].objective for name in names}
    if len(objectives) > 1:
        raise InputError(
            f"{' and '.join(names)} do not learn together: some predict masked tokens, some the next token; choose "
            "pretraining.teacher.architecture and pretraining.student.architecture of one kind."
        )
    return objectives.pop()


def _check_frozen(
    method: Method, frozen: PretrainedModel | None, tokenizer: PreTrainedTokenizerBase, shards: Shards
) -> None:
    if (method.has_source and frozen is None) or (method.frozen is None and frozen is not None):
        wanted = f"a frozen {method.frozen}" if method.frozen else "no frozen model"
        raise InputError(
            f"This method wants {wanted}, the pipeline gives it {'none' if frozen is None else 'one'}: choose another "
            "method for the variant, or another pipeline."
        )
    if frozen is None:
        return
    _check_fits(f"The frozen model in '{frozen.folder}'", frozen, tokenizer, shards)
    corpus, made_from = shards.metadata["fingerprint"], frozen.lineage.get("corpus")
    if made_from not in (None, corpus):
        raise InputError(
            f"The frozen model in '{frozen.folder}' was trained on another corpus (fingerprint {made_from}, not "
            f"{corpus}): train it anew, or name it with --params teacher={frozen.folder} if that is meant."
        )


def _check_fits(name: str, given: PretrainedModel, tokenizer: PreTrainedTokenizerBase, shards: Shards) -> None:
    """Refuse a model that reads or predicts other tokens than the corpus has, or fewer; `name` begins the sentence."""
    if tokenizer_fingerprint(given.tokenizer) != tokenizer_fingerprint(tokenizer):
        raise InputError(
            f"{name} has another vocabulary than the corpus: prepare the corpus with its tokenizer, "
            f"--params tokenizer={given.folder}."
        )
    length = shards.sequence_length
    configuration = given.model.config
    if configuration.vocab_size != len(tokenizer):
        raise InputError(
            f"{name} predicts {configuration.vocab_size} tokens, its tokenizer has {len(tokenizer)}: give it as many "
            "with resize_token_embeddings, and save it."
        )
    longest = readable_length(configuration)
    if longest is not None and longest < length:
        raise InputError(f"{name} reads {longest} tokens, the sequences have {length}: lower corpus.sequence_length.")
