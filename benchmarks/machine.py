"""What the machine is, what it could do at best, and how much memory a process takes."""

import os
import platform
import resource
import subprocess
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import transformers

MEGABYTE = 1 << 20
PEAK_REPEATS = 4
PEAK_SIDES = (512, 1024, 2048, 4096)
PEAK_SIDES_ON_GPU = (4096, 8192, 16384)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def chosen_device(wish: str) -> str:
    """`cpu` or `cuda` for `auto`, else what was wished for."""
    return wish if wish != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def synchronize(device: str) -> None:
    """Wait for what the device still has to do."""
    if device == "cuda":
        torch.cuda.synchronize()


def measure_matrix_peak(device: str, largest_side: int) -> dict[str, float]:
    """Floating-point operations per second of the best square matrix product, by data type."""
    usual_sides = PEAK_SIDES if device == "cpu" else PEAK_SIDES_ON_GPU
    sides = [side for side in usual_sides if side <= largest_side] or [largest_side]
    return {name: max(_matrix_speed(device, dtype, side) for side in sides) for name, dtype in DTYPES.items()}


def _matrix_speed(device: str, dtype: torch.dtype, side: int) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(PEAK_REPEATS):
        synchronize(device)
        started = perf_counter()
        left @ right
        synchronize(device)
        seconds.append(perf_counter() - started)
    return 2 * side**3 / min(seconds[1:])


def resident_memory() -> int:
    """Bytes of memory that the process has now."""
    return _status("VmRSS")


def peak_memory() -> int:
    """The most bytes of memory that the process has had since `forget_peak_memory`."""
    return _status("VmHWM")


def forget_peak_memory() -> None:
    """Start measuring the peak anew."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5")
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def available_memory() -> int:
    """Bytes of memory that new processes can have."""
    information = Path("/proc/meminfo")
    if not information.is_file():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _kilobytes(information, "MemAvailable")


def describe(device: str, threads: int) -> dict[str, Any]:
    """Hardware and versions."""
    return {
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "device": device,
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "commit": _commit(),
    }


def _status(name: str) -> int:
    status = Path("/proc/self/status")
    if not status.is_file():  # not Linux: only the whole life's peak is known
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _kilobytes(status, name)


def _kilobytes(file: Path, name: str) -> int:
    line = next(line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except OSError:
        return ""  # no Git here
    return found.stdout.strip()
