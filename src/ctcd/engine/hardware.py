"""Device, number format and compilation, chosen for the machine unless the user chose."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch
from transformers import PreTrainedModel

from ctcd.engine.settings import ExecutionParameters
from ctcd.errors import InputError
from ctcd.modeling.attention import accelerate_attention

# Narrower models gain little from bfloat16 on a CPU, and so compute the same on every one.
NARROWEST_FOR_BFLOAT16_ON_CPU = 128

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Hardware:
    """Where and how a model is computed."""

    device: torch.device
    dtype: torch.dtype
    compiles: bool = False

    @property
    def name(self) -> str:
        """The device in words: `cpu`, or what the GPU is called."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    @property
    def compiles_for_gpu(self) -> bool:
        """Whether kernels are compiled for a GPU: the losses and AdamW have one each."""
        return self.compiles and self.device.type == "cuda"

    def move(self, model: PreTrainedModel, is_padded: bool) -> None:
        """Move a model to the device and give it the attention that is fastest there for what it reads."""
        model.to(self.device)
        if self.device.type == "cuda":
            accelerate_attention(model, is_padded)
        if self.device.type == "cpu" and self.dtype == torch.bfloat16:
            # PyTorch's fused attention goes back three times slower than plain matrix products in bfloat16 on a CPU.
            model.set_attn_implementation("eager")

    def compiled(self, function: Function) -> Function:
        """The function, compiled for static shapes where that pays."""
        return cast(Function, torch.compile(function, dynamic=False)) if self.compiles else function


def choose_hardware(execution: ExecutionParameters, width: int) -> Hardware:
    """The device and precision to use for models of a width.

    Raises:
        InputError: if a GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if execution.device == "cuda" and not has_gpu:
        raise InputError("execution.device is 'cuda' but PyTorch finds no GPU: use 'auto' or 'cpu'.")
    device = torch.device("cuda" if has_gpu and execution.device != "cpu" else "cpu")
    # Compilation takes minutes on a CPU and seconds on a GPU, where it is worth more.
    pays = device.type == "cuda" and can_compile_for_gpu()
    compiles = execution.compile == "always" or (execution.compile == "auto" and pays)
    if execution.precision != "auto":
        return Hardware(device, getattr(torch, execution.precision), compiles)
    if device.type == "cuda":
        return Hardware(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32, compiles)
    fast = width >= NARROWEST_FOR_BFLOAT16_ON_CPU and torch.cpu._is_avx512_bf16_supported()
    return Hardware(device, torch.bfloat16 if fast else torch.float32, compiles)


@lru_cache(maxsize=1)
def can_compile_for_gpu() -> bool:
    """Whether Triton, through which PyTorch compiles for a GPU, is there with the C compiler that it needs."""
    compilers = (os.environ.get("CC"), "gcc", "clang", "cc")
    return find_spec("triton") is not None and any(shutil.which(name) for name in compilers if name)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
