"""Every setting of the project, typed. Kedro checks them before the first node runs.

What is learned (`corpus`, `pretraining`, `variants`, `finetuning`) is kept apart from how it is executed
(`execution`): only the first is part of a variant's identity.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
PositiveInteger = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0.0)]
WeightName = Literal["teacher_hard", "teacher_soft", "student_hard", "student_soft"]


def _listed(value: Any) -> Any:
    """Read `a+b`, or a single number, as a list: `--params` of Kedro's command line knows none."""
    if isinstance(value, str):
        return value.split("+")
    return [value] if isinstance(value, int | float) else value


Listed = BeforeValidator(_listed)
Names = Annotated[list[str], Listed]
ClassMetric = Literal["accuracy", "f1", "macro_f1", "matthews"]
NumberMetric = Literal["pearson", "spearman"]


class Settings(BaseModel):
    """A group of settings: unknown names are refused and values cannot be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenizerParameters(Settings):
    """How a WordPiece tokenizer is trained.

    Of a ready tokenizer on the hub `vocabulary_size` is what the estimate of a run assumes before it is fetched.
    """

    vocabulary_size: Annotated[int, Field(ge=64)]
    lowercase: bool
    minimum_frequency: PositiveInteger
    training_characters: PositiveInteger


class ProbesParameters(Settings):
    """Sizes of the tasks that are made from held-out documents."""

    train_examples: PositiveInteger
    validation_examples: PositiveInteger
    seed: int


class CorpusParameters(Settings):
    """From documents to packed sequences of `sequence_length` tokens.

    Of the sentences one in `keep_every` is kept, and of these the first `sentences`.
    """

    keep_every: PositiveInteger = 1
    sentences: PositiveInteger | None = None
    heldout_share: Annotated[float, Field(gt=0.0, le=0.5)]
    sequence_length: Annotated[int, Field(ge=8)]
    tokenizer: TokenizerParameters
    probes: ProbesParameters


class ModelParameters(Settings):
    """A model's shape; `options` that are not null go to its Hugging Face configuration as they are."""

    architecture: Literal[
        "bert",
        "distilbert",
        "electra",
        "gpt2",
        "llama",
        "megatron-bert",
        "modernbert",
        "roberta",
        "roberta-prelayernorm",
    ]
    layers: PositiveInteger
    width: PositiveInteger
    heads: PositiveInteger
    feed_forward: PositiveInteger
    dropout: Share = 0.0
    options: dict[str, Any] = {}

    def __hash__(self) -> int:
        """Equal shapes are counted once."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelParameters":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class OptimiserParameters(Settings):
    """`adamw` for every weight, or `muon` for the matrices of the layers and AdamW for the rest."""

    name: Literal["adamw", "muon"]
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    learning_rate: PositiveNumber
    matrix_learning_rate: PositiveNumber | None = None
    second_beta: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.98
    weight_decay: Annotated[float, Field(ge=0.0)]
    maximum_gradient_norm: PositiveNumber

    @model_validator(mode="after")
    def _muon_needs_a_matrix_rate(self) -> "OptimiserParameters":
        if self.name == "muon" and self.matrix_learning_rate is None:
            raise ValueError("optimiser 'muon' needs matrix_learning_rate")
        return self


class SoftWeightsParameters(Settings):
    """How the method's soft weights change: from 0 in the warm-up, then linearly to `final_factor` times themselves."""

    warmup_share: Share = 0.0
    final_factor: Annotated[float, Field(ge=0.0)] = 1.0


class PretrainingParameters(Settings):
    """What all variants of a study share.

    The budget is `steps`, or what is set of `tokens`, `epochs` and `minutes`.
    """

    teacher: ModelParameters
    student: ModelParameters
    steps: Annotated[int, Field(ge=0)]
    tokens: PositiveInteger | None = None
    epochs: PositiveNumber | None = None
    minutes: PositiveNumber | None = None
    matched_operations: bool = False
    batch_size: PositiveInteger
    masking_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    temperature: PositiveNumber
    label_smoothing: Share = 0.0
    soft_weights: SoftWeightsParameters = SoftWeightsParameters()
    moving_average_decay: Share = 0.99
    warmup_share: Share
    optimiser: OptimiserParameters
    seed: int

    @model_validator(mode="after")
    def _has_one_budget(self) -> "PretrainingParameters":
        chosen = [name for name in ("tokens", "epochs", "minutes") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} are both set: set one of them to null")
        return self


