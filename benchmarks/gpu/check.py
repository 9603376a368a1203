"""Whether the device computes what the CPU computes, how fast it could be, and that a step does not wait for it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import perf_counter

import torch
from machine import describe, measure_matrix_peak, synchronize
from project import record
from torch import Tensor
from workload import SHAPES, Shape

from ctcd.distillation.losses import distillation_losses
from ctcd.engine.hardware import can_compile_for_gpu
from ctcd.errors import InputError
from engine import EngineTraining, Execution, joint_weights, masked_batch

STEPS = 3  # the later ones depend on the gradients and updates of those before
TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2}
SMALL = 0.01  # nats: below it a loss's difference is measured against this
TEMPERATURE, LABEL_SMOOTHING = 2.0, 0.1
POSITIONS = 256
LARGEST_SIDES = {"tiny": 256}  # of the square matrices that measure the peak
COPY_BYTES = {"cpu": 64 << 20, "cuda": 4 << 30}
COPIES = 5


@dataclass(frozen=True)
class Comparison:
    """One thing computed on the device and on the CPU, and its largest relative difference."""

    name: str
    difference: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether it is right; a difference that is no number is not."""
        return self.difference <= self.tolerance


def check(device: str, shape_name: str, compiled: bool, threads: int) -> int:
    """Compare, measure, print; returns 1 if something is wrong.

    Args:
        device: `cuda` or `cpu`.
        shape_name: size of the models.
        compiled: whether to check the compiled step, too.
        threads: of the CPU.

    Raises:
        InputError: if there is no such device.
    """
    require_device(device)
    torch.set_num_threads(threads)
    shape = SHAPES[shape_name]
    comparisons = [*_compare_losses(device, shape), *_compare_steps(device, shape, compiled)]
    waits = _find_waiting(shape, compiled) if device == "cuda" else None
    peak = measure_matrix_peak(device, LARGEST_SIDES.get(shape_name, 1 << 20))
    bandwidth = _copy_bandwidth(device)
    machine = describe(device, threads)

    print(f"{machine['gpu'] or machine['processor']}, PyTorch {machine['torch']}, {shape_name} models")
    print(f"{'against the CPU':48} difference  tolerance")
    for each in comparisons:
        print(f"  {each.name:46} {each.difference:10.1e} {each.tolerance:10.0e}{'' if each.agrees else '   WRONG'}")
    if waits is not None:
        print(f"A training step {'waits for the device: ' + waits + '   WRONG' if waits else 'never waits for it'}.")
    speeds = ", ".join(f"{speed / 1e12:,.2f} TFLOP/s {name}" for name, speed in peak.items())
    print(f"Best matrix product: {speeds}; copying: {bandwidth / 1e9:,.0f} GB/s read and written.")
    record(
        "check",
        {
            "machine": machine,
            "shape": shape_name,
            "comparisons": [{**asdict(each), "agrees": each.agrees} for each in comparisons],
            "step_waits": waits,
            "matrix_peak": peak,
            "copy_bytes_per_second": bandwidth,
        },
    )
    return 0 if all(each.agrees for each in comparisons) and not waits else 1


def require_device(device: str) -> None:
    """Refuse a GPU that is not there.

    Raises:
        InputError: if PyTorch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("PyTorch finds no GPU: give --device cpu to try the commands without one.")


def _compare_losses(device: str, shape: Shape) -> list[Comparison]:
    """The four losses and both gradients, against float64."""
    generator = torch.Generator().manual_seed(0)
    size = (POSITIONS, shape.vocabulary)
    logits = [3 * torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(2)]
    labels = torch.randint(shape.vocabulary, (POSITIONS,), generator=generator)

    def losses_and_gradients(convert: Callable[[Tensor], Tensor]) -> tuple[Tensor, list[Tensor]]:
        inputs = [convert(each).requires_grad_() for each in logits]
        found = distillation_losses(
            *inputs, labels.to(inputs[0].device), joint_weights(), TEMPERATURE, LABEL_SMOOTHING, can_compile_for_gpu()
        )
        gradients = torch.autograd.grad(found.total, inputs)
        return torch.stack(found).detach().cpu().double(), [each.cpu().double() for each in gradients]

    exact, exact_gradients = losses_and_gradients(Tensor.clone)
    comparisons = []
    for name in TOLERANCES:
        dtype = getattr(torch, name)
        # Rounding the input is no error of the device: the exact ones are computed from the same rounded logits.
        if name == "bfloat16":
            logits = [each.to(dtype).double() for each in logits]
            exact, exact_gradients = losses_and_gradients(Tensor.clone)
        found, gradients = losses_and_gradients(lambda each, dtype=dtype: each.to(device, dtype))
        comparisons.append(Comparison(f"four losses, {name}", _difference(found, exact), TOLERANCES[name]))
        largest = max(_difference_of_norm(*pair) for pair in zip(gradients, exact_gradients, strict=True))
        comparisons.append(Comparison(f"their gradients, {name}", largest, TOLERANCES[name]))
    return comparisons


def _compare_steps(device: str, shape: Shape, compiled: bool) -> list[Comparison]:
    """Losses of the first steps of a training, against the CPU in float32."""
    expected = _first_losses(shape, Execution("cpu"))
    ways = {
        f"{name}{', compiled' if is_compiled else ''}": Execution(device, name == "bfloat16", is_compiled)
        for is_compiled in ([False, True] if compiled else [False])
        for name in TOLERANCES
    }
    return [
        Comparison(
            f"losses of {STEPS} training steps, {way}",
            _difference(_first_losses(shape, execution), expected),
            TOLERANCES["bfloat16" if execution.bfloat16 else "float32"],
        )
        for way, execution in ways.items()
    ]


def _first_losses(shape: Shape, execution: Execution) -> Tensor:
    training = EngineTraining(shape, "ctcd", execution)
    try:
        return torch.tensor([training.next_losses() for _ in range(STEPS)], dtype=torch.float64)
    finally:
        training.close()


def _find_waiting(shape: Shape, compiled: bool) -> str:
    """What in a training step waits for the GPU; empty if nothing does."""
    training = EngineTraining(shape, "ctcd", Execution("cuda", bfloat16=True, compiled=compiled))
    training.advance(STEPS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(STEPS):
            training.step(masked_batch(shape, number, "cuda"))
    except RuntimeError as error:
        return str(error).strip().partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
        training.close()
    return ""


def _difference(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).abs() / (expected.abs() + SMALL)).max())


def _difference_of_norm(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def _copy_bandwidth(device: str) -> float:
    """Bytes per second, read and written, of the best copy on the device."""
    source = torch.ones(COPY_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(COPIES):
        synchronize(device)
        started = perf_counter()
        target.copy_(source)
        synchronize(device)
        seconds.append(perf_counter() - started)
    return 2 * len(source) / min(seconds)
