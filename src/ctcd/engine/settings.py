"""Settings of how things are computed."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ctcd.lineage.settings import PositiveInteger, PositiveNumber, PositiveShare, Settings


class OptimiserParameters(Settings):
    """`adamw` for every weight, or `muon` for the matrices of the layers and AdamW for the rest.

    The learning rate falls by `schedule` in the last `decay_share` of the training; with 1, from the warm-up on.
    """

    name: Literal["adamw", "muon"]
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    decay_share: PositiveShare = 1.0
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
    resume: Literal["auto", "never"]
