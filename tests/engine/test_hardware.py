import pytest
import torch

from ctcd.engine import hardware as module
from ctcd.engine.hardware import choose_hardware
from ctcd.errors import InputError


@pytest.fixture
def processor(monkeypatch):
    """Play a machine without a GPU whose processor multiplies bfloat16, or not."""

    def play(multiplies_bfloat16: bool) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: multiplies_bfloat16)

    return play


@pytest.mark.parametrize(("width", "expected"), [(64, "float32"), (128, "bfloat16"), (768, "bfloat16")])
def test_a_cpu_computes_in_bfloat16_where_it_multiplies_it_and_models_are_not_narrow(
    execution, processor, width, expected
) -> None:
    processor(multiplies_bfloat16=True)
    automatic = execution.model_copy(update={"device": "auto", "precision": "auto"})
    assert choose_hardware(automatic, width).dtype == getattr(torch, expected)
    processor(multiplies_bfloat16=False)
    assert choose_hardware(automatic, width).dtype == torch.float32


@pytest.mark.parametrize("wish", ["float32", "bfloat16"])
def test_a_precision_that_is_asked_for_is_used(execution, processor, wish) -> None:
    processor(multiplies_bfloat16=False)
    assert choose_hardware(execution.model_copy(update={"precision": wish}), 64).dtype == getattr(torch, wish)


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(execution, processor) -> None:
    processor(multiplies_bfloat16=True)
    with pytest.raises(InputError, match=r"execution.device is 'cuda' but PyTorch finds no GPU: use 'auto' or 'cpu'"):
        choose_hardware(execution.model_copy(update={"device": "cuda"}), 64)


@pytest.mark.parametrize(("wish", "can_compile", "expected"), [
    ("auto", True, True), ("auto", False, False), ("always", False, True), ("never", True, False),
])  # fmt: skip
def test_a_gpus_code_is_compiled_where_it_can_be(execution, monkeypatch, wish, can_compile, expected) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    monkeypatch.setattr(module, "can_compile_for_gpu", lambda: can_compile)
    hardware = choose_hardware(
        execution.model_copy(update={"device": "auto", "precision": "auto", "compile": wish}), 64
    )
    assert (hardware.device.type, hardware.dtype, hardware.compiles) == ("cuda", torch.bfloat16, expected)


@pytest.mark.parametrize(
    ("has_triton", "compilers", "expected"),
    [
        (True, {"gcc"}, True),
        (True, {"clang"}, True),
        (True, {"my-compiler"}, True),
        (True, set(), False),
        (False, {"gcc"}, False),
    ],
)
def test_a_gpus_code_is_compiled_where_triton_and_a_c_compiler_are(
    monkeypatch: pytest.MonkeyPatch, has_triton: bool, compilers: set[str], expected: bool
) -> None:
    monkeypatch.setenv("CC", "my-compiler")
    monkeypatch.setattr(module, "find_spec", lambda _: object() if has_triton else None)
    monkeypatch.setattr(module.shutil, "which", lambda name: name if name in compilers else None)
    assert module.can_compile_for_gpu.__wrapped__() == expected
