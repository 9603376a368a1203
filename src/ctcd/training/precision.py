"""Device and number format, chosen for the machine unless the user chose."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from ctcd.errors import InputError
from ctcd.parameters import ExecutionParameters

# Below this width casting costs a CPU more than bfloat16 products save.
NARROWEST_FOR_BFLOAT16_ON_CPU = 256


@dataclass(frozen=True)
class Hardware:
    """Where and how a model is computed."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision, or nothing in float32."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def choose_hardware(execution: ExecutionParameters, width: int) -> Hardware:
    """The device and precision to use for models of a width.

    Raises:
        InputError: if a GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if execution.device == "cuda" and not has_gpu:
        raise InputError("execution.device is 'cuda' but PyTorch finds no GPU: use 'auto' or 'cpu'.")
    device = torch.device("cuda" if has_gpu and execution.device != "cpu" else "cpu")
    if execution.precision != "auto":
        return Hardware(device, getattr(torch, execution.precision))
    if device.type == "cuda":
        return Hardware(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32)
    fast = width >= NARROWEST_FOR_BFLOAT16_ON_CPU and torch.cpu._is_avx512_bf16_supported()
    return Hardware(device, torch.bfloat16 if fast else torch.float32)
