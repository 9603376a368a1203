"""Everything that the pre-training benchmark measures, as one readable list."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ladder import PlainTraining, Rung, climb, start_rung
from peers import start_textbrewer, start_trainer
from workload import Shape

from engine import MEASURED_METHODS, Compile, EngineTraining, Terms, chosen_execution


class Training(Protocol):
    """Models in training."""

    def advance(self, steps: int) -> None:
        """Train for some steps."""

    def close(self) -> None:
        """End what was started."""


class LossesTraining(Training, Protocol):
    """Models in training that say their losses."""

    def next_losses(self) -> Terms:
        """Train for one step and say its losses."""


@dataclass(frozen=True)
class Contender:
    """One row of the table."""

    name: str
    section: str
    trains: str  # rows that train the same models by the same losses need the same arithmetic
    start: Callable[[], Training]
    bfloat16: bool = False
    huge_pages: bool = False
    modules: tuple[str, ...] = ()  # imported before the memory of training is counted
    start_check: Callable[[], LossesTraining] | None = None  # no dropout, the common initial weights
    start_count: Callable[[], Training] | None = None  # in one thread and not compiled, as counting operations needs


def all_contenders(shape: Shape, device: str, compile: Compile = "auto") -> list[Contender]:
    """The ladder, ours by method (compiled where ctcd does, or as `compile` says), and the peers."""
    return [*_rungs(shape, device), *_methods(shape, device, compile), *_peers(shape, device)]


def _rungs(shape: Shape, device: str) -> list[Contender]:
    return [
        Contender(
            name=name,
            section="ladder",
            trains="ctcd",
            start=partial(start_rung, rung, shape, device),
            bfloat16=rung.bfloat16,
            huge_pages=rung.huge_pages,
            modules=("torch._inductor.compile_fx",) if rung.compiled else (),
            start_check=partial(_start_from_common_weights, rung, shape, device),
            start_count=partial(start_rung, replace(rung, compiled=False), shape, device, in_turn=True),
        )
        for name, rung in climb()
    ]


def _methods(shape: Shape, device: str, compile: Compile) -> list[Contender]:
    execution = chosen_execution(shape, device, compile)
    in_turn = replace(execution, side_by_side=False, compiled=False)
    return [
        Contender(
            name=f"ours: {method}",
            section="method",
            trains=method,
            start=partial(EngineTraining, shape, method, execution),
            bfloat16=execution.bfloat16,
            huge_pages=True,
            start_count=partial(EngineTraining, shape, method, in_turn),
        )
        for method in MEASURED_METHODS
    ]


def _peers(shape: Shape, device: str) -> list[Contender]:
    trainers = [
        Contender(
            name=f"Trainer: teacher alone{', bf16' if bfloat16 else ''}",
            section="peer",
            trains="teacher_alone",
            start=partial(start_trainer, shape, device, bfloat16),
            bfloat16=bfloat16,
            modules=("accelerate", "transformers.trainer"),
        )
        for bfloat16 in (False, True)
    ]
    textbrewer = Contender(
        name="TextBrewer: one_way",
        section="peer",
        trains="one_way",
        start=partial(start_textbrewer, shape, device),
        modules=("textbrewer",),
    )
    return [*trainers, textbrewer]


def _start_from_common_weights(rung: Rung, shape: Shape, device: str) -> LossesTraining:
    training = start_rung(replace(rung, dropout=0.0), shape, device)
    if isinstance(training, PlainTraining):
        training.use_initial_weights()
    return training
