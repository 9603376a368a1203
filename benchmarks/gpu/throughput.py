"""Tokens per second and share of the measured peak, by method and batch size, compiled and not.

The trainings are those of `pretraining.py`, in this one process, so that code compiled for one method serves the next.
"""

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from statistics import median
from time import monotonic
from typing import Any

import torch
from check import LARGEST_SIDES, require_device
from contenders import all_contenders
from machine import describe, measure_matrix_peak
from project import record, recorded
from rich.console import Console
from rich.table import Table
from unpack import UNFINISHED
from worker import Assignment, Host
from workload import SHAPES, Shape

from engine import MEASURED_METHODS, Compile

COMPILED: dict[bool, Compile] = {False: "never", True: "always"}
WARM_UP_STEPS = 3
BLOCKS = 3
STEP = "throughput"


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    method: str
    batch_size: int
    compiled: bool


@dataclass(frozen=True)
class Measurement:
    """What was measured of it; `unavailable` says why nothing was."""

    tokens_per_second: float = 0.0
    peak_share: float = 0.0  # operations needed per second / best matrix product of the same data type
    memory_megabytes: float = 0.0
    start_seconds: float = 0.0  # building the models, compiling, the first steps
    unavailable: str = ""


def measure_throughput(
    device: str,
    shape_name: str,
    batch_sizes: Sequence[int],
    compiled: Sequence[bool],
    block_seconds: float,
    seconds: float,
    threads: int,
) -> int:
    """Measure what an earlier call has not, for some seconds; returns 75 if something is left.

    Raises:
        InputError: if there is no such device.
    """
    started = monotonic()
    require_device(device)
    shape = SHAPES[shape_name]
    settings = [
        Setting(method, batch_size, is_compiled)
        for is_compiled, batch_size, method in product(compiled, batch_sizes, MEASURED_METHODS)
    ]
    report = _begin(device, shape, threads)
    found: dict[Setting, Measurement] = {
        Setting(**each["setting"]): Measurement(**each["measurement"]) for each in report["measurements"]
    }
    left = [setting for setting in settings if setting not in found]
    shapes_compiled: set[tuple[int, bool]] = set()
    while left and monotonic() - started < seconds:
        setting = left.pop(0)
        if (setting.batch_size, setting.compiled) not in shapes_compiled:
            torch.compiler.reset()  # it keeps code for a few shapes only, and gives up on the next one
            shapes_compiled.add((setting.batch_size, setting.compiled))
        found[setting] = _measure(setting, shape, device, threads, block_seconds, report)
        report["measurements"] = [
            {"setting": asdict(each), "measurement": asdict(measurement)} for each, measurement in found.items()
        ]
        record(STEP, report)
    _print(report, {setting: found[setting] for setting in settings if setting in found})
    if left:
        print(f"{len(left)} of {len(settings)} are left: give the same command again")
        return UNFINISHED
    return 0


def _begin(device: str, shape: Shape, threads: int) -> dict[str, Any]:
    """What an earlier call found on the same machine, or a report without measurements."""
    machine, found = describe(device, threads), recorded(STEP)
    if found and (found["machine"], found["shape"]) == (machine, shape.name):
        return found
    return {
        "machine": machine,
        "shape": shape.name,
        "matrix_peak": measure_matrix_peak(device, LARGEST_SIDES.get(shape.name, 1 << 20)),
        # Before anything is compiled: while they are counted, PyTorch marks functions as never to be compiled.
        "operations_per_token": {method: _operations(method, shape, device, threads) for method in MEASURED_METHODS},
        "measurements": [],
    }


def _measure(
    setting: Setting, shape: Shape, device: str, threads: int, block_seconds: float, report: dict[str, Any]
) -> Measurement:
    name = f"ours: {setting.method}"
    shape = shape.with_batch_size(setting.batch_size)
    compile = COMPILED[setting.compiled]
    contender = next(each for each in all_contenders(shape, device, compile) if each.name == name)
    host = Host(Assignment(name, shape, device, threads, compile))
    started = monotonic()
    try:
        steps = max(1, round(block_seconds / host.start(WARM_UP_STEPS)))
        start_seconds = monotonic() - started
        speed = median(steps * shape.tokens_per_step / host.advance(steps) for _ in range(BLOCKS))
        memory = host.memory()["rise"]
    except torch.OutOfMemoryError:
        return Measurement(unavailable="no GPU memory left")
    except RuntimeError as error:
        return Measurement(unavailable=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    finally:
        host.close()
        del host
        gc.collect()
        torch.cuda.empty_cache()
    peak = report["matrix_peak"]["bfloat16" if contender.bfloat16 else "float32"]
    operations = report["operations_per_token"][setting.method]
    return Measurement(speed, operations * speed / peak, memory, start_seconds)


def _operations(method: str, shape: Shape, device: str, threads: int) -> float:
    """Floating-point operations that a method needs for a token."""
    host = Host(Assignment(f"ours: {method}", shape, device, threads))
    return host.count_operations() / shape.tokens_per_step


def _print(report: dict[str, Any], found: dict[Setting, Measurement]) -> None:
    machine = report["machine"]
    table = Table(
        title=f"{report['shape']} models, {machine['gpu'] or machine['processor']}, PyTorch {machine['torch']}",
        title_justify="left",
    )
    table.add_column("method", no_wrap=True)
    for name in ("batch", "compiled", "tokens/s", "of peak", "memory", "start"):
        table.add_column(name, justify="right", no_wrap=True)
    for setting, measurement in found.items():
        words = [setting.method, f"{setting.batch_size}", "yes" if setting.compiled else ""]
        if measurement.unavailable:
            table.add_row(*words, measurement.unavailable)
            continue
        table.add_row(
            *words,
            f"{measurement.tokens_per_second:,.0f}",
            f"{measurement.peak_share:.0%}",
            f"{measurement.memory_megabytes:,.0f} MB",
            f"{measurement.start_seconds:.1f} s",
        )
    Console(highlight=False, width=max(100, Console().width)).print(table)
    speeds = ", ".join(f"{speed / 1e12:,.2f} TFLOP/s {name}" for name, speed in report["matrix_peak"].items())
    print(f"of peak: needed operations per second / best matrix product ({speeds})")
