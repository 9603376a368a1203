"""Measures contenders in rounds: each gets a block of steps per round, and only one works at a time."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field

from contenders import Contender
from ladder import PLAIN
from machine import MEGABYTE, available_memory
from worker import Assignment, ContenderError, Worker
from workload import Shape

from engine import Terms

WARM_UP_STEPS = 2
ROOM = 1.5  # baseline peaks of free memory, without which no further process is started

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    shape: Shape
    device: str
    threads: int
    rounds: int
    block_seconds: float
    check_steps: int
    at_once: int | None = None  # processes kept alive together; None: as many as the memory holds


@dataclass
class Result:
    """What was measured of a contender; empty where `unavailable` gives a reason."""

    contender: Contender
    unavailable: str = ""
    steps_per_block: int = 1
    tokens_per_second: list[float] = field(default_factory=list)  # by round
    ratios: list[float] = field(default_factory=list)  # to the baseline in the same round
    memory: dict[str, float] = field(default_factory=dict)
    operations: int | None = None  # of one step
    losses: list[Terms] = field(default_factory=list)  # of the first steps, see `Contender.start_check`


@dataclass
class _Running:
    result: Result
    worker: Worker


def measure(plan: Plan, contenders: list[Contender]) -> list[Result]:
    """Measure all contenders against the plain baseline, which must be among them.

    The baseline stays alive throughout. The others follow in groups that fit into memory, each group with its own
    rounds, so that every ratio compares two blocks of the same round.
    """
    results = {contender.name: Result(contender) for contender in contenders}
    baseline_result = results[PLAIN]
    others = [result for result in results.values() if not result.unavailable and result is not baseline_result]
    with ExitStack() as stack:
        baseline = _start(plan, baseline_result, stack)
        if baseline is None:
            raise ContenderError(f"the baseline cannot be run: {baseline_result.unavailable}")
        while True:
            with ExitStack() as group:
                running: list[_Running] = []
                while others and (not running or _has_room(plan, baseline, len(running))):
                    if started := _start(plan, others.pop(0), group):
                        running.append(started)
                _run_rounds(plan, baseline, running)
                for one in running:
                    _finish(plan, one)
            if not others:
                break
        _finish(plan, baseline)
    return list(results.values())


def _start(plan: Plan, result: Result, stack: ExitStack) -> _Running | None:
    """Start a process and warm it up; None, with the reason in the result, if that fails."""
    logger.info("%s: starting", result.contender.name)
    contender = result.contender
    assignment = Assignment(contender.name, plan.shape, plan.device, plan.threads, huge_pages=contender.huge_pages)
    worker = stack.enter_context(Worker(assignment))
    try:
        seconds = worker("start", WARM_UP_STEPS)
    except ContenderError as error:
        result.unavailable = str(error)
        return None
    result.steps_per_block = max(1, round(plan.block_seconds / seconds))
    return _Running(result, worker)


def _run_rounds(plan: Plan, baseline: _Running, others: list[_Running]) -> None:
    for number in range(plan.rounds):
        order = [baseline, *others]
        start = number % len(order)
        speeds: dict[str, float] = {}
        for one in order[start:] + order[:start]:
            if speed := _measure_block(plan, one):
                speeds[one.result.contender.name] = speed
        for one in order:
            if speed := speeds.get(one.result.contender.name):
                one.result.tokens_per_second.append(speed)
                one.result.ratios.append(speed / speeds[PLAIN])
        logger.info("round %d of %d done", number + 1, plan.rounds)


def _measure_block(plan: Plan, one: _Running) -> float | None:
    """Tokens per second of a block; None if the contender fails or failed before."""
    if one.result.unavailable:
        return None
    steps = one.result.steps_per_block
    try:
        return steps * plan.shape.tokens_per_step / one.worker("advance", steps)
    except ContenderError as error:
        one.result.unavailable = str(error)
        return None


def _finish(plan: Plan, one: _Running) -> None:
    """Everything that is not timed, the memory first."""
    result, contender = one.result, one.result.contender
    if result.unavailable:
        return
    logger.info("%s: memory, operations, losses", contender.name)
    try:
        result.memory = one.worker("memory")
        if contender.start_count:
            result.operations = one.worker("count_operations")
        if contender.start_check and plan.check_steps:
            result.losses = one.worker("losses", plan.check_steps)
    except ContenderError as error:
        result.unavailable = str(error)


def _has_room(plan: Plan, baseline: _Running, running: int) -> bool:
    """Whether one more process fits beside the baseline and the running ones; none needs more than the baseline."""
    if plan.at_once:
        return running + 1 < plan.at_once
    return available_memory() / MEGABYTE > ROOM * baseline.worker("memory")["process_peak"]