class VariantParameters(Settings):
    """One variant: a method, and where it differs from the method's weights and from what all variants share."""

    method: str
    weights: dict[WeightName, Annotated[float, Field(ge=0.0)]] = {}
    teacher: ModelParameters | None = None
    student: ModelParameters | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    matched_operations: bool | None = None
    temperature: PositiveNumber | None = None
    label_smoothing: Share | None = None
    soft_weights: SoftWeightsParameters | None = None
    seed: int | None = None

    def applied_to(self, shared: PretrainingParameters) -> PretrainingParameters:
        """What all variants share, with this variant's differences."""
        own = ("method", "weights")
        differences = {name: value for name, value in self if name not in own and value is not None}
        if self.steps is not None:
            differences |= {"tokens": None, "epochs": None, "minutes": None}
        return shared.model_copy(update=differences)


class TaskTraining(Settings):
    """Fine-tuning settings of one task where they differ from the suite's."""

    epochs: PositiveInteger | None = None
    batch_size: PositiveInteger | None = None
    learning_rate: PositiveNumber | None = None


class SearchParameters(Settings):
    """A grid of fine-tuning settings, decided on a share of the training data; what is empty is not searched."""

    learning_rates: Annotated[list[PositiveNumber], Listed] = []
    epochs: Annotated[list[PositiveInteger], Listed] = []
    batch_sizes: Annotated[list[PositiveInteger], Listed] = []
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1


class ExtraTaskParameters(Settings):
    """A task beyond the suites that come with the project; its folder has its name.

    A classification task has as many classes as its files have labels, which may be text.
    """

    text_columns: Annotated[Names, Field(min_length=1, max_length=2)]
    metrics: Annotated[list[ClassMetric | NumberMetric], Listed, Field(min_length=1)]
    regression: bool = False
    validation_splits: Annotated[Names, Field(min_length=1)] = ["validation"]

    @model_validator(mode="after")
    def _metrics_fit_the_labels(self) -> "ExtraTaskParameters":
        fitting = get_args(NumberMetric if self.regression else ClassMetric)
        for metric in self.metrics:
            if metric not in fitting:
                kind = "numbers" if self.regression else "classes"
                raise ValueError(f"metric '{metric}' is not for {kind}: choose from {', '.join(fitting)}")
        return self


class FinetuningParameters(Settings):
    """Fine-tuning and scoring of one model on a suite of tasks."""

    suite: Literal["probes", "glue", "extra"]
    tasks: dict[Literal["probes", "glue", "extra"], Names]
    extra_tasks: dict[str, ExtraTaskParameters] = {}
    seeds: PositiveInteger
    epochs: PositiveInteger
    batch_size: PositiveInteger | None
    learning_rate: PositiveNumber | None
    warmup_share: Share
    weight_decay: Annotated[float, Field(ge=0.0)]
    dropout: Share | None
    maximum_length: Annotated[int, Field(ge=8)] | None
    task_training: dict[str, TaskTraining] = {}
    search: SearchParameters = SearchParameters()
    submission: bool = True


class ReportingParameters(Settings):
    """Statistics of the report."""

    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]


class ExecutionParameters(Settings):
    """How, not what: none of these changes what is learned beyond rounding."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: Literal["auto", "always", "never"]
    workers: Annotated[int, Field(ge=0)]
    evaluations: PositiveInteger
    evaluation_sequences: PositiveInteger
    log_seconds: PositiveNumber
    checkpoint_seconds: PositiveNumber
    keep_checkpoints: PositiveInteger
    resume: Literal["auto", "never", "require"]


class TrackingParameters(Settings):
    """Logging to MLflow."""

    enabled: bool


class Parameters(Settings):
    """All parameters of a run. The last six come from `--params` alone and point the catalog elsewhere."""

    corpus: CorpusParameters
    pretraining: PretrainingParameters
    variants: dict[str, VariantParameters]
    finetuning: FinetuningParameters
    reporting: ReportingParameters
    execution: ExecutionParameters
    tracking: TrackingParameters
    data_root: str | None = None
    glue: str | None = None
    model: str | None = None
    documents: str | None = None
    tokenizer: str | None = None
    teacher: str | None = None
